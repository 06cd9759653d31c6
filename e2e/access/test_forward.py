"""Ports of a sandbox on the user's machine."""
import concurrent.futures
import http.server
import json
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

import policies
from waiting import eventually

SERVE = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"x" * int(self.path[1:] or 5)
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def page(owner, sandbox):
    """A port of the sandbox where pages are served, whoever follows the server."""
    script = "setsid python3 -c \"$0\" > port 2> /dev/null < /dev/null & while ! grep -q . port; do sleep 0.01; done; cat port"
    return int(owner.run(sandbox, "/bin/sh", "-c", script, SERVE).text)


def fetch(address, path="/"):
    """Fetches a page."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        return answer.read()


class Forward:
    """A forward that runs while a block does."""

    def __init__(self, person, *words):
        self._process = person.start("sandbox", "forward", *words, "-o", "json", stdin=subprocess.DEVNULL)

    def __enter__(self):
        text = b""
        while not text.endswith(b"\n]\n"):
            part = self._process.stdout.read(1)
            assert part, self._process.stderr.read().decode()
            text += part
        self.ports = json.loads(text)
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=20)

    @property
    def local(self):
        return self.ports[0]["local"]

    def ended(self):
        """How it ended by itself."""
        return self._process.wait(20), self._process.stderr.read().decode()


def test_pages_are_served(anybody, sandbox, page):
    with Forward(anybody, sandbox.name, f"0:{page}") as forward:
        assert forward.ports[0]["remote"] == page
        assert fetch(forward.local) == b"x" * 5
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            sizes = [1_000 * number for number in range(1, 61)]
            pages = list(pool.map(lambda size: fetch(forward.local, f"/{size}"), sizes))
        assert [len(one) for one in pages] == sizes


def test_only_this_machine_reaches_it(person, sandbox, page):
    with Forward(person, sandbox.name, f"0:{page}") as forward:
        assert forward.local.startswith("127.0.0.1:")
        port = int(forward.local.rsplit(":", 1)[1])
        with socket.socket() as elsewhere:
            # Another address of this machine is where others would come to.
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_where_nobody_listens_closes_connections_and_says_why(person, sandbox):
    process = person.start("sandbox", "forward", sandbox.name, "0:1", "-o", "json", stdin=subprocess.DEVNULL)
    text = b""
    while not text.endswith(b"\n]\n"):
        text += process.stdout.read(1)
    host, port = json.loads(text)[0]["local"].rsplit(":", 1)
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=20) as stream:
            stream.settimeout(20)
            try:
                assert stream.recv(1) == b""
            except ConnectionResetError:
                pass
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert said.decode().count("refused") == 1, said.decode()


def test_the_background_is_listed_and_stopped(anybody, sandbox, page):
    started = anybody.json("sandbox", "forward", sandbox.name, f"0:{page}", "--background")
    assert anybody.json("sandbox", "forwards") == started
    assert fetch(started[0]["local"]) == b"x" * 5
    port = started[0]["local"].rsplit(":", 1)[1]
    assert anybody.run("sandbox", "forwards", "stop", "another", check=False).returncode == 1
    assert anybody.json("sandbox", "forwards") == started
    anybody.run("sandbox", "forwards", "stop", port)
    assert anybody.json("sandbox", "forwards") == []
    with pytest.raises(urllib.error.URLError):
        fetch(started[0]["local"])


def test_the_background_that_cannot_begin_says_why(person, sandbox):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = person.run("sandbox", "forward", "-b", sandbox.name, f"{port}:80", check=False)
    assert done.returncode == 125 and b"in use" in done.stderr, done.stderr
    assert person.json("sandbox", "forwards") == []


def test_it_ends_with_its_sandbox(person, owner):
    sandbox = owner.create(policy=policies.online())
    with Forward(person, sandbox.name, "0:80") as forward:
        started = person.json("sandbox", "forward", "-b", sandbox.name, "0:80")
        owner.delete(sandbox.name)
        code, said = forward.ended()
        assert code == 1 and sandbox.name in said, said
    eventually("the background ends", lambda: not person.json("sandbox", "forwards"))
    assert started


def test_it_survives_the_gateway(person, gateway, sandbox, page):
    with Forward(person, sandbox.name, f"0:{page}") as forward:
        assert fetch(forward.local) == b"x" * 5
        gateway.kill()
        gateway.start()

        def again():
            try:
                return fetch(forward.local) == b"x" * 5
            except OSError:
                return False

        eventually("pages are served again", again)


@pytest.mark.parametrize("words", [["0"], ["x:y"], ["65536"], ["1:2:3:4"], ["demo"]])
def test_what_is_no_port_is_refused(person, words):
    done = person.run("sandbox", "forward", "demo", *words, check=False)
    assert done.returncode == 2 and b"port" in done.stderr, done.stderr


def test_neither_this_machine_nor_another_sandbox_is_reached(person, owner, sandbox):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    other = owner.create(policy=policies.online())
    events = owner.events(other, "python3", "-c", SERVE)
    try:
        ports = [server.server_port, person.gateway.port, int(next(events).stdout.data)]
        for port in ports:
            with Forward(person, sandbox.name, f"0:{port}") as forward:
                with pytest.raises((urllib.error.URLError, ConnectionError)):
                    fetch(forward.local)
    finally:
        events.cancel()
        server.shutdown()
        server.server_close()
        owner.delete(other.name)
