"""A function as bytes for a sandbox's Python, and the value that comes back, of which nothing is believed."""

from __future__ import annotations

import importlib.resources
import pickle
import site
import struct
import sys
import sysconfig
import threading
import types
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle

from navigator._errors import InvalidArgument, ProtocolError, PythonMismatch, RemoteError, shortened

# The shell finds a Python; it reads as many bytes of its own program as it is told, then that reads the rest.
_FIND = """\
for python in /app/.venv/bin/python python3 python; do
  command -v "$python" >/dev/null 2>&1 && exec "$python" -c "$0" "$@"
done
echo "navigator: failed to run the function: the sandbox has no Python in its PATH" >&2
exit 126
"""
_BEGIN = """\
import sys
take = sys.stdin.buffer.read
exec(compile(take(int(sys.argv[1])), "<navigator>", "exec"))
"""
# What a sandbox writes when it cannot run a function, with exit code 126.
_FAILED = "navigator: failed to run the function: "
_MAGIC = b"NAVIGATR"
# As in the program that answers.
_DEPTH = 100
# So many keys of a set or dict may have one hash.
_SAME_HASH = 1000
# The modules that are changed while a function is pickled are the whole process's.
_pickling = threading.Lock()


def payload(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None, *, want_value: bool
) -> tuple[list[str], list[bytes]]:
    """The command that runs a function, and what it reads, in pieces."""
    if not callable(function):
        raise InvalidArgument(f"{function!r} is no function")
    try:
        with _by_value(function):
            pickled = cloudpickle.dumps((function, tuple(args), dict(kwargs or {})), protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise InvalidArgument(f"failed to send the function: {error}") from error
    program = importlib.resources.files("navigator").joinpath("_inside.py").read_bytes()
    version, sources = _cloudpickle()
    given = repr((sys.version_info[:2], want_value, version, sources))
    # Only literals: the sandbox's Python may be another one, and must be able to say so.
    program += f"\nmain(*{given}, sys.stdin.buffer.read())\n".encode()
    return ["/bin/sh", "-c", _FIND, _BEGIN, str(len(program))], [program, pickled]


def _cloudpickle() -> tuple[str, list[tuple[str, bytes]]]:
    """Version and modules of cloudpickle, in an order in which they can be run, for sandboxes that lack it."""
    files = importlib.resources.files("cloudpickle")
    names = {"cloudpickle.cloudpickle": "cloudpickle.py", "cloudpickle": "__init__.py"}
    sources = [(name, zlib.compress(files.joinpath(file).read_bytes())) for name, file in names.items()]
    return str(cloudpickle.__version__), sources


@contextmanager
def _by_value(function: Callable[..., Any]) -> Iterator[None]:
    """Pickles the caller's own modules whole: a sandbox has only those that are installed in it."""
    with _pickling:
        modules = [module for module in _modules_of(function) if _is_own(module)]
        known = cloudpickle.list_registry_pickle_by_value()
        new = [module for module in dict.fromkeys(modules) if module.__name__ not in known]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in new:
                cloudpickle.unregister_pickle_by_value(module)


def _modules_of(function: Callable[..., Any]) -> Iterator[types.ModuleType]:
    """The outermost modules of a function, of what it is bound to, and of what a partial one wraps."""
    for one in (function, getattr(function, "__self__", None), getattr(function, "func", None)):
        names = [getattr(one, "__module__", None), getattr(type(one), "__module__", None)]
        for name in names:
            if isinstance(name, str) and name != "__main__":
                found = sys.modules.get(name.partition(".")[0])
                if found is not None:
                    yield found


def _is_own(module: types.ModuleType) -> bool:
    """Whether a module is neither Python's own nor installed."""
    places = list(getattr(module, "__path__", [])) or [getattr(module, "__file__", None)]
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {*site.getsitepackages(), site.getusersitepackages()}
    return module.__name__ != "builtins" and all(
        place is not None and not any(Path(place).is_relative_to(there) for there in installed if there) for place in places
    )


def check(exit_code: int, stderr: str) -> None:
    """Raises when the sandbox could not run the function at all."""
    if exit_code == 126 and (at := stderr.rfind(_FAILED)) >= 0:
        raise PythonMismatch(shortened(stderr[at:].removeprefix("navigator: ").strip()))


def value(stdout: bytes, exit_code: int, stderr: str) -> Any:
    """The value that a sandbox says that a function has returned."""
    check(exit_code, stderr)
    if stdout[:8] != _MAGIC or len(stdout) < 17 or int.from_bytes(stdout[8:16], "big") != len(stdout) - 16:
        last = shortened(stderr.strip()[-1000:])
        raise ProtocolError(f"the function ended without a value, with exit code {exit_code}\n{last}".strip())
    kind, answer = stdout[16:17], decode(stdout[17:])
    if kind == b"R":
        return answer
    if kind == b"U" and isinstance(answer, str):
        raise InvalidArgument(
            f"the function returned {shortened(answer)}, which does not pass out of a sandbox: return None, bool, int, float,"
            " str, bytes, list, tuple, dict, set or frozenset, or write a file and read it by `files`"
        )
    plain = isinstance(answer, tuple) and len(answer) == 3 and all(isinstance(part, str) for part in answer)
    if kind != b"X" or not plain:
        raise ProtocolError("the sandbox's answer cannot be understood")
    name, message, traceback = map(shortened, answer)
    raise RemoteError(name, message, traceback)


def decode(data: bytes) -> Any:
    """The one value that these bytes are. Builds plain values only, whatever the bytes say."""
    try:
        found, end = _decode(memoryview(data), 0, 0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ProtocolError("the sandbox's answer cannot be understood") from error
    if end != len(data):
        raise ProtocolError("the sandbox's answer is followed by something else")
    return found


_CONSTANTS = {b"N": None, b"T": True, b"F": False}
_GROUPS: dict[bytes, Callable[[list[Any]], Any]] = {b"l": list, b"t": tuple, b"e": set, b"z": frozenset}


def _decode(data: memoryview, at: int, depth: int) -> tuple[Any, int]:
    letter = bytes(data[at : at + 1])
    if letter in _CONSTANTS:
        return _CONSTANTS[letter], at + 1
    if letter == b"d":
        return struct.unpack_from(">d", data, at + 1)[0], at + 9
    size = struct.unpack_from(">Q", data, at + 1)[0]
    at += 9
    # Also a number of values: each has a byte at least.
    if size > len(data) - at or depth > _DEPTH:
        raise IndexError(size)
    if letter in (b"i", b"s", b"b"):
        return _leaf(letter, bytes(data[at : at + size])), at + size
    values = []
    for _ in range(2 * size if letter == b"m" else size):
        one, at = _decode(data, at, depth + 1)
        values.append(one)
    if letter == b"m":
        return dict(zip(_spread(values[::2]), values[1::2], strict=True)), at
    return _GROUPS[letter](values if letter in b"lt" else _spread(values)), at


def _spread(keys: list[Any]) -> list[Any]:
    """Keys of which few have the same hash: chosen ones could keep a table busy for hours."""
    if keys and Counter(map(hash, keys)).most_common(1)[0][1] > _SAME_HASH:
        raise KeyError("keys with the same hash")
    return keys


def _leaf(letter: bytes, data: bytes) -> int | str | bytes:
    if letter == b"i":
        return int.from_bytes(data, "big", signed=True)
    return data.decode("utf-8", "surrogatepass") if letter == b"s" else data
