"""Ports of sandboxes, on this machine."""

import concurrent.futures
import socket
import urllib.request

import pytest
from navigator import InvalidArgument, Unavailable
from test_exec import online
from waiting import eventually

SERVER = """
import http.server, socketserver
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
Server(("127.0.0.1", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
ECHO = """
import socket
server = socket.create_server(("127.0.0.1", 8001))
while True:
    connection, _ = server.accept()
    got = b""
    while part := connection.recv(65536):
        got += part
    connection.sendall(b"%d bytes" % len(got))
    connection.close()
"""


@pytest.fixture
def served(twin, any_client):
    """A sandbox with servers in it."""
    with twin.sandbox(any_client, policy=online("one.example")) as sandbox:
        sandbox.files.write("hello.txt", "from inside")
        sandbox.files.write("server.py", SERVER)
        sandbox.files.write("echo.py", ECHO)
        begin = "for one in server echo; do setsid python3 $one.py >/dev/null 2>&1 </dev/null & done"
        sandbox.exec(["sh", "-c", begin], check=True)
        probe = 'import socket,sys\nfor p in (8000, 8001): socket.create_connection(("127.0.0.1", p)).close()'
        eventually("it listens", lambda: sandbox.exec(["python3", "-c", probe]).exit_code == 0)
        yield sandbox


def test_a_port_is_forwarded_while_the_block_lasts(served):
    with served.forward(8000) as forward:
        url = f"http://{forward.address}/hello.txt"

        def get(_):
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.read()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert set(pool.map(get, range(24))) == {b"from inside"}
        address = (forward.host, forward.port)
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=5).close()


def test_bytes_are_carried_until_each_side_ends(served, way):
    if way == "tls":
        pytest.skip("a connection over TLS ends in both directions at once")
    with served.forward(8001) as forward, socket.create_connection((forward.host, forward.port), timeout=30) as connection:
        connection.sendall(b"x" * 1_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"1000000 bytes"
        assert connection.recv(100) == b""


def test_a_port_where_nobody_listens_ends_the_connection(served):
    with served.forward(9) as forward, socket.create_connection((forward.host, forward.port), timeout=30) as connection:
        assert connection.recv(1) == b""


def test_connections_end_with_the_block(served):
    with served.forward(8001) as forward:
        connection = socket.create_connection((forward.host, forward.port), timeout=30)
        connection.sendall(b"x")
    with connection:
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            return


def test_ports_that_cannot_be_are_refused(sandbox):
    for port in (0, 65536, -1):
        with pytest.raises(InvalidArgument), sandbox.forward(port):
            pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(Unavailable, match="listen"), sandbox.forward(80, local_port=taken.getsockname()[1]):
            pass
