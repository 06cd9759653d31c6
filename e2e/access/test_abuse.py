"""Clients that mean harm, and sandboxes that do."""
import os
import socket
import subprocess
import sys
import threading

import pytest

import tunnel
from shell import Ssh, sleeping
from waiting import eventually
from wire import api

# Megabytes that a supervisor may take more than before, whatever one client does.
ROOM = 64


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    ssh = Ssh(person, sandbox)
    ssh.run("true")
    return ssh


def memory(pid):
    return int(open(f"/proc/{pid}/status").read().split("VmRSS:")[1].split()[0]) >> 10


def entered(gateway, owner, sandbox):
    """A tunnel to the SSH server."""
    session = owner.navigator.CreateSshSession(api.CreateSshSessionRequest(sandbox_id=sandbox.id))
    return tunnel.connection(gateway, "unix"), session


def test_a_client_that_never_reads_takes_no_memory(gateway, owner, sandbox, ssh):
    pid = gateway.supervisor(sandbox.id)
    before = [memory(pid), memory(gateway._process.pid)]
    process = ssh.start("cat /dev/zero")
    try:
        # Its own pipe is full soon.
        process.stdout.read(1 << 20)
        threading.Event().wait(3)
        after = [memory(pid), memory(gateway._process.pid)]
        assert all(now < then + ROOM for then, now in zip(before, after)), (before, after)
        assert ssh.text("echo others") == "others"
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_a_process_that_never_reads_takes_no_memory(gateway, sandbox, ssh):
    pid = gateway.supervisor(sandbox.id)
    before = memory(pid)
    process = ssh.start("sleep 5")
    writer = threading.Thread(target=feed, args=(process.stdin,), daemon=True)
    writer.start()
    process.wait(30)
    assert memory(pid) < before + ROOM
    process.kill()
    writer.join(20)


def feed(pipe):
    try:
        while True:
            pipe.write(bytes(1 << 16))
    except OSError:
        pass


def test_ten_thousand_channels_are_bounded(gateway, sandbox, ssh, marker):
    pid = gateway.supervisor(sandbox.id)
    before = memory(pid)
    script = f"""
import asyncio, asyncssh, sys
async def use():
    async with asyncssh.connect({ssh.host!r}, config=None, username="sandbox", known_hosts=None, client_keys=None, proxy_command={proxy(ssh)!r}) as c:
        opened, refused = [], 0
        for _ in range(100):
            many = await asyncio.gather(*(c.create_process("sleep {marker}", stdin=asyncssh.DEVNULL) for _ in range(100)), return_exceptions=True)
            opened += [one for one in many if not isinstance(one, Exception)]
            refused += sum(isinstance(one, asyncssh.ChannelOpenError) for one in many)
        print(len(opened), refused)
asyncio.run(use())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    opened, refused = map(int, done.stdout.split() or [b"-1", b"-1"])
    assert 0 < opened < 1000 and opened + refused == 10_000, (done.stdout, done.stderr[-2000:])
    assert memory(pid) < before + ROOM
    eventually("all have ended", lambda: not sleeping(marker))


def proxy(ssh):
    variables = [f"{name}={value}" for name, value in ssh.person.environment.items()]
    return ["env", "-i", *variables, str(ssh.person.gateway.binary), "ssh-proxy", ssh.host]


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-1.0-x\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 100_000, b"\0" * 1_000_000]
)
def test_what_is_no_ssh_is_hung_up_on(gateway, owner, sandbox, ssh, said):
    way, session = entered(gateway, owner, sandbox)
    with way as stream:
        headers = {"sandbox_id": sandbox.id, "sandbox_token": session.token}
        assert tunnel.ask(stream, "/connect/ssh", **headers)[0] == 200
        try:
            stream.sendall(said)
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        tunnel.everything(stream)
    assert ssh.text("echo others") == "others"


def test_a_right_that_is_taken_back_cuts_the_session(gateway, owner, sandbox, ssh, marker):
    tokens = []
    listener = socket.create_server(("127.0.0.1", 0))

    def carry():
        stream, _ = listener.accept()
        way, session = entered(gateway, owner, sandbox)
        tokens.append(session.token)
        with stream, way as inside:
            tunnel.ask(inside, "/connect/ssh", sandbox_id=sandbox.id, sandbox_token=session.token)
            back = threading.Thread(target=tunnel.copy, args=(inside, stream), daemon=True)
            back.start()
            tunnel.copy(stream, inside)
            back.join(20)

    threading.Thread(target=carry, daemon=True).start()
    port = listener.getsockname()[1]
    options = ["-o", "ProxyCommand=none", "-o", f"HostName=127.0.0.1", "-p", str(port), "-o", f"HostKeyAlias={ssh.host}"]
    process = ssh.start(f"echo in; sleep {marker}", options=options)
    assert process.stdout.readline() == b"in\n"
    assert owner.navigator.RevokeSshSession(api.RevokeSshSessionRequest(token=tokens[0])).revoked
    assert process.wait(20) == 255
    process.communicate()
    listener.close()
    eventually("what it started has ended", lambda: not sleeping(marker))


def test_everything_ends_when_the_gateway_does(gateway, ssh, marker):
    process = ssh.start(f"echo in; sleep {marker}")
    assert process.stdout.readline() == b"in\n"
    gateway.kill()
    assert process.wait(20) == 255
    process.communicate()
    gateway.start()
    eventually("what it started has ended", lambda: not sleeping(marker))
