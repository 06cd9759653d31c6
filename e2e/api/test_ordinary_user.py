"""A gateway of an ordinary user: the same, without any right of root."""
import socket

import grpc
import pytest

import policies
from client import refused
from gateway_process import ORDINARY_USER, Gateway
from waiting import eventually
from wire import api, data

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(user=ORDINARY_USER)
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def client(gateway):
    with gateway.owner() as client:
        yield client


@pytest.fixture(autouse=True)
def left_as_found(client):
    yield
    client.clean()


def test_a_sandbox_lives_and_runs_commands(client):
    sandbox = client.create("plain", environment={"A": "1"})
    assert sandbox.phase == data.SANDBOX_PHASE_READY
    ran = client.shell(sandbox, "id -un; echo $A; cat; echo err >&2; exit 7", stdin=b"in\n")
    assert (ran.code, ran.text, ran.err) == (7, "sandbox\n1\nin", b"err\n")
    assert client.shell(sandbox, "sleep 1000", timeout_seconds=1).code == 124
    assert client.delete("plain")
    with refused(grpc.StatusCode.NOT_FOUND):
        client.get("plain")


def test_a_sandbox_stops_and_keeps_its_home(client):
    sandbox = client.create()
    assert client.shell(sandbox, "mkdir -m 700 /sandbox/dir; echo kept > /sandbox/dir/file").code == 0
    client.stop(sandbox.name)
    client.start(sandbox.name)
    assert client.run(sandbox, "cat", "/sandbox/dir/file").text == "kept"


def test_a_policy_is_replaced(client):
    sandbox = client.create(policy=policies.online())
    assert client.update(sandbox.name, policies.online("new.example")).version == 2
    eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cannot be changed"):
        client.update(sandbox.name, policies.offline())


def test_thirty_are_made_at_once(client):
    requests = [api.CreateSandboxRequest(name=f"many-{number}") for number in range(30)]
    calls = [client.navigator.CreateSandbox.future(request, timeout=60) for request in requests]
    for call in calls:
        client.ready(call.result().sandbox.id)


def test_root_is_not_the_user(gateway):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(gateway.socket))
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = connection.recv(1000)
        except OSError:
            answer = b""
    assert answer == b""
