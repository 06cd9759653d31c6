# Generated from navigator/_aio/sftp.py by python/tools/generate.py.
"""A conversation with the file server of a sandbox."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from types import TracebackType

from navigator import _sftp
from navigator._blocking.connection import Connection
from navigator._errors import ProtocolError, ResourceExhausted, SandboxError
from navigator._sftp import Attributes, Reader
from navigator._values import FileEntry

# Entries that a directory may have: a list of more is a trap.
_MOST_ENTRIES = 200_000


class Conversation:
    """One connection to a file server. Use it in a `with` block."""

    def __init__(self, connection: Connection, sandbox_id: str) -> None:
        self._connection = connection
        self._sandbox_id = sandbox_id
        self._buffer = bytearray()
        self._last = 0
        # Answers that came before they were asked for: as many as there are requests on their way.
        self._early: dict[int, tuple[int, Reader]] = {}

    def __enter__(self) -> Conversation:
        self._stream = self._connection.tunnel(self._sandbox_id, "/connect/files")
        try:
            self._write(_sftp.packet(_sftp.INIT, struct.pack(">I", _sftp.VERSION)))
            kind, body = self._packet()
            if kind != _sftp.VERSION_ANSWER or Reader(body).number() != _sftp.VERSION:
                raise ProtocolError("the sandbox's file server speaks another version")
        except BaseException:
            self._stream.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def look(self, path: str, *, follow: bool) -> Attributes:
        """What a file is, or what it leads to."""
        kind = _sftp.STAT if follow else _sftp.LSTAT
        return (self._ask(kind, _sftp.text(path), _sftp.ATTRS, f"look at {path}")).attributes()

    def entries(self, path: str) -> list[FileEntry]:
        """What is in a directory, by name."""
        what = f"list {path}"
        handle = (self._ask(_sftp.OPENDIR, _sftp.text(path), _sftp.HANDLE, what)).data()
        found: list[FileEntry] = []
        try:
            while reader := self._next_entries(handle, what):
                found += reader.entries()
                if len(found) > _MOST_ENTRIES:
                    raise ResourceExhausted(f"{path} has more than {_MOST_ENTRIES} entries")
        finally:
            self._close(handle)
        return sorted(found, key=lambda entry: entry.name)

    def _next_entries(self, handle: bytes, what: str) -> Reader | None:
        number = self._send(_sftp.READDIR, _sftp.data(handle))
        return self._answer(number, _sftp.NAME, what)

    def read(self, path: str) -> Generator[bytes, None, None]:
        """A file's content, in pieces; several are on their way at the same time."""
        body = _sftp.text(path) + struct.pack(">I", _sftp.TO_READ) + _sftp.mode(None)
        handle = (self._ask(_sftp.OPEN, body, _sftp.HANDLE, f"open {path}")).data()
        try:
            at, asked, pending = 0, 0, list[int]()
            while True:
                while len(pending) < _sftp.WINDOW:
                    span = struct.pack(">QI", asked, _sftp.PIECE)
                    pending.append(self._send(_sftp.READ, _sftp.data(handle) + span))
                    asked += _sftp.PIECE
                answer = self._answer(pending.pop(0), _sftp.DATA, f"read {path}")
                piece = answer.data() if answer else b""
                if not piece or len(piece) < _sftp.PIECE:
                    # What was asked for beyond is of no use: there is a gap, or the end.
                    for number in pending:
                        self._answer(number, _sftp.DATA, f"read {path}")
                    pending, asked = [], at + len(piece)
                if not piece:
                    return
                if len(piece) > _sftp.PIECE:
                    raise ProtocolError("the sandbox's file server sends more than it was asked for")
                at += len(piece)
                yield piece
        finally:
            self._close(handle)

    def write(self, path: str, piece: Callable[[], bytes], mode: int | None, part_path: str) -> None:
        """Makes a file whole or not at all: another one is written, then takes its place."""
        body = _sftp.text(part_path) + struct.pack(">I", _sftp.TO_WRITE_NEW) + _sftp.mode(mode)
        handle = (self._ask(_sftp.OPEN, body, _sftp.HANDLE, f"write {path}")).data()
        try:
            try:
                self._fill(handle, piece, path)
                if mode is not None:
                    attributes = _sftp.data(handle) + _sftp.mode(mode)
                    self._ask(_sftp.FSETSTAT, attributes, _sftp.STATUS, f"set the permissions of {path}")
            finally:
                self._close(handle)
            self._rename(part_path, path)
        except SandboxError:
            self._forget(part_path)
            raise

    def _fill(self, handle: bytes, piece: Callable[[], bytes], path: str) -> None:
        at, pending = 0, list[int]()
        while data := piece():
            for begin in range(0, len(data), _sftp.PIECE):
                part = data[begin : begin + _sftp.PIECE]
                body = _sftp.data(handle) + struct.pack(">Q", at) + _sftp.data(part)
                pending.append(self._send(_sftp.WRITE, body))
                at += len(part)
                if len(pending) >= _sftp.WINDOW:
                    self._answer(pending.pop(0), _sftp.STATUS, f"write {path}")
        for number in pending:
            self._answer(number, _sftp.STATUS, f"write {path}")

    def _forget(self, path: str) -> None:
        try:
            self._ask(_sftp.REMOVE, _sftp.text(path), _sftp.STATUS, f"remove {path}")
        except SandboxError:
            # The failure that led here is the one to tell.
            return

    def make_directory(self, path: str, mode: int) -> None:
        """Makes a directory unless it is there."""
        try:
            body = _sftp.text(path) + _sftp.mode(mode)
            self._ask(_sftp.MKDIR, body, _sftp.STATUS, f"make the directory {path}")
        except SandboxError:
            try:
                there = (self.look(path, follow=True)).kind == "directory"
            except SandboxError:
                there = False
            if not there:
                raise

    def link(self, path: str, target: str, part_path: str) -> None:
        """Makes a symbolic link, in place of what had that path."""
        # OpenSSH's order, which is not the draft's.
        body = _sftp.text(target) + _sftp.text(part_path)
        self._ask(_sftp.SYMLINK, body, _sftp.STATUS, f"make the link {path}")
        try:
            self._rename(part_path, path)
        except SandboxError:
            self._forget(part_path)
            raise

    def _rename(self, part_path: str, path: str) -> None:
        names = _sftp.text("posix-rename@openssh.com") + _sftp.text(part_path) + _sftp.text(path)
        self._ask(_sftp.EXTENDED, names, _sftp.STATUS, f"write {path}")

    def target(self, path: str) -> str:
        """Where a symbolic link leads."""
        reader = self._ask(_sftp.READLINK, _sftp.text(path), _sftp.NAME, f"read the link {path}")
        if reader.number() != 1:
            raise ProtocolError("the sandbox's file server names several targets of a link")
        return reader.text()

    def _close(self, handle: bytes) -> None:
        self._ask(_sftp.CLOSE, _sftp.data(handle), _sftp.STATUS, "close a file")

    def _ask(self, kind: int, body: bytes, wanted: int, what: str) -> Reader:
        answer = self._answer(self._send(kind, body), wanted, what)
        if answer is None:
            raise ProtocolError(f"failed to {what}: the file server says that something is at its end")
        return answer

    def _send(self, kind: int, body: bytes) -> int:
        self._last = (self._last + 1) % 2**32
        self._write(_sftp.packet(kind, struct.pack(">I", self._last) + body))
        return self._last

    def _answer(self, number: int, wanted: int, what: str) -> Reader | None:
        """The answer to a request; `None` when it is the end."""
        while number not in self._early:
            kind, body = self._packet()
            reader = Reader(body)
            other = reader.number()
            if other in self._early or len(self._early) > _sftp.WINDOW:
                raise ProtocolError("the sandbox's file server answers what was not asked")
            self._early[other] = kind, reader
        kind, reader = self._early.pop(number)
        if kind == wanted != _sftp.STATUS:
            return reader
        if kind != _sftp.STATUS:
            raise ProtocolError(f"failed to {what}: the file server answers something else")
        code = Reader(reader.rest()).number()
        if code == _sftp.OK and wanted == _sftp.STATUS:
            return reader
        if code == _sftp.END:
            return None
        raise _sftp.failure(reader, what)

    def _write(self, packet: bytes) -> None:
        self._stream.write(packet, self._connection.timeout)

    def _packet(self) -> tuple[int, bytes]:
        size = int.from_bytes(self._bytes(4), "big")
        if not 0 < size <= _sftp.MOST_PACKET:
            raise ProtocolError("the sandbox's file server sends a packet that is too large")
        whole = self._bytes(size)
        return whole[0], whole[1:]

    def _bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            some = self._stream.read(_sftp.MOST_PACKET, self._connection.timeout)
            if not some:
                raise ProtocolError("the sandbox's file server has gone")
            self._buffer += some
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
