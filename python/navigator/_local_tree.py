"""Files of this machine, written below one directory and never outside: no symbolic link is followed on the way."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from navigator._errors import AlreadyExists, InvalidArgument, ResourceExhausted, SandboxError

# Directories in each other: more than people make, fewer than descriptors.
MOST_DEPTH = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Budget:
    """How much may still be written."""

    def __init__(self, most: int) -> None:
        self._left = self._most = most

    def take(self, size: int) -> None:
        """Takes a part; an error when it is too much."""
        self._left -= size
        if self._left < 0:
            raise ResourceExhausted(f"it is more than {self._most} bytes; say `max_bytes` to take more")


class Directory:
    """An open directory."""

    def __init__(self, descriptor: int, depth: int) -> None:
        self._descriptor = descriptor
        self.depth = depth

    def close(self) -> None:
        """Closes it."""
        os.close(self._descriptor)

    def below(self, name: str, mode: int) -> Directory:
        """A directory in it, made unless it is there."""
        if self.depth >= MOST_DEPTH:
            raise ResourceExhausted(f"there are more than {MOST_DEPTH} directories in each other")
        with told(name):
            with contextlib.suppress(FileExistsError):
                # Its owner must be able to fill it.
                os.mkdir(name, mode & 0o777 | 0o700, dir_fd=self._descriptor)
            return Directory(os.open(name, _DIRECTORY, dir_fd=self._descriptor), self.depth + 1)

    def file(self, name: str, mode: int) -> NewFile:
        """A file that takes this name when it is whole."""
        part = f".{name[:100]}.{secrets.token_hex(8)}.part"
        with told(name):
            descriptor = os.open(part, _NEW, 0o600, dir_fd=self._descriptor)
        return NewFile(self._descriptor, descriptor, part, name, mode)

    def link(self, name: str, target: str) -> None:
        """A symbolic link in place of what had that name, unless that is a directory."""
        part = f".{name[:100]}.{secrets.token_hex(8)}.part"
        with told(name):
            os.symlink(target, part, dir_fd=self._descriptor)
            try:
                os.rename(part, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except BaseException:
                os.unlink(part, dir_fd=self._descriptor)
                raise

    def again(self) -> Directory:
        """The same directory, to be closed on its own."""
        return Directory(os.dup(self._descriptor), self.depth)


class NewFile:
    """A file that is being written."""

    def __init__(self, directory: int, descriptor: int, part: str, name: str, mode: int) -> None:
        self._directory = directory
        self._descriptor = descriptor
        self._part = part
        self._name = name
        self._mode = mode

    def write(self, data: bytes) -> None:
        """Adds bytes."""
        view = memoryview(data)
        with told(self._name):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def keep(self) -> None:
        """Gives it its name, in place of what had it. Rights of the owner's identity are dropped."""
        with told(self._name):
            os.fchmod(self._descriptor, self._mode & 0o777)
            os.rename(self._part, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._part = ""

    def close(self) -> None:
        """Closes it, and removes it unless it was kept."""
        os.close(self._descriptor)
        if self._part:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=self._directory)


def open_directory(path: Path) -> Directory:
    """A directory that the user has named, through links if that is what it is."""
    try:
        return Directory(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), 0)
    except OSError as error:
        raise InvalidArgument(f"failed to open {path}: {error.strerror}") from error


def stays_inside(target: str, depth: int) -> bool:
    """Whether a link leads to where its tree is, seen from so many directories below the tree's root.

    Steps up may only come first: after a name they could start at wherever another link leads.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    ups = 0
    while ups < len(steps) and steps[ups] == "..":
        ups += 1
    return bool(target) and target[0] != "/" and "\0" not in target and ups <= depth and ".." not in steps[ups:]


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """What the system says about a file here, as an error of this package."""
    try:
        yield
    except FileExistsError as error:
        raise AlreadyExists(f"failed to write {name!a}: {error.strerror}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SandboxError(f"failed to write {name!a}: {reason}") from error
