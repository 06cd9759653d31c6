"""What a sandbox's own credential is good for: its own sandbox, and nothing else."""
import os
import signal

import grpc
import pytest

import policies
import wire
from client import Client, local, refused, unique
from waiting import eventually
from wire import api, inference, policy, session

NOBODY = "00000000-0000-0000-0000-000000000000"


def own_calls(sandbox_id):
    """Calls about a sandbox, by what they are called."""
    return {
        "GetSandboxPolicy": policy.GetSandboxPolicyRequest(sandbox_id=sandbox_id),
        "ReportPolicyStatus": api.ReportPolicyStatusRequest(
            sandbox_id=sandbox_id, version=1, status=api.POLICY_STATUS_FAILED, load_error="not so"
        ),
        "GetSandboxProviderEnvironment": api.GetSandboxProviderEnvironmentRequest(sandbox_id=sandbox_id),
        "GetSandboxInferenceBundle": inference.GetSandboxInferenceBundleRequest(sandbox_id=sandbox_id),
        "PushSandboxLogs": api.PushSandboxLogsRequest(sandbox_id=sandbox_id, logs=[api.SandboxLogLine(message="x")]),
    }


METHODS = {method.name: method for method in wire.METHODS}


@pytest.fixture
def supervisor(gateway, sandbox):
    with gateway.sandbox(sandbox.id) as supervisor:
        yield supervisor


def test_a_sandbox_asks_for_its_policy(client, sandbox, supervisor):
    answer = supervisor.navigator.GetSandboxPolicy(policy.GetSandboxPolicyRequest(sandbox_id=sandbox.id))
    revision = client.revision(sandbox.name).revision
    assert (answer.version, answer.policy_hash) == (revision.version, revision.policy_hash)
    assert answer.policy == revision.policy


def test_a_sandbox_that_has_the_policy_may_report_it_again(gateway, client):
    sandbox = client.create(policy=policies.online())
    with gateway.sandbox(sandbox.id) as supervisor:
        for name in ("GetSandboxPolicy", "GetSandboxProviderEnvironment", "GetSandboxInferenceBundle", "PushSandboxLogs"):
            assert supervisor.code(METHODS[name], own_calls(sandbox.id)[name]) is grpc.StatusCode.OK, name


@pytest.mark.parametrize("call", own_calls(""))
def test_a_sandbox_asks_about_itself_only(client, supervisor, call):
    other = client.create(unique("other"), policy=policies.online())
    for stranger in (other.id, other.name, NOBODY, "", "x", other.id.upper()):
        code = supervisor.code(METHODS[call], own_calls(stranger)[call])
        assert code is grpc.StatusCode.PERMISSION_DENIED, (stranger, code)
    assert client.revision(other.name).revision.status == api.POLICY_STATUS_LOADED


@pytest.mark.parametrize("method", [one for one in wire.METHODS if one.name not in wire.SANDBOX_SIDE], ids=str)
def test_a_sandbox_may_do_nothing_that_users_do(supervisor, method):
    assert supervisor.code(method) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("method", [one for one in wire.METHODS if one.name in wire.SANDBOX_SIDE], ids=str)
def test_a_user_may_do_nothing_that_sandboxes_do(client, sandbox, method):
    requests = {**own_calls(sandbox.id), "Join": session.FromSupervisor(), "Exec": session.FromProcess()}
    assert client.code(method, requests[method.name]) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("method", [one for one in wire.METHODS if one.name not in wire.SANDBOX_SIDE], ids=str)
def test_a_user_may_do_everything_that_users_do(client, method):
    denied = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED)
    assert client.code(method) not in denied


@pytest.mark.parametrize("path", ["/navigator.v1.Navigator/Nothing", "/navigator.v1.Navigator/health", "/x.Y/Z"])
def test_what_is_not_defined_cannot_be_called(client, supervisor, path):
    method = wire.Method("x", path, False, False, api.HealthRequest)
    assert client.code(method) is grpc.StatusCode.UNIMPLEMENTED
    assert supervisor.code(method) in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


def bad_credentials(token):
    flipped = "0" if token[0] != "0" else "1"
    return {
        "first character": f"Bearer {flipped}{token[1:]}",
        "last character": f"Bearer {token[:-1]}{'0' if token[-1] != '0' else '1'}",
        "cut": f"Bearer {token[:-1]}",
        "longer": f"Bearer {token}0",
        "upper case": f"Bearer {token.upper()}x",
        "none": "",
        "empty": "Bearer ",
        "another scheme": f"Basic {token}",
        "no scheme": token,
        "huge": "Bearer " + "a" * 4000,
        "quotes": "Bearer ' OR 1=1; --",
    }


