"""Users, directories, Python's two environments and the policy are what is promised to programs in a sandbox."""
import json
import pathlib

import pytest

from wire import api

SDK = ("cloudpickle", "grpc", "google.protobuf", "openai", "navigator", "pip")
POLICY = pathlib.Path(__file__).parents[2] / "deploy/docker/policy.yaml"


def test_a_client_that_names_no_policy_gets_the_images(owner, person, sandbox):
    revision = owner.revision(sandbox.name).revision
    assert (revision.version, revision.status) == (1, api.POLICY_STATUS_LOADED)
    assert owner.run(sandbox, "cat", "/etc/navigator/policy.yaml").out == POLICY.read_bytes()
    shown = person.run("policy", "get", sandbox.name).stdout
    assert b"version: 1" in shown and b"files.pythonhosted.org" in shown, shown


def test_the_user_is_sandbox_at_home(owner, sandbox):
    ran = owner.run(sandbox, "sh", "-c", "id -un; id -gn; id -u; id -g; pwd; echo $HOME; getent passwd sandbox")
    assert ran.text.splitlines()[:6] == ["sandbox", "sandbox", "1000", "1000", "/sandbox", "/sandbox"]
    assert ran.text.splitlines()[6].endswith(":/sandbox:/bin/bash")


@pytest.mark.parametrize(
    "path", ["/app/x", "/usr/x", "/etc/x", "/app/.venv/x", "/app/.venv/bin/x", "/usr/local/bin/x", "/etc/navigator/x"]
)
def test_nothing_can_be_written_but_where_it_is_said(owner, sandbox, path):
    script = f"import errno\ntry: open({path!r}, 'w')\nexcept OSError as error: print(errno.errorcode[error.errno])"
    assert owner.run(sandbox, "python", "-c", script).text in {"EACCES", "EROFS"}


def test_the_read_only_environment_cannot_be_changed(owner, sandbox):
    before = owner.run(sandbox, "/app/.venv/bin/pip", "freeze").text
    for script in (
        "/app/.venv/bin/pip install --no-index --find-links /nowhere cowsay",
        "/app/.venv/bin/pip uninstall -y openai",
        "rm -rf /app/.venv/bin",
        "mv /app/.venv /app/other",
        "chmod -R u+w /app/.venv",
        "echo >> /app/.venv/pyvenv.cfg",
    ):
        assert owner.shell(sandbox, script).code != 0, script
    assert owner.run(sandbox, "/app/.venv/bin/pip", "freeze").text == before and "openai" in before


@pytest.mark.parametrize("python", ["/app/.venv/bin/python", "/sandbox/.venv/bin/python"])
@pytest.mark.parametrize("module", SDK)
def test_both_environments_have_what_the_sdk_needs(owner, sandbox, python, module):
    ran = owner.run(sandbox, python, "-c", f"import {module}; print({module}.__file__)")
    assert ran.code == 0, ran
    # pip alone is in both.
    own = "/sandbox/.venv/" if module == "pip" and python.startswith("/sandbox") else "/app/.venv/"
    assert ran.text.startswith(own), ran


def test_what_the_image_is_made_of_is_listed(owner, sandbox):
    bom = json.loads(owner.run(sandbox, "cat", "/usr/share/navigator/sbom.json").out)
    kinds = {component["purl"].split("/")[0] for component in bom["components"]}
    assert kinds == {"pkg:deb", "pkg:pypi", "pkg:npm", "pkg:generic"}
    names = {component["name"] for component in bom["components"]}
    assert {"git", "gh", "openai", "npm", "@anthropic-ai/claude-code", "node", "uv"} <= names


def test_the_labels_name_the_list_and_the_policy(person):
    labels = person.json("image", "inspect", "base")["config"]["labels"]
    assert labels["dev.navigator.sbom"] == "/usr/share/navigator/sbom.json"
    assert labels["dev.navigator.policy"] == "/etc/navigator/policy.yaml"


# Where a build keeps what it needs only meanwhile: caches, lists, and this machine's own settings.
MEANWHILE = ("run/build/*", "tmp/*", "root/.cache", "root/.npm*", "root/.config", "var/lib/apt/lists/*_*", "etc/pip.conf")


def test_nothing_of_the_build_stays_in_the_image(person):
    for layer in person.json("image", "inspect", "base")["layers"]:
        tree = pathlib.Path(layer["path"])
        assert (tree / "usr").is_dir()
        for pattern in MEANWHILE:
            assert not list(tree.glob(pattern)), pattern
        for name in ("etc/resolv.conf", "etc/hostname"):
            assert not (tree / name).exists() or not (tree / name).read_text(), name
        sources = (tree / "etc/apt/sources.list").read_text() if (tree / "etc/apt/sources.list").exists() else ""
        assert sources in {"", "deb http://deb.debian.org/debian bookworm main\n"}
