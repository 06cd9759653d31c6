"""What others on the machine, and what a sandbox made of directories, must not get by a gateway's restarts."""
import pwd
import resource
import socket
import subprocess
import sys
import threading

import grpc
import pytest

import policies
from client import READY
from waiting import eventually
from wire import api, data, session

# Listens where a gateway was, as another user, and tells of the first bytes that come.
LISTENER = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen(16)
for _ in range(3):
    connection, _ = listener.accept()
    connection.settimeout(20)
    print(len(connection.recv(65536)), flush=True)
"""


def settled(client, name):
    """A sandbox that is ready, or the reason why it is not."""

    def look():
        sandbox = client.navigator.GetSandbox(api.GetSandboxRequest(name=name)).sandbox
        reason = next(one.reason for one in sandbox.status.conditions if one.type == "Ready")
        return sandbox if sandbox.phase == READY or reason not in ("Created", "Starting", "Stopped") else None

    return eventually("the sandbox is ready or has failed", look)


def test_a_mount_that_became_a_link_is_not_mounted_again(own_gateway):
    gateway = own_gateway()
    project, outside = gateway.directory("project"), gateway.directory("outside")
    (outside / "file").write_text("not for the sandbox")
    (project / "below").mkdir()
    mounts = [
        data.Mount(source=str(project), destination="/sandbox/project"),
        data.Mount(source=str(project / "below"), destination="/sandbox/below"),
    ]
    with gateway.owner() as client:
        sandbox = client.create(policy=policies.offline(), mounts=mounts)
        turned = client.shell(sandbox, f"cd /sandbox/project && rmdir below && ln -s {outside} below")
        assert turned.code == 0, turned.err
        client.stop(sandbox.name)
        client.navigator.StartSandbox(api.StartSandboxRequest(name=sandbox.name))
        found = settled(client, sandbox.name)
        assert found.phase == data.SANDBOX_PHASE_ERROR
        assert any("link" in one.message for one in found.status.conditions), found.status


def test_a_mount_is_kept_without_links(own_gateway):
    gateway = own_gateway()
    project = gateway.directory("project")
    link = gateway.base / "link"
    link.symlink_to(project)
    with gateway.owner() as client:
        mount = data.Mount(source=str(link), destination="/sandbox/project")
        sandbox = client.create(policy=policies.offline(), mounts=[mount])
        assert sandbox.spec.mounts[0].source == str(project)


@pytest.mark.needs_root
def test_a_supervisor_tells_nothing_to_a_gateway_of_somebody_else(own_gateway):
    gateway = own_gateway()
    with gateway.owner() as client:
        client.create(policy=policies.offline())
    gateway.stop()
    run = gateway.socket.parent
    # As if the socket were in a directory that everybody may write.
    run.chmod(0o1777)
    nobody = pwd.getpwnam("nobody")
    command = [sys.executable, "-c", LISTENER, gateway.socket, nobody.pw_uid, nobody.pw_gid]
    # Not the environment's Python: another user cannot reach it.
    command[0] = "/usr/bin/python3"
    listener = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    gateway.socket.unlink()
    run.chmod(0o700)
    assert listener.stdout.split() == ["0", "0", "0"], listener


def test_no_core_is_ever_written(own_gateway):
    gateway = own_gateway()
    with gateway.owner() as client:
        sandbox = client.create(policy=policies.offline())
        for pid in (gateway._process.pid, gateway.supervisor(sandbox.id)):
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_strangers_who_say_nothing_keep_nobody_out(gateway):
    silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(300)]
    try:
        with gateway.remote(gateway.authority.client()) as client:
            assert client.navigator.Health(api.HealthRequest(), wait_for_ready=True)
    finally:
        for one in silent:
            one.close()


def test_a_hello_with_a_policy_that_never_was_is_refused(gateway, client):
    sandbox = client.create(policy=policies.offline())
    hello = session.Hello(version="1", policy_version=4_000_000_000, running=session.Running())
    with gateway.sandbox(sandbox.id) as supervisor:
        with pytest.raises(grpc.RpcError) as caught:
            next(iter(supervisor.session.Join(iter([session.FromSupervisor(hello=hello)]))))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.get(sandbox.name).current_policy_version == 1


def test_a_stream_is_not_good_for_longer_than_its_credential(gateway, client):
    sandbox = client.create(policy=policies.offline())
    line = api.SandboxLogLine(level="INFO", target="late", message="after the end")
    batch = api.PushSandboxLogsRequest(sandbox_id=sandbox.id, logs=[line])
    hello = session.Hello(version="1", policy_version=1, running=session.Running())
    stopped = threading.Event()

    def later(message):
        assert stopped.wait(30)
        yield message

    with gateway.sandbox(sandbox.id) as supervisor:
        pushing = supervisor.navigator.PushSandboxLogs.future(later(batch))
        joining = supervisor.session.Join(later(session.FromSupervisor(hello=hello)))
        client.stop(sandbox.name)
        stopped.set()
        with pytest.raises(grpc.RpcError) as pushed:
            pushing.result(30)
        with pytest.raises(grpc.RpcError) as joined:
            next(iter(joining))
    refused = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
    assert pushed.value.code() in refused and joined.value.code() in refused
    logs = client.navigator.GetSandboxLogs(api.GetSandboxLogsRequest(sandbox_id=sandbox.id)).logs
    assert "after the end" not in [one.message for one in logs]
