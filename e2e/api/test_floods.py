"""Floods of HTTP/2 frames: who sends them is cut off or served, and the others do not notice."""
import contextlib
import itertools
import socket
import ssl
import struct
import tempfile
import threading

import pytest

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
# A request as HPACK (RFC 7541): POST, https, and a path that is written out.
PATH = b"/navigator.v1.Navigator/Health"
REQUEST = b"\x83\x87\x04" + bytes([len(PATH)]) + PATH + b"\x41\x09localhost\x5f\x10application/grpc"
# Megabytes that a gateway may take more than before, whatever one client does.
ROOM = 96


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def streams():
    return itertools.count(1, 2)


def rapid_resets():
    for stream in streams():
        yield frame(HEADERS, REQUEST, 0x4, stream) + frame(RESET, b"\0\0\0\x08", 0, stream)


def settings():
    while True:
        yield frame(SETTINGS, b"\0\x04\0\x01\0\0") * 200


def pings():
    while True:
        yield frame(PING, b"12345678") * 200


def empty_data():
    yield frame(HEADERS, REQUEST, 0x4, 1)
    while True:
        yield frame(DATA, b"", 0, 1) * 500


def endless_headers():
    yield frame(HEADERS, REQUEST, 0, 1)
    while True:
        yield frame(CONTINUATION, b"\0\x01a" + b"\x7f\x81\x7f" + b"x" * 16_000, 0, 1)


def calls_without_end():
    for stream in streams():
        yield frame(HEADERS, REQUEST, 0x4, stream)


def tiny_windows():
    yield frame(SETTINGS, b"\0\x04\0\0\0\0")
    for stream in streams():
        yield frame(HEADERS, REQUEST, 0x4, stream) + frame(DATA, b"\0" * 5, 1, stream)


@contextlib.contextmanager
def connected(gateway):
    context = ssl.create_default_context(cadata=gateway.authority.certificate.decode())
    identity = gateway.authority.client()
    with tempfile.NamedTemporaryFile() as both:
        both.write(identity.certificate + identity.key)
        both.flush()
        context.load_cert_chain(both.name)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            yield secure


def flood(gateway, frames, megabytes=8):
    """Sends frames, and reads nothing, until so much is sent, nothing is taken any more or the gateway hangs up."""
    left = megabytes << 20
    with connected(gateway) as stream, contextlib.suppress(OSError, TimeoutError):
        stream.sendall(PREFACE + frame(SETTINGS))
        for part in frames():
            stream.sendall(part)
            left -= len(part)
            if left < 0:
                return


def memory(gateway):
    """Megabytes that a gateway has."""
    status = open(f"/proc/{gateway._process.pid}/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


@pytest.mark.parametrize(
    "frames", [rapid_resets, settings, pings, empty_data, endless_headers, calls_without_end, tiny_windows]
)
def test_a_flood_is_nobody_elses_trouble(gateway, owner, frames):
    before, flooding = memory(gateway), [threading.Thread(target=flood, args=(gateway, frames)) for _ in range(2)]
    for one in flooding:
        one.start()
    while any(one.is_alive() for one in flooding):
        owner.sandboxes()
        assert memory(gateway) < before + ROOM
    for one in flooding:
        one.join()
    owner.sandboxes()