@pytest.mark.parametrize("change", bad_credentials("abc"))
def test_an_altered_credential_is_good_for_nothing(gateway, sandbox, change):
    credential = bad_credentials(gateway.token(sandbox.id))[change]
    with Client(local(gateway.socket), [("authorization", credential)]) as client:
        codes = {method.name: client.code(method) for method in wire.METHODS}
    assert codes == dict.fromkeys(codes, grpc.StatusCode.UNAUTHENTICATED)


def test_a_credential_ends_with_its_sandbox(gateway, client):
    sandbox = client.create()
    token = gateway.token(sandbox.id)
    client.delete(sandbox.name)
    dead(gateway, token, sandbox)


def test_a_credential_ends_when_the_sandbox_stops_and_another_start_has_another(gateway, client):
    sandbox = client.create()
    first = gateway.token(sandbox.id)
    client.stop(sandbox.name)
    dead(gateway, first, sandbox)
    client.start(sandbox.name)
    second = gateway.token(sandbox.id)
    assert second != first
    dead(gateway, first, sandbox)
    alive(gateway, second, sandbox)


def test_a_credential_ends_when_the_supervisor_is_started_again(gateway, client):
    sandbox = client.create()
    first = gateway.token(sandbox.id)
    os.kill(gateway.supervisor(sandbox.id), signal.SIGKILL)
    eventually("another is started", lambda: len(gateway.launched(sandbox.id)) == 2)
    client.ready(sandbox.id)
    eventually("it is noted", lambda: client.get(sandbox.name).status.restarts == 1)
    client.ready(sandbox.id)
    dead(gateway, first, sandbox)
    alive(gateway, gateway.token(sandbox.id), sandbox)


def dead(gateway, token, sandbox):
    for name, request in own_calls(sandbox.id).items():
        with gateway.with_token(token) as supervisor:
            assert supervisor.code(METHODS[name], request) is grpc.StatusCode.UNAUTHENTICATED, name


def alive(gateway, token, sandbox):
    with gateway.with_token(token) as supervisor:
        code = supervisor.code(METHODS["GetSandboxPolicy"], own_calls(sandbox.id)["GetSandboxPolicy"])
        assert code is grpc.StatusCode.OK


@pytest.mark.parametrize("first", [session.FromSupervisor(), session.FromSupervisor(logs=session.LogBatch())])
def test_a_session_begins_with_a_hello(supervisor, first):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(supervisor.session.Join(iter([first])))


def test_nobody_takes_over_a_process_that_was_not_asked_for(supervisor):
    for first in (session.FromProcess(), session.FromProcess(stdout=b"x")):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            list(supervisor.session.Exec(iter([first])))
    for exec_id in ("", "x", "0" * 64):
        with refused(grpc.StatusCode.NOT_FOUND):
            list(supervisor.session.Exec(iter([session.FromProcess(exec_id=exec_id)])))


def test_a_sandbox_cannot_take_over_the_process_of_another(gateway, client, sandbox, supervisor, marker):
    other = client.create(policy=policies.online())
    events = client.events(other, "sh", "-c", f"echo begun; sleep {marker}")
    assert next(events).stdout.data == b"begun\n"
    with refused(grpc.StatusCode.NOT_FOUND):
        list(supervisor.session.Exec(iter([session.FromProcess(exec_id=other.id)])))
    events.cancel()


REACH = """
import os, socket, sys
for path in sys.argv[2:]:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path); print("reached", path)
    except OSError as error:
        print("refused", path, error.errno)
s = socket.socket(); s.settimeout(5)
try:
    s.connect(("127.0.0.1", int(sys.argv[1]))); s.sendall(b"GET /healthz HTTP/1.1\\r\\n\\r\\n")
    answer = s.recv(100)
except OSError:
    answer = b""
print("reached the port" if answer else "no port")
"""


def test_nothing_in_a_sandbox_reaches_the_gateway(gateway, client, sandbox):
    socket = str(gateway.socket)
    paths = [socket, f"/proc/1/root{socket}", f"/proc/self/root{socket}", f"/proc/1/cwd/{socket}"]
    ran = client.run(sandbox, "/usr/bin/python3", "-c", REACH, str(gateway.port), *paths)
    assert ran.code == 0, ran.err
    lines = ran.text.splitlines()
    assert len(lines) == 5
    assert not [line for line in lines if line.startswith("reached")], lines
