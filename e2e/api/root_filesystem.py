"""A small root filesystem: a shell, a few programs, and the libraries that they need."""
import pathlib
import re
import shutil
import subprocess

PROGRAMS = ["/bin/sh", "/bin/cat", "/bin/true", "/usr/bin/id"]


def make(root, policy=None, programs=PROGRAMS):
    """Fills a directory; `policy` is the text of the policy that is baked in."""
    root.chmod(0o755)
    for program in programs:
        _copy(program, root)
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", linked):
            _copy(library, root)
    for name in ("sandbox", "tmp", "proc", "dev", "etc/navigator"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/baked").write_text("baked in\n")
    if policy is not None:
        (root / "etc/navigator/policy.yaml").write_text(policy)
    return root


def _copy(path, root):
    to = root / pathlib.Path(path).relative_to("/")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, to)
