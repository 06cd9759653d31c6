"""A conversation with the file server of a sandbox."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType

from navigator import _sftp
from navigator._aio.connection import Connection
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

    async def __aenter__(self) -> Conversation:
        self._stream = await self._connection.tunnel(self._sandbox_id, "/connect/files")
        try:
            await self._write(_sftp.packet(_sftp.INIT, struct.pack(">I", _sftp.VERSION)))
            kind, body = await self._packet()
            if kind != _sftp.VERSION_ANSWER or Reader(body).number() != _sftp.VERSION:
                raise ProtocolError("the sandbox's file server speaks another version")
        except BaseException:
            await self._stream.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stream.close()

    async def look(self, path: str, *, follow: bool) -> Attributes:
        """What a file is, or what it leads to."""
        kind = _sftp.STAT if follow else _sftp.LSTAT
        return (await self._ask(kind, _sftp.text(path), _sftp.ATTRS, f"look at {path}")).attributes()

    async def entries(self, path: str) -> list[FileEntry]:
        """What is in a directory, by name."""
        what = f"list {path}"
        handle = (await self._ask(_sftp.OPENDIR, _sftp.text(path), _sftp.HANDLE, what)).data()
        found: list[FileEntry] = []
        try:
            while reader := await self._next_entries(handle, what):
                found += reader.entries()
                if len(found) > _MOST_ENTRIES:
                    raise ResourceExhausted(f"{path} has more than {_MOST_ENTRIES} entries")
        finally:
            await self._close(handle)
        return sorted(found, key=lambda entry: entry.name)

    async def _next_entries(self, handle: bytes, what: str) -> Reader | None:
        number = await self._send(_sftp.READDIR, _sftp.data(handle))
        return await self._answer(number, _sftp.NAME, what)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """A file's content, in pieces; several are on their way at the same time."""
        body = _sftp.text(path) + struct.pack(">I", _sftp.TO_READ) + _sftp.mode(None)
        handle = (await self._ask(_sftp.OPEN, body, _sftp.HANDLE, f"open {path}")).data()
        try:
            at, asked, pending = 0, 0, list[int]()
            while True:
                while len(pending) < _sftp.WINDOW:
                    span = struct.pack(">QI", asked, _sftp.PIECE)
                    pending.append(await self._send(_sftp.READ, _sftp.data(handle) + span))
                    asked += _sftp.PIECE
                answer = await self._answer(pending.pop(0), _sftp.DATA, f"read {path}")
                piece = answer.data() if answer else b""
                if not piece or len(piece) < _sftp.PIECE:
                    # What was asked for beyond is of no use: there is a gap, or the end.
                    for number in pending:
                        await self._answer(number, _sftp.DATA, f"read {path}")
                    pending, asked = [], at + len(piece)
                if not piece:
                    return
                if len(piece) > _sftp.PIECE:
                    raise ProtocolError("the sandbox's file server sends more than it was asked for")
                at += len(piece)
                yield piece
        finally:
            await self._close(handle)

    async def write(self, path: str, piece: Callable[[], Awaitable[bytes]], mode: int | None, part_path: str) -> None:
        """Makes a file whole or not at all: another one is written, then takes its place."""
        body = _sftp.text(part_path) + struct.pack(">I", _sftp.TO_WRITE_NEW) + _sftp.mode(mode)
        handle = (await self._ask(_sftp.OPEN, body, _sftp.HANDLE, f"write {path}")).data()
        try:
            try:
                await self._fill(handle, piece, path)
                if mode is not None:
                    attributes = _sftp.data(handle) + _sftp.mode(mode)
                    await self._ask(_sftp.FSETSTAT, attributes, _sftp.STATUS, f"set the permissions of {path}")
            finally:
                await self._close(handle)
            await self._rename(part_path, path)
        except SandboxError:
            await self._forget(part_path)
            raise

    async def _fill(self, handle: bytes, piece: Callable[[], Awaitable[bytes]], path: str) -> None:
        at, pending = 0, list[int]()
        while data := await piece():
            for begin in range(0, len(data), _sftp.PIECE):
                part = data[begin : begin + _sftp.PIECE]
                body = _sftp.data(handle) + struct.pack(">Q", at) + _sftp.data(part)
                pending.append(await self._send(_sftp.WRITE, body))
                at += len(part)
                if len(pending) >= _sftp.WINDOW:
                    await self._answer(pending.pop(0), _sftp.STATUS, f"write {path}")
        for number in pending:
            await self._answer(number, _sftp.STATUS, f"write {path}")

    async def _forget(self, path: str) -> None:
        try:
            await self._ask(_sftp.REMOVE, _sftp.text(path), _sftp.STATUS, f"remove {path}")
        except SandboxError:
            # The failure that led here is the one to tell.
            return

    async def make_directory(self, path: str, mode: int) -> None:
        """Makes a directory unless it is there."""
        try:
            body = _sftp.text(path) + _sftp.mode(mode)
            await self._ask(_sftp.MKDIR, body, _sftp.STATUS, f"make the directory {path}")
        except SandboxError:
            try:
                there = (await self.look(path, follow=True)).kind == "directory"
            except SandboxError:
                there = False
            if not there:
                raise

    async def link(self, path: str, target: str, part_path: str) -> None:
        """Makes a symbolic link, in place of what had that path."""
        # OpenSSH's order, which is not the draft's.
        body = _sftp.text(target) + _sftp.text(part_path)
        await self._ask(_sftp.SYMLINK, body, _sftp.STATUS, f"make the link {path}")
        try:
            await self._rename(part_path, path)
        except SandboxError:
            await self._forget(part_path)
            raise

    async def _rename(self, part_path: str, path: str) -> None:
        names = _sftp.text("posix-rename@openssh.com") + _sftp.text(part_path) + _sftp.text(path)
        await self._ask(_sftp.EXTENDED, names, _sftp.STATUS, f"write {path}")

    async def target(self, path: str) -> str:
        """Where a symbolic link leads."""
        reader = await self._ask(_sftp.READLINK, _sftp.text(path), _sftp.NAME, f"read the link {path}")
        if reader.number() != 1:
            raise ProtocolError("the sandbox's file server names several targets of a link")
        return reader.text()

    async def _close(self, handle: bytes) -> None:
        await self._ask(_sftp.CLOSE, _sftp.data(handle), _sftp.STATUS, "close a file")

    async def _ask(self, kind: int, body: bytes, wanted: int, what: str) -> Reader:
        answer = await self._answer(await self._send(kind, body), wanted, what)
        if answer is None:
            raise ProtocolError(f"failed to {what}: the file server says that something is at its end")
        return answer

    async def _send(self, kind: int, body: bytes) -> int:
        self._last = (self._last + 1) % 2**32
        await self._write(_sftp.packet(kind, struct.pack(">I", self._last) + body))
        return self._last

    async def _answer(self, number: int, wanted: int, what: str) -> Reader | None:
        """The answer to a request; `None` when it is the end."""
        while number not in self._early:
            kind, body = await self._packet()
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

    async def _write(self, packet: bytes) -> None:
        await self._stream.write(packet, self._connection.timeout)

    async def _packet(self) -> tuple[int, bytes]:
        size = int.from_bytes(await self._bytes(4), "big")
        if not 0 < size <= _sftp.MOST_PACKET:
            raise ProtocolError("the sandbox's file server sends a packet that is too large")
        whole = await self._bytes(size)
        return whole[0], whole[1:]

    async def _bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            some = await self._stream.read(_sftp.MOST_PACKET, self._connection.timeout)
            if not some:
                raise ProtocolError("the sandbox's file server has gone")
            self._buffer += some
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
