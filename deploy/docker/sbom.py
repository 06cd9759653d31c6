"""Prints what an image is made of: packages of Debian, Python and Node, as CycloneDX."""
import importlib.metadata
import json
import pathlib
import platform
import subprocess
from urllib.parse import quote

# Where npm has put packages: npm itself, and what was installed for everybody.
NODE = ("/usr/lib/node_modules", "/usr/local/lib/node_modules")
# Programs that are in no package list any more, and how they tell their version.
PROGRAMS = {"node": ["/usr/bin/node", "--version"], "uv": ["/usr/local/bin/uv", "self", "version", "--short"]}


def component(kind, name, version, architecture=""):
    """One package."""
    namespace = "deb/debian" if kind == "deb" else kind
    where = f"?arch={architecture}" if architecture else ""
    purl = f"pkg:{namespace}/{quote(name)}@{quote(version)}{where}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def debian():
    """Packages of the distribution."""
    fields = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", fields], capture_output=True, text=True, check=True).stdout
    packages = (line.split("\t") for line in listed.splitlines())
    return [component("deb", name, version, arch) for status, name, version, arch in packages if status.startswith("i")]


def python():
    """Packages of the environment that runs this."""
    return [component("pypi", one.metadata["Name"], one.version) for one in importlib.metadata.distributions()]


def node():
    """Packages that npm has installed, and those in them."""
    found = []
    for root in NODE:
        for path in pathlib.Path(root).glob("**/package.json"):
            parts = path.parent.relative_to(root).parts
            below = parts[len(parts) - parts[::-1].index("node_modules") :] if "node_modules" in parts else parts
            if len(below) != (2 if below[0].startswith("@") else 1):
                continue
            about = json.loads(path.read_text())
            found.append(component("npm", about["name"], about["version"]))
    return found


def programs():
    """Programs that were copied from packages."""
    for name, command in PROGRAMS.items():
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield component("generic", name, said.split()[0].removeprefix("v"), platform.machine())


def main():
    components = {one["purl"]: one for one in [*debian(), *python(), *node(), *programs()]}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    bom["components"] = [components[purl] for purl in sorted(components)]
    print(json.dumps(bom, indent=1))


main()
