"""What a command prints: gathered up to a limit, and shown as it comes."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from navigator._errors import InvalidArgument, ResourceExhausted
from navigator._proto import navigator_pb2 as api
from navigator._values import ExecChunk, ExecResult

# Bytes that both outputs of a command may have when they are gathered in memory.
MOST_OUTPUT = 64 * 1024 * 1024
# Bytes of standard input in one message: large enough for speed, far below what a message may have.
_PIECE = 256 * 1024


class Output:
    """Gathers both outputs of a command."""

    def __init__(self, show: Sequence[str] = (), most: int = MOST_OUTPUT) -> None:
        self._parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._left = self._most = most
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._parts}
        self._show = show

    def take(self, chunk: ExecChunk) -> None:
        """Adds a piece; an error when it is too much."""
        self._left -= len(chunk.data)
        if self._left < 0:
            raise ResourceExhausted(f"the command printed more than {self._most} bytes; use exec_stream, or let it write a file")
        self._parts[chunk.stream].append(chunk.data)
        if chunk.stream in self._show:
            self._write(chunk.stream, self._decoders[chunk.stream].decode(chunk.data))

    def _write(self, name: str, text: str) -> None:
        stream = sys.stdout if name == "stdout" else sys.stderr
        stream.write(text)
        stream.flush()

    def bytes(self, stream: Literal["stdout", "stderr"]) -> bytes:
        """All of one output."""
        return b"".join(self._parts[stream])

    def text(self, stream: Literal["stdout", "stderr"]) -> str:
        """All of one output as text."""
        return self.bytes(stream).decode(errors="replace")

    def result(self, exit_code: int) -> ExecResult:
        """All of it."""
        return ExecResult(exit_code, self.text("stdout"), self.text("stderr"))


def requests(start: api.ExecStart, stdin: bytes | str | Iterable[bytes]) -> Iterator[api.ExecInteractiveRequest]:
    """The messages that start a command and give it its input."""
    yield api.ExecInteractiveRequest(start=start)
    for piece in _pieces(stdin):
        yield api.ExecInteractiveRequest(stdin=piece)
    yield api.ExecInteractiveRequest(stdin_end=api.ExecStdinEnd())


def _pieces(stdin: bytes | str | Iterable[bytes]) -> Iterator[bytes]:
    whole = stdin.encode() if isinstance(stdin, str) else stdin
    for part in [whole] if isinstance(whole, (bytes, bytearray, memoryview)) else whole:
        if not isinstance(part, (bytes, bytearray, memoryview)):
            raise InvalidArgument("standard input is bytes, text or pieces of bytes")
        view = memoryview(part)
        for at in range(0, len(view), _PIECE):
            yield bytes(view[at : at + _PIECE])
