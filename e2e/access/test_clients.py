"""SSH clients that are not OpenSSH, and what an auditor says of the server."""
import asyncio
import hashlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading

import asyncssh
import paramiko
import pytest

import tunnel
from shell import Ssh
from wire import api


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    ssh = Ssh(person, sandbox)
    # Its key is known from now on.
    ssh.run("true")
    return ssh


@pytest.fixture
def known(person, ssh):
    return str(person.home / "state" / "known_hosts" / ssh.host)


def proxy(ssh):
    """The command that leads to the sandbox's server."""
    return ["env", "-i", *(f"{name}={value}" for name, value in ssh.person.environment.items())] + [
        str(ssh.person.gateway.binary),
        "ssh-proxy",
        ssh.host,
    ]


def test_asyncssh(ssh, known, tmp_path):
    data = os.urandom(4 << 20)
    (tmp_path / "sent").write_bytes(data)

    async def use():
        options = {"username": "sandbox", "known_hosts": known, "proxy_command": proxy(ssh), "client_keys": None}
        async with asyncssh.connect(ssh.host, config=None, **options) as connection:
            done = await connection.run("cat; echo err >&2; exit 4", input="in")
            assert (done.stdout, done.stderr, done.exit_status) == ("in", "err\n", 4)
            killed = await connection.run("kill -TERM $$")
            assert killed.exit_signal[0] == "TERM"
            async with connection.start_sftp_client() as files:
                await files.put(str(tmp_path / "sent"), "by-asyncssh")
                await files.get("by-asyncssh", str(tmp_path / "back"))
                assert (await files.stat("by-asyncssh")).size == len(data)
                assert "by-asyncssh" in await files.listdir("/sandbox")
                await files.posix_rename("by-asyncssh", "again")
                assert (await files.statvfs("/sandbox")).bsize > 0
                await files.remove("again")
            many = await asyncio.gather(*(connection.run(f"echo {number}") for number in range(8)))
            assert [one.stdout for one in many] == [f"{number}\n" for number in range(8)]
            process = await connection.create_process(term_type="vt100", term_size=(77, 22))
            process.stdin.write("stty size; exit\n")
            assert "22 77" in (await process.communicate())[0]

    asyncio.run(use())
    assert (tmp_path / "back").read_bytes() == data


def test_paramiko(ssh, known, tmp_path):
    words = shlex.join(proxy(ssh))
    with paramiko.SSHClient() as client:
        client.load_host_keys(known)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            ssh.host, username="sandbox", sock=paramiko.ProxyCommand(words), look_for_keys=False, allow_agent=False,
            auth_strategy=Nothing(),
        )
        _, out, err = client.exec_command("echo out; echo err >&2; exit 9")
        assert (out.read(), err.read(), out.channel.recv_exit_status()) == (b"out\n", b"err\n", 9)
        data = os.urandom(2 << 20)
        (tmp_path / "sent").write_bytes(data)
        with client.open_sftp() as files:
            files.put(str(tmp_path / "sent"), "by-paramiko")
            with files.open("by-paramiko") as file:
                assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()
            files.remove("by-paramiko")


class Nothing(paramiko.auth_strategy.AuthStrategy):
    """There is nothing to show: the way in was the proof."""

    def __init__(self):
        super().__init__(ssh_config=None)

    def get_sources(self):
        yield paramiko.auth_strategy.NoneAuth("sandbox")


def test_an_auditor_finds_nothing(gateway, owner, sandbox):
    """ssh-audit connects by TCP and several times: each of its connections gets a tunnel of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(stream):
        with stream, tunnel.connection(gateway, "unix") as inside:
            session = owner.navigator.CreateSshSession(api.CreateSshSessionRequest(sandbox_id=sandbox.id))
            status, said = tunnel.ask(inside, "/connect/ssh", sandbox_id=sandbox.id, sandbox_token=session.token)
            assert status == 200, said
            back = threading.Thread(target=tunnel.copy, args=(inside, stream), daemon=True)
            back.start()
            tunnel.copy(stream, inside)
            back.join(20)

    def serve():
        while True:
            try:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        words = [sys.executable, "-m", "ssh_audit", "--json", "--skip-rate-test", "-p", str(port), "127.0.0.1"]
        done = subprocess.run(words, capture_output=True, timeout=120)
    finally:
        listener.close()
    found = json.loads(done.stdout)
    failed = [
        (kind, entry["algorithm"], entry["notes"]["fail"])
        for kind in ("kex", "key", "enc", "mac")
        for entry in found[kind]
        if entry.get("notes", {}).get("fail")
    ]
    assert failed == [] and found["cves"] == [], done.stdout.decode()
    assert sum(len(found[kind]) for kind in ("kex", "key", "enc", "mac")) > 5
