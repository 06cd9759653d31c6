"""The words of SFTP version 3 (draft-ietf-secsh-filexfer-02), read with suspicion: a sandbox says them."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass

from navigator._errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ProtocolError,
    SandboxError,
    shortened,
)
from navigator._values import FileEntry, FileKind

VERSION = 3
# Largest packet that is taken: a piece of data, or a list of names, as servers send them.
MOST_PACKET = 512 * 1024
# Bytes of a file in one packet, and packets on their way: enough for a fast connection, and a bound for memory.
PIECE = 128 * 1024
WINDOW = 8
# Kinds of packets.
INIT, VERSION_ANSWER, OPEN, CLOSE, READ, WRITE, LSTAT = 1, 2, 3, 4, 5, 6, 7
FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, STAT = 10, 11, 12, 13, 14, 17
READLINK, SYMLINK, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = 19, 20, 101, 102, 103, 104, 105, 200
# How a file is opened.
TO_READ, TO_WRITE_NEW = 0x01, 0x02 | 0x08 | 0x20
# Status codes.
OK, END = 0, 1
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 0x01, 0x02, 0x04, 0x08, 0x80000000


def text(words: str) -> bytes:
    """A path or name, with its length."""
    if "\0" in words or not words:
        raise InvalidArgument(f"{words!r} is no path")
    return data(words.encode("utf-8", "surrogateescape"))


def data(content: bytes) -> bytes:
    """Bytes, with their length."""
    return struct.pack(">I", len(content)) + content


def mode(bits: int | None) -> bytes:
    """Attributes that say a file's permissions, or nothing."""
    return struct.pack(">I", 0) if bits is None else struct.pack(">II", _HAS_MODE, bits & 0o7777)


def packet(kind: int, body: bytes) -> bytes:
    """A whole packet."""
    return struct.pack(">IB", len(body) + 1, kind) + body


@dataclass(frozen=True)
class Attributes:
    """What a file is."""

    size: int = 0
    mode: int = 0
    modified: int = 0

    @property
    def kind(self) -> FileKind:
        """What kind of file."""
        if stat.S_ISREG(self.mode):
            return "file"
        if stat.S_ISDIR(self.mode):
            return "directory"
        return "symlink" if stat.S_ISLNK(self.mode) else "other"


class Reader:
    """The body of a packet."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def _take(self, size: int) -> bytes:
        if size > len(self._body) - self._at:
            raise ProtocolError("the sandbox's file server sends a packet that is cut short")
        self._at += size
        return self._body[self._at - size : self._at]

    def rest(self) -> bytes:
        """What was not read yet, and still is not."""
        return self._body[self._at :]

    def number(self) -> int:
        """A number of four bytes."""
        return int.from_bytes(self._take(4), "big")

    def data(self) -> bytes:
        """Bytes with their length."""
        return self._take(self.number())

    def text(self) -> str:
        """A name or path."""
        return self.data().decode("utf-8", "surrogateescape")

    def attributes(self) -> Attributes:
        """What a file is."""
        flags = self.number()
        size = int.from_bytes(self._take(8), "big") if flags & _HAS_SIZE else 0
        if flags & _HAS_OWNER:
            self._take(8)
        bits = self.number() if flags & _HAS_MODE else 0
        modified = 0
        if flags & _HAS_TIMES:
            self._take(4)
            modified = self.number()
        for _ in range(2 * self.number() if flags & _HAS_MORE else 0):
            self.data()
        return Attributes(size, bits, modified)

    def entries(self) -> list[FileEntry]:
        """Names of a directory, without itself and the one above it."""
        found = []
        for _ in range(self.number()):
            name = self.text()
            self.data()
            attributes = self.attributes()
            if name not in (".", ".."):
                check_name(name)
                permissions = stat.S_IMODE(attributes.mode)
                found.append(FileEntry(name, attributes.kind, attributes.size, permissions, attributes.modified))
        return found


def check_name(name: str) -> None:
    """Refuses a name that would lead out of its directory."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ProtocolError(f"the sandbox lists a file with the name {shortened(ascii(name))}, which no file can have")


def failure(reader: Reader, what: str) -> SandboxError:
    """The error that a status means."""
    code, words = reader.number(), shortened(reader.text())
    kinds: dict[int, type[SandboxError]] = {2: NotFound, 3: PermissionDenied, 11: AlreadyExists}
    return kinds.get(code, SandboxError)(f"failed to {what}: {words or f'status {code}'}")
