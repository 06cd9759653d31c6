"""Sandboxes and servers that lie."""

import socket
import struct
import threading

import pytest
from navigator import ProtocolError, SandboxError
from navigator._blocking.files import Files
from navigator._payloads import decode
from navigator._transport.blocking import Stream


class FileServer:
    """A file server that answers what a test wants: answers by kind of request, or everything."""

    timeout = 5.0

    def __init__(self, answers):
        self._answers = answers
        self._threads = []

    def tunnel(self, _sandbox_id, _path, _port=None):
        """A connection to it."""
        near, far = socket.socketpair()
        thread = threading.Thread(target=self._serve, args=(far,))
        thread.start()
        self._threads.append(thread)
        return Stream(near)

    def _serve(self, far):
        with far, far.makefile("rb") as requests:
            while head := requests.read(5):
                size, kind = struct.unpack(">IB", head)
                body = requests.read(size - 1)
                answer = self._answers.get(kind, OK)
                try:
                    far.sendall(answer(body) if callable(answer) else answer)
                except OSError:
                    return
                if answer is GONE:
                    return

    def end(self):
        """Waits until its connections are over."""
        for thread in self._threads:
            thread.join(10)


def packet(kind, number, body):
    """An answer to a request."""
    body = struct.pack(">BI", kind, number) + body
    return struct.pack(">I", len(body)) + body


def number(body):
    """Of a request."""
    return struct.unpack_from(">I", body)[0]


def text(data):
    """Bytes with their length."""
    return struct.pack(">I", len(data)) + data


def status(code):
    """Answers a status."""
    return lambda body: packet(101, number(body), struct.pack(">I", code) + text(b"") + text(b""))


def attributes(mode):
    """Of a file."""
    return struct.pack(">II", 4, mode)


def names(*listed, mode=0o100644):
    """Answers names once, then the end."""
    left = [listed]

    def answer(body):
        if not left:
            return status(1)(body)
        found = left.pop()
        rows = b"".join(text(name) + text(b"") + attributes(mode) for name in found)
        return packet(104, number(body), struct.pack(">I", len(found)) + rows)

    return answer


def handle(body):
    """Answers a handle."""
    return packet(102, number(body), text(b"h"))


GONE = b""
OK = status(0)
VERSION = struct.pack(">IBI", 5, 2, 3)
DIRECTORY = {1: VERSION, 11: handle, 3: handle, 17: lambda body: packet(105, number(body), attributes(0o040755))}


@pytest.fixture
def files():
    """Files of a sandbox whose file server answers this."""
    servers = []

    def make(answers):
        servers.append(FileServer(answers))
        return Files(servers[-1], "id")

    yield make
    for server in servers:
        server.end()


@pytest.mark.parametrize("name", [b"../up", b"/etc/passwd", b"a/b", b"", b"a\0b", b"..\0"])
def test_names_that_lead_elsewhere_are_refused(files, tmp_path, name):
    hostile = {**DIRECTORY, 12: names(name), 5: status(1)}
    with pytest.raises(ProtocolError, match="no file can have"):
        files(hostile).download("t", tmp_path / "t")
    hostile[12] = names(name)
    with pytest.raises(ProtocolError, match="no file can have"):
        files(hostile).list("t")
    assert [path.name for path in tmp_path.rglob("*")] == ["t"]


def test_a_name_that_is_there_twice_cannot_lead_a_file_through_a_link(files, tmp_path):
    rows = [(b"d", 0o120777), (b"d", 0o040755)]
    sent = []

    def listing(body):
        if sent:
            return status(1)(body)
        sent.append(body)
        listed = b"".join(text(name) + text(b"") + attributes(mode) for name, mode in rows)
        return packet(104, number(body), struct.pack(">I", 2) + listed)

    link = lambda body: packet(104, number(body), struct.pack(">I", 1) + text(b".") + text(b"") + attributes(0))  # noqa: E731
    with pytest.raises(SandboxError):
        files({**DIRECTORY, 12: listing, 19: link}).download("t", tmp_path / "t")
    assert not (tmp_path / "t" / "d").is_symlink()


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\x01\x67",
        lambda body: packet(103, number(body), b"\0\0\0\xff"),
        lambda body: packet(103, number(body) + 1, text(b"x")),
        lambda body: packet(103, number(body), text(b"x" * 200_000)),
        lambda body: packet(102, number(body), text(b"h")),
        lambda body: packet(104, number(body), struct.pack(">I", 2**32 - 1)),
        status(4),
        GONE,
        b"garbage" * 1000,
    ],
)
def test_answers_that_make_no_sense_end_the_conversation(files, answer):
    with pytest.raises(SandboxError):
        files({**DIRECTORY, 5: answer}).read("file")
    with pytest.raises(SandboxError):
        files({**DIRECTORY, 1: answer if isinstance(answer, bytes) else GONE}).read("file")


def test_a_directory_without_end_is_bounded(files):
    many = [b"%d" % n for n in range(2000)]
    rows = b"".join(text(name) + text(b"") + attributes(0o100644) for name in many)
    endless = lambda body: packet(104, number(body), struct.pack(">I", len(many)) + rows)  # noqa: E731
    with pytest.raises(SandboxError, match="entries"):
        files({**DIRECTORY, 12: endless}).list("t")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"N" * 2,
        b"i" + b"\xff" * 8,
        b"s\0\0\0\0\0\0\0\x01\xff",
        b"l" + (2**63).to_bytes(8, "big"),
        b"l\0\0\0\0\0\0\0\x01" * 102 + b"N",
        b"e\0\0\0\0\0\0\0\x01l\0\0\0\0\0\0\0\0",
        b"m\0\0\0\0\0\0\0\x01m\0\0\0\0\0\0\0\0N",
        b"e" + (2000).to_bytes(8, "big")
        + b"".join(b"i" + (20).to_bytes(8, "big") + (n * (2**61 - 1)).to_bytes(20, "big") for n in range(2000)),
        b"d\0",
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(data):
    with pytest.raises(ProtocolError):
        decode(data)
