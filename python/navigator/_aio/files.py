"""Files of a sandbox: read, written, listed, and carried in both directions."""

from __future__ import annotations

import builtins
import contextlib
import os
import posixpath
import secrets
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from navigator import _local_tree
from navigator._aio.connection import Connection
from navigator._aio.sftp import Conversation
from navigator._errors import InvalidArgument, ResourceExhausted
from navigator._local_tree import Budget, Directory
from navigator._transport import asynchronous as transport
from navigator._values import FileEntry

# Bytes that `read` takes into memory unless it is told otherwise, and that `download` writes.
MOST_READ = 64 * 1024 * 1024
MOST_DOWNLOAD = 16 * 1024 * 1024 * 1024
# Files and directories of one download.
_MOST_FILES = 1_000_000
# Bytes of a local file that are read at once.
_LOCAL_PIECE = 1024 * 1024


class Files:
    """The files of one sandbox. Paths that are not absolute begin at its home, `/sandbox`."""

    def __init__(self, connection: Connection, sandbox_id: str) -> None:
        self._connection = connection
        self._sandbox_id = sandbox_id

    def _talk(self) -> Conversation:
        return Conversation(self._connection, self._sandbox_id)

    async def read(self, path: str, *, max_bytes: int = MOST_READ) -> bytes:
        """A file's content, of at most `max_bytes`."""
        content = bytearray()
        async with self._talk() as talk, contextlib.aclosing(talk.read(path)) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > max_bytes:
                    raise ResourceExhausted(f"{path} has more than {max_bytes} bytes; download it, or say max_bytes")
        return bytes(content)

    async def write(self, path: str, data: bytes | str, *, mode: int = 0o644) -> None:
        """Makes a file of these bytes, or of this text in UTF-8, in place of what had that path: whole or not at all."""
        pieces = [data.encode() if isinstance(data, str) else data]

        async def piece() -> bytes:
            return pieces.pop() if pieces else b""

        async with self._talk() as talk:
            await talk.write(path, piece, mode, _part(path))

    async def list(self, path: str = ".") -> builtins.list[FileEntry]:
        """What is in a directory, by name."""
        async with self._talk() as talk:
            return await talk.entries(path)

    async def upload(self, local: str | os.PathLike[str], remote: str) -> None:
        """Copies a file, or a directory with all that is in it, to this path. Links are copied as links."""
        async with self._talk() as talk:
            await self._up(talk, Path(local), remote, top=True)

    async def _up(self, talk: Conversation, local: Path, remote: str, *, top: bool) -> None:
        try:
            found = local.stat() if top else local.lstat()
            if stat.S_ISDIR(found.st_mode):
                await talk.make_directory(remote, stat.S_IMODE(found.st_mode))
                for name in sorted(os.listdir(local)):
                    await self._up(talk, local / name, f"{remote}/{name}", top=False)
            elif stat.S_ISLNK(found.st_mode):
                await talk.link(remote, os.readlink(local), _part(remote))
            elif stat.S_ISREG(found.st_mode):
                with local.open("rb") as file:
                    await talk.write(remote, _pieces(file), stat.S_IMODE(found.st_mode), _part(remote))
            else:
                raise InvalidArgument(f"failed to upload {local}: it is no file, directory or link")
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            raise InvalidArgument(f"failed to read {local}: {error.strerror or error}") from error

    async def download(self, remote: str, local: str | os.PathLike[str], *, max_bytes: int = MOST_DOWNLOAD) -> builtins.list[str]:
        """Copies a file, or a directory with all that is in it, to this path, and returns what was left out.

        Nothing is written outside `local`, whatever the sandbox does: links that lead out of the directory, and what is no file,
        directory or link, are left out; links of this machine are not followed below `local`. Each file is written whole or not
        at all.
        """
        target, budget = Path(os.path.abspath(local)), Budget(max_bytes)
        async with self._talk() as talk:
            attributes = await talk.look(remote, follow=True)
            with contextlib.closing(_local_tree.open_directory(target.parent)) as parent:
                if attributes.kind != "directory":
                    await self._down(talk, remote, parent, target.name, attributes.mode, budget)
                    return []
            with _local_tree.told(str(target)):
                target.mkdir(exist_ok=True)
            return await _Download(talk, budget, self._down).run(remote, target)

    async def _down(self, talk: Conversation, remote: str, into: Directory, name: str, mode: int, budget: Budget) -> None:
        with contextlib.closing(into.file(name, mode)) as file:
            async with contextlib.aclosing(talk.read(remote)) as pieces:
                async for piece in pieces:
                    budget.take(len(piece))
                    file.write(piece)
            file.keep()


class _Download:
    """A directory that is being copied to this machine."""

    def __init__(self, talk: Conversation, budget: Budget, copy: Callable[..., Awaitable[None]]) -> None:
        self._talk = talk
        self._budget = budget
        self._copy = copy
        self._files = 0
        self._left_out: list[str] = []
        # Made last, when nothing is written any more that could go through them.
        self._links: list[tuple[Directory, str, str]] = []

    async def run(self, remote: str, local: Path) -> list[str]:
        """Copies it, and returns what was left out, seen from it."""
        with contextlib.ExitStack() as opened:
            root = opened.enter_context(contextlib.closing(_local_tree.open_directory(local)))
            await self._directory(remote, root, "", opened)
            for directory, name, target in self._links:
                directory.link(name, target)
        return self._left_out

    async def _directory(self, remote: str, into: Directory, path: str, opened: contextlib.ExitStack) -> None:
        for entry in await self._talk.entries(remote):
            self._files += 1
            if self._files > _MOST_FILES:
                raise ResourceExhausted(f"there are more than {_MOST_FILES} files")
            await self._entry(entry, f"{remote}/{entry.name}", into, f"{path}{entry.name}", opened)

    async def _entry(self, entry: FileEntry, remote: str, into: Directory, path: str, opened: contextlib.ExitStack) -> None:
        if entry.kind == "directory":
            with contextlib.closing(into.below(entry.name, entry.mode)) as below:
                await self._directory(remote, below, f"{path}/", opened)
        elif entry.kind == "file":
            await self._copy(self._talk, remote, into, entry.name, entry.mode, self._budget)
        elif entry.kind == "symlink":
            target = await self._talk.target(remote)
            if _local_tree.stays_inside(target, into.depth):
                self._links.append((opened.enter_context(contextlib.closing(into.again())), entry.name, target))
            else:
                self._left_out.append(path)
        else:
            self._left_out.append(path)


def _pieces(file: BinaryIO) -> Callable[[], Awaitable[bytes]]:
    async def piece() -> bytes:
        return await transport.aside(lambda: file.read(_LOCAL_PIECE))

    return piece


def _part(path: str) -> str:
    """A name beside a path, for a file that is not whole yet."""
    directory, name = posixpath.split(path)
    if name in ("", ".", ".."):
        raise InvalidArgument(f"{path!r} is no path of a file")
    return posixpath.join(directory, f".{name[:100]}.{secrets.token_hex(8)}.part")
