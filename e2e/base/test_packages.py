"""Packages install from the real index under the image's own policy, by every tool, and only where they may."""
import pytest

import policies
from client import gathered
from wire import api, data

# Seconds that an index may take to answer.
LONGEST = 120
PYTHON = "/sandbox/.venv/bin/python"
SAYS = "import cowsay; print(cowsay.__name__, cowsay.__file__)"


@pytest.fixture
def sandbox(owner):
    """A sandbox of its own for each test: none finds what another has installed."""
    sandbox = owner.create(template=data.SandboxTemplate(image="base"))
    yield sandbox
    owner.delete(sandbox.name)


def run(owner, sandbox, *command):
    """Runs a command that may take long."""
    request = api.ExecSandboxRequest(sandbox_id=sandbox.id, command=command)
    return gathered(owner.navigator.ExecSandbox(request, timeout=LONGEST))


def works(owner, sandbox, *command):
    """Runs a command that must succeed, and returns what it prints."""
    ran = run(owner, sandbox, *command)
    assert ran.code == 0, ran
    return ran.text


def test_pip_installs_what_can_be_imported(owner, sandbox):
    assert run(owner, sandbox, "python", "-c", SAYS).code != 0
    works(owner, sandbox, "pip", "install", "cowsay")
    assert works(owner, sandbox, "python", "-c", SAYS).startswith("cowsay /sandbox/.venv/lib/")


def test_uv_pip_installs_what_can_be_imported(owner, sandbox):
    works(owner, sandbox, "uv", "pip", "install", "--python", PYTHON, "cowsay")
    assert works(owner, sandbox, "python", "-c", SAYS).startswith("cowsay /sandbox/.venv/lib/")


def test_uv_runs_with_a_package(owner, sandbox):
    said = works(owner, sandbox, "uv", "run", "--python", PYTHON, "--with", "cowsay", "python", "-c", SAYS)
    assert said.startswith("cowsay /sandbox/")
    assert run(owner, sandbox, "python", "-c", SAYS).code != 0


def test_npm_installs_what_node_can_load(owner, sandbox):
    # A machine may reach the registry through an authority that only it trusts; Node brings its own list.
    trust = ["--cafile", "/etc/navigator-tls/ca-bundle.pem"]
    works(owner, sandbox, "npm", "install", "--no-audit", "--no-fund", *trust, "is-odd")
    assert works(owner, sandbox, "node", "-e", "console.log(require('is-odd')(3))") == "true"


def test_what_was_installed_outlives_a_stop(owner, sandbox):
    works(owner, sandbox, "pip", "install", "cowsay")
    owner.stop(sandbox.name)
    owner.start(sandbox.name)
    assert works(owner, sandbox, "python", "-c", SAYS).startswith("cowsay /sandbox/.venv/lib/")


def test_another_program_does_not_reach_the_index(owner, sandbox):
    ran = run(owner, sandbox, "curl", "-sS", "https://pypi.org/simple/cowsay/")
    assert ran.code != 0 and b"403" in ran.err, ran


def test_a_program_whose_libraries_can_be_changed_reaches_nothing(owner):
    rule = policies.rule(policies.endpoint("pypi.org"))
    files = policies.files(["/usr", "/lib", "/lib64", "/etc"], ["/sandbox", "/tmp", "/dev/null"])
    fetch = ["curl", "-sSo", "/dev/null", "https://pypi.org/simple/cowsay/"]
    for writable in ([], ["/usr/lib"]):
        files.read_write.extend(writable)
        policy = policies.offline(filesystem=files, network_policies={"pypi": rule})
        sandbox = owner.create(template=data.SandboxTemplate(image="base"), policy=policy)
        ran = run(owner, sandbox, *fetch)
        assert (ran.code != 0 and b"403" in ran.err) if writable else ran.code == 0, ran
        owner.delete(sandbox.name)
