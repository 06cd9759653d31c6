"""Which gateway is meant, and starting it."""

import os
import subprocess

import pytest
from navigator import InvalidArgument, NotFound, PermissionDenied, SandboxClient, TlsConfig, Unavailable


@pytest.fixture
def user(own_machine, monkeypatch):
    """A user in whose directories no gateway runs."""
    machine = own_machine(runs=False)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("NAVIGATOR_GATEWAY", "NAVIGATOR_BIN", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return machine


def test_the_local_gateway_is_started_when_none_runs(user, twin):
    with pytest.raises(Unavailable):
        twin.active(start=False)
    with twin.active() as client:
        assert client.health().status == "healthy"
    with twin.sandbox() as sandbox:
        assert sandbox.exec(["echo", "hi"]).stdout == "hi\n"


def test_a_program_that_is_not_there_is_told_with_what_to_do(user, twin, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(NotFound, match="NAVIGATOR_BIN"):
        twin.active()
    monkeypatch.setenv("NAVIGATOR_BIN", "/nowhere/navigator")
    with pytest.raises(NotFound, match="/nowhere/navigator"):
        twin.active()
    monkeypatch.setenv("NAVIGATOR_BIN", "/bin/false")
    with pytest.raises(Unavailable, match="failed to start"):
        twin.active()


def test_gateways_that_the_program_knows_are_found(machine, user, twin, monkeypatch):
    tls = [f"--{word}={path}" for word, path in zip(("ca", "cert", "key"), vars(machine.tls).values(), strict=True)]
    address = f"https://localhost:{machine.port}"
    user.navigator("gateway", "add", "team", address, *tls)
    for chosen in ("team", address, f"unix:{machine.socket}"):
        monkeypatch.setenv("NAVIGATOR_GATEWAY", chosen)
        with twin.active() as client:
            assert client.health().status == "healthy"
    monkeypatch.delenv("NAVIGATOR_GATEWAY")
    user.navigator("gateway", "use", "team")
    with twin.active(start=False) as client:
        assert client.health().status == "healthy"


@pytest.mark.parametrize(
    ("chosen", "error", "words"),
    [
        ("nobody", NotFound, "nobody"),
        ("../x", InvalidArgument, "name"),
        ("unix:relative", InvalidArgument, "absolute"),
        ("https://localhost:1", NotFound, "certificates"),
        ("http://localhost:1", InvalidArgument, "https://HOST:PORT"),
        ("broken", InvalidArgument, "broken.toml"),
    ],
)
def test_a_gateway_that_is_not_known_is_told(user, monkeypatch, chosen, error, words):
    (user.base / "config/gateways").mkdir()
    secret = 'address = "https://localhost:1"\nkey = "secret-of-mine\n'
    (user.base / "config/gateways/broken.toml").write_text(secret)
    if "://" in chosen:
        (user.base / "config/gateways/broken.toml").unlink()
    monkeypatch.setenv("NAVIGATOR_GATEWAY", chosen)
    with pytest.raises(error, match=words) as caught:
        SandboxClient.from_active_gateway()
    assert "secret-of-mine" not in str(caught.value)


def test_a_stranger_is_not_let_in_and_a_false_gateway_not_trusted(machine, twin, tmp_path):
    from certificates import Authority

    other = Authority()
    stranger = other.client()
    paths = {"ca": other.certificate, "cert": stranger.certificate, "key": stranger.key}
    for name, pem in paths.items():
        (tmp_path / name).write_bytes(pem)
    target = f"https://localhost:{machine.port}"
    for tls in (
        TlsConfig(tmp_path / "ca", machine.tls.cert_path, machine.tls.key_path),
        TlsConfig(machine.tls.ca_path, tmp_path / "cert", tmp_path / "key"),
    ):
        with twin.client(target, tls=tls, timeout=2) as client, pytest.raises((Unavailable, PermissionDenied)):
            client.health()
    with pytest.raises(InvalidArgument, match="TlsConfig"):
        twin.client(target)
    with pytest.raises(InvalidArgument, match="credentials"):
        twin.client(target, tls=TlsConfig("/nowhere", "/nowhere", "/nowhere"))


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_a_socket_of_another_user_is_not_trusted(twin, tmp_path):
    script = """
import os, socket, sys
os.setuid(65534)
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print(flush=True)
sys.stdin.read()
"""
    where = tmp_path / "open"
    where.mkdir()
    where.chmod(0o777)
    for directory in tmp_path.parents[:-1]:
        if directory.owner() == "root" and str(directory) != "/tmp":
            directory.chmod(directory.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    other = subprocess.Popen(["/usr/bin/python3", "-c", script, str(where / "s")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        # Root may be trusted; what root trusts is root only.
        with pytest.raises(PermissionDenied, match="65534"):
            twin.client(f"unix:{where / 's'}")
    finally:
        other.communicate(b"")
