"""Ways into sandboxes: who gets in, by which right, and where it leads."""
import concurrent.futures
import hashlib
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

import policies
from tunnel import ask, connection, everything, right
from waiting import eventually
from wire import api

ECHO = """
import socket, threading
listener = socket.socket(%s)
listener.bind((%r, 0)); listener.listen(64)
print(listener.getsockname()[1], flush=True)
def serve(one):
    while part := one.recv(65536): one.sendall(part)
    one.close()
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture(params=["unix", "tls"])
def way(request):
    """Over which connection."""
    return request.param


@pytest.fixture
def echo(client, sandbox):
    """A port in a sandbox that says what it is told."""
    ports = []

    def listen(family="socket.AF_INET", address="127.0.0.1"):
        events = client.events(sandbox, "python3", "-c", ECHO % (family, address))
        ports.append(events)
        return int(next(events).stdout.data)

    yield listen
    for events in ports:
        events.cancel()


def into(sandbox, token, port):
    """The headers that ask for a port."""
    return {"sandbox_id": sandbox.id, "sandbox_token": token, "sandbox_port": port}


@pytest.mark.parametrize("where", [("socket.AF_INET", "127.0.0.1"), ("socket.AF_INET6", "::1")])
def test_bytes_go_both_ways(gateway, client, sandbox, echo, way, where):
    port, sent = echo(*where), bytes(range(256)) * 40_000
    with connection(gateway, way) as stream:
        assert ask(stream, **into(sandbox, right(client, sandbox), port))[0] == 200
        threading.Thread(target=stream.sendall, args=(sent,)).start()
        came = b""
        while len(came) < len(sent):
            came += stream.recv(1 << 20)
    assert hashlib.sha256(came).digest() == hashlib.sha256(sent).digest()


def test_the_end_of_one_direction_is_passed_on(gateway, client, sandbox, echo):
    with connection(gateway, "unix") as stream:
        assert ask(stream, **into(sandbox, right(client, sandbox), echo()))[0] == 200
        stream.sendall(b"last words")
        stream.shutdown(1)
        assert everything(stream) == b"last words"


def test_a_right_is_good_for_one_connection(gateway, client, sandbox, echo, way):
    port, token = echo(), right(client, sandbox)
    with connection(gateway, way) as first, connection(gateway, way) as second:
        assert ask(first, **into(sandbox, token, port))[0] == 200
        assert ask(second, **into(sandbox, token, port))[0] == 401
    with connection(gateway, way) as third:
        assert ask(third, **into(sandbox, token, port))[0] == 401


def test_of_many_at_once_one_gets_in(gateway, client, sandbox, echo):
    port, token = echo(), right(client, sandbox)

    def attempt(_):
        with connection(gateway, "unix") as stream:
            return ask(stream, **into(sandbox, token, port))[0]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(attempt, range(16))) == [200] + [401] * 15


def test_a_right_that_found_nobody_is_still_good(gateway, client, sandbox, echo):
    port, token = echo(), right(client, sandbox)
    with connection(gateway, "unix") as stream:
        status, said = ask(stream, **into(sandbox, token, 1))
        assert status == 502 and "refused" in said
        assert ask(stream, **into(sandbox, token, port))[0] == 200


def test_a_right_that_is_taken_back_cuts_its_connection(gateway, client, sandbox, echo, way):
    port, token, other = echo(), right(client, sandbox), right(client, sandbox)
    with connection(gateway, way) as stream, connection(gateway, way) as kept:
        assert ask(stream, **into(sandbox, token, port))[0] == 200
        assert ask(kept, **into(sandbox, other, port))[0] == 200
        assert client.navigator.RevokeSshSession(api.RevokeSshSessionRequest(token=token)).revoked
        assert everything(stream) == b""
        kept.sendall(b"still here")
        assert kept.recv(100) == b"still here"
    with connection(gateway, way) as stream:
        assert ask(stream, **into(sandbox, token, port))[0] == 401


def test_a_connection_ends_with_its_sandbox(gateway, client):
    sandbox = client.create(policy=policies.online())
    events = client.events(sandbox, "python3", "-c", ECHO % ("socket.AF_INET", "127.0.0.1"))
    port = int(next(events).stdout.data)
    with connection(gateway, "unix") as stream:
        assert ask(stream, **into(sandbox, right(client, sandbox), port))[0] == 200
        client.stop(sandbox.name)
        assert everything(stream) == b""


def right_of_another(client):
    """A right to reach a sandbox that nobody else has."""
    return right(client, client.create(policy=policies.offline()))


def test_a_right_leads_to_its_own_sandbox_only(gateway, client, sandbox, echo):
    with connection(gateway, "unix") as stream:
        assert ask(stream, **into(sandbox, right_of_another(client), echo()))[0] == 401


def test_a_stopped_sandbox_is_not_ready(gateway, client):
    sandbox = client.create(policy=policies.online())
    token = right(client, sandbox)
    client.stop(sandbox.name)
    with connection(gateway, "unix") as stream:
        status, said = ask(stream, **into(sandbox, token, 80))
    assert status == 412 and "stopped" in said


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "a" * 10_000, "'; --"])
def test_what_is_no_right_is_refused(gateway, client, sandbox, token):
    with connection(gateway, "unix") as stream:
        assert ask(stream, **into(sandbox, token, 80))[0] == 401


@pytest.mark.parametrize("name", ["", "x", "00000000-0000-0000-0000-000000000000", "../.."])
def test_an_unknown_sandbox_is_not_found(gateway, client, sandbox, name):
    with connection(gateway, "unix") as stream:
        headers = {"sandbox_id": name, "sandbox_token": right(client, sandbox), "sandbox_port": 80}
        assert ask(stream, **headers)[0] == 404


@pytest.mark.parametrize("port", ["", "0", "-1", "+80", "65536", "http", "80, 81"])
def test_what_is_no_port_is_refused(gateway, client, sandbox, port):
    with connection(gateway, "unix") as stream:
        assert ask(stream, **into(sandbox, right(client, sandbox), port))[0] == 400


@pytest.mark.parametrize("path", ["/connect/ssh", "/connect/files", "/connect/port", "/session/relay"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_other_methods_are_not_allowed(gateway, path, method):
    with connection(gateway, "unix") as stream:
        assert ask(stream, path, method)[0] == 405


def test_a_sandboxs_own_credential_opens_nothing(gateway, client, sandbox, echo):
    headers = into(sandbox, right(client, sandbox), echo())
    with connection(gateway, "unix") as stream:
        stream.sendall(b"")
        request = [b"CONNECT /connect/port HTTP/1.1", b"host: localhost"]
        request += [f"x-{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        request += [b"authorization: Bearer " + gateway.token(sandbox.id).encode()]
        stream.sendall(b"\r\n".join([*request, b"", b""]))
        assert stream.recv(100).startswith(b"HTTP/1.1 403 ")


def test_nobody_else_opens_a_supervisors_side(gateway, client, sandbox):
    with connection(gateway, "unix") as stream:
        assert ask(stream, "/session/relay")[0] == 401
    with connection(gateway, "unix") as stream:
        credential = gateway.token(sandbox.id).encode()
        stream.sendall(b"CONNECT /session/relay HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + credential)
        stream.sendall(b"\r\nx-relay-id: made-up\r\n\r\n")
        assert stream.recv(100).startswith(b"HTTP/1.1 404 ")


def test_the_number_of_connections_is_bounded(gateway, client):
    sandbox = client.create(policy=policies.online())
    events = client.events(sandbox, "python3", "-c", ECHO % ("socket.AF_INET", "127.0.0.1"))
    port, opened, statuses = int(next(events).stdout.data), [], []
    try:
        for _ in range(257):
            opened.append(connection(gateway, "unix"))
            statuses.append(ask(opened[-1].__enter__(), **into(sandbox, right(client, sandbox), port))[0])
    finally:
        for one in opened:
            one.__exit__(None, None, None)
    assert statuses == [200] * 256 + [429]

    def again():
        with connection(gateway, "unix") as stream:
            return ask(stream, **into(sandbox, right(client, sandbox), port))[0] == 200

    eventually("places are given back", again)


class Http2:
    """A way in by extended CONNECT (RFC 8441), on a connection that carries others as well."""

    def __init__(self, stream):
        self._stream = stream
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()
        self._connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        self._came, self._answers, self._ended = {}, {}, set()
        self._flush()
        while not self._connection.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL):
            self._read()

    def ask(self, path="/connect/port", protocol="navigator", **headers):
        stream = self._connection.get_next_available_stream_id()
        pseudo = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path)]
        named = [(f"x-{name.replace('_', '-')}", str(value)) for name, value in headers.items()]
        self._connection.send_headers(stream, [*pseudo, (":authority", "localhost"), *named])
        self._flush()
        while stream not in self._answers:
            self._read()
        return stream, self._answers[stream]

    def say(self, stream, data, end=False):
        self._connection.send_data(stream, data, end_stream=end)
        self._flush()

    def hear(self, stream, length):
        while len(self._came.get(stream, b"")) < length and stream not in self._ended:
            self._read()
        return self._came.get(stream, b"")

    def _read(self):
        data = self._stream.recv(65536)
        assert data, "the gateway hung up"
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self._answers[event.stream_id] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self._came[event.stream_id] = self._came.get(event.stream_id, b"") + event.data
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self._ended.add(event.stream_id)
        self._flush()

    def _flush(self):
        self._stream.sendall(self._connection.data_to_send())


def test_many_ways_share_one_connection_of_http2(gateway, client, sandbox, echo, way):
    port = echo()
    with connection(gateway, way, "h2") as plain:
        http2 = Http2(plain)
        opened = [http2.ask(**into(sandbox, right(client, sandbox), port)) for _ in range(5)]
        assert [status for _, status in opened] == [200] * 5
        for stream, _ in opened:
            http2.say(stream, b"from %d" % stream)
        for stream, _ in reversed(opened):
            assert http2.hear(stream, 6) == b"from %d" % stream
        http2.say(opened[0][0], b"", end=True)
        assert http2.hear(opened[0][0], 1 << 20) == b"from %d" % opened[0][0]


def test_a_right_that_is_taken_back_cuts_its_stream_of_http2(gateway, client, sandbox, echo):
    port, token = echo(), right(client, sandbox)
    with connection(gateway, "tls", "h2") as plain:
        http2 = Http2(plain)
        stream, status = http2.ask(**into(sandbox, token, port))
        kept, _ = http2.ask(**into(sandbox, right(client, sandbox), port))
        assert status == 200
        assert client.navigator.RevokeSshSession(api.RevokeSshSessionRequest(token=token)).revoked
        assert http2.hear(stream, 1) == b""
        http2.say(kept, b"still")
        assert http2.hear(kept, 5) == b"still"
        assert http2.ask(**into(sandbox, token, port))[1] == 401
