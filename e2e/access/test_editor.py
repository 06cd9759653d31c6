"""What an editor does over SSH: it installs its server, starts it, and talks with it over forwarded ports."""
import socket
import struct
import threading

import pytest

from shell import Ssh
from waiting import eventually

# As editors' scripts are: read by a shell from standard input, with marks around what matters.
INSTALL = r"""
set -e
echo "b2b1: running"
ARCH=$(uname -m); PLATFORM=$(uname -s)
SERVER=$HOME/.editor-server/bin/0123456789abcdef
if [ ! -d "$SERVER" ]; then
  mkdir -p "$SERVER.part"
  tar -xzf "$HOME/.editor-server/server.tar.gz" -C "$SERVER.part"
  mv "$SERVER.part" "$SERVER"
fi
LOG=$HOME/.editor-server/log
setsid python3 "$SERVER/server.py" > "$LOG" 2>&1 < /dev/null &
echo $! > "$HOME/.editor-server/pid"
for i in $(seq 100); do grep -q listening "$LOG" && break; sleep 0.05; done
echo "b2b1: start"
echo "platform==$PLATFORM== arch==$ARCH=="
sed -n 's/.*listening on \([0-9]*\).*/listeningOn==\1==/p' "$LOG"
echo "b2b1: end"
"""
SERVER = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1], flush=True)
def serve(stream):
    while part := stream.recv(65536): stream.sendall(part.upper())
    stream.close()
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=20)
    except OSError:
        return None


def socks(port, host, target):
    """A connection by SOCKS5, or the reason why there is none."""
    stream = eventually("the proxy listens", lambda: connect(port))
    stream.sendall(b"\x05\x01\x00")
    assert stream.recv(2) == b"\x05\x00"
    stream.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack(">H", target))
    answer = stream.recv(10)
    return stream, answer[1] if len(answer) > 1 else None


def test_an_editor_installs_its_server_and_talks_with_it(ssh, person):
    (person.home / "server.py").write_text(SERVER)
    person.tool("tar", "-czf", "server.tar.gz", "server.py")
    ssh.run("mkdir -p .editor-server")
    ssh.sftp(f"put {person.home}/server.tar.gz .editor-server/server.tar.gz")
    local, dynamic = free_port(), free_port()
    options = ["-T", "-D", str(dynamic), "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5"]
    session = ssh.start("bash", options=options)
    try:
        session.stdin.write(INSTALL.encode())
        session.stdin.flush()
        said = b""
        while b"b2b1: end" not in said:
            line = session.stdout.readline()
            assert line, session.stderr.read()
            said += line
        port = int(said.split(b"listeningOn==")[1].split(b"==")[0])
        stream, refused = socks(dynamic, "127.0.0.1", port)
        assert refused == 0
        with stream:
            stream.sendall(b"hello")
            assert stream.recv(100) == b"HELLO"
        forward = ssh.start(options=["-N", "-L", f"{local}:127.0.0.1:{port}"])
        try:
            with eventually("the port is forwarded", lambda: connect(local)) as stream:
                sent = bytes(range(97, 123)) * 100_000
                threading.Thread(target=stream.sendall, args=(sent,), daemon=True).start()
                came = b""
                while len(came) < len(sent):
                    came += stream.recv(1 << 16)
                assert came == sent.upper()
        finally:
            forward.kill()
            forward.communicate(timeout=20)
        for host in ("example.com", "10.0.0.1", "169.254.169.254"):
            stream, refused = socks(dynamic, host, 80)
            stream.close()
            assert refused != 0, host
    finally:
        session.kill()
        session.communicate(timeout=20)
    # The server goes on, as editors expect who come back.
    assert ssh.text("ps -p $(cat .editor-server/pid) -o comm=") == "python3"
