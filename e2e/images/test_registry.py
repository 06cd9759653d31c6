"""Images from a registry: Docker's own server, filled by another tool."""
import socket
import subprocess

import pytest

import layout
from conftest import base, changes
from waiting import eventually

SETTINGS = """
version: 0.1
log: {{ level: error }}
storage: {{ filesystem: {{ rootdirectory: {directory} }} }}
http: {{ addr: 127.0.0.1:{port} }}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry on a port of this machine that has `tools:1`."""
    directory = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = directory / "settings.yaml"
    settings.write_text(SETTINGS.format(directory=directory / "data", port=port))
    server = subprocess.Popen(["docker-registry", "serve", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually("the registry answers", lambda: answers(port))
        image = layout.write(directory / "layout", [base(tmp_path_factory.mktemp("root")), changes()], Env=["PATH=/app:/usr/bin"])
        to = f"docker://127.0.0.1:{port}/team/tools:1"
        copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{image}", to]
        subprocess.run(copy, check=True, timeout=60)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(20)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_an_image_is_pulled_when_it_is_first_needed(owner, registry):
    name = f"{registry}/team/tools:1"
    assert owner.run("run", "--from", name, "--", "tool").stdout == b"tool\n"
    listed = {image["name"] for image in owner.json("image", "list")}
    assert name in listed
    box = owner.create(image=name)
    assert owner.shell(box, "cat from-image") == "hello\n"
    owner.run("sandbox", "delete", box, "-y")
    again = owner.run("image", "pull", name, "-q").stdout.decode().strip()
    assert owner.json("image", "inspect", name)["digest"] == again
    pinned = f"{registry}/team/tools@{again}"
    assert owner.run("image", "pull", pinned, "-q").stdout.decode().strip() == again
    assert not list((owner.gateway.state / "pulls").iterdir())
    owner.run("image", "rm", name, pinned)


def test_a_team_has_short_names_and_mirrors(owner, registry):
    short = {**owner.environment, "NAVIGATOR_CATALOGUE": f"{registry}/team"}
    run = [owner.gateway.binary, "run", "--from", "tools:1", "--", "tool"]
    done = subprocess.run(run, env=short, cwd=owner.home, capture_output=True, timeout=60, **owner.become)
    assert done.stdout == b"tool\n", done
    owner.run("image", "rm", f"{registry}/team/tools:1")
    words = ["--registry-mirror", f"registry.example=http://{registry}", "registry.example/team/tools:1"]
    owner.run("image", "pull", *words)
    assert owner.run("run", "--from", "registry.example/team/tools:1", "--", "tool").stdout == b"tool\n"
    owner.run("image", "rm", "registry.example/team/tools:1")


@pytest.mark.parametrize("name", ["team/none:1", "team/tools:none", f"team/tools@sha256:{'0' * 64}"])
def test_what_the_registry_does_not_have_changes_nothing(owner, registry, name):
    before = owner.run("image", "list").stdout
    done = owner.run("image", "pull", f"{registry}/{name}", check=False)
    assert done.returncode == 1 and b"check its name" in done.stderr, done
    assert owner.run("image", "list").stdout == before
