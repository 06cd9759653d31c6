"""Runs in the sandbox's Python, alone: takes a function from standard input, calls it, and says what came of it.

Needs nothing but the standard library of any Python 3; everything that it is given follows it on standard input. It is never
imported by a client.
"""

import os
import sys
import typing

# So deep may a value be that is returned.
DEPTH = 100


class NotPlain(Exception):
    """A value that does not go out of a sandbox."""


def encode(value: typing.Any, depth: int = 0) -> bytes:
    """A value as a letter, a length and bytes; what holds others has their number and then each."""
    if depth > DEPTH:
        raise NotPlain("a value that is nested more than %d deep, or holds itself" % DEPTH)
    kind = type(value)
    if value is None:
        return b"N"
    if kind is bool:
        return b"T" if value else b"F"
    if kind is int:
        return _sized(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind is float:
        import struct

        return b"d" + struct.pack(">d", value)
    if kind is str:
        return _sized(b"s", value.encode("utf-8", "surrogatepass"))
    if kind in (bytes, bytearray):
        return _sized(b"b", bytes(value))
    groups: typing.Dict[type, bytes] = {list: b"l", tuple: b"t", set: b"e", frozenset: b"z"}
    if kind in groups:
        parts = [encode(one, depth + 1) for one in value]
        return groups[kind] + len(parts).to_bytes(8, "big") + b"".join(parts)
    if kind is dict:
        parts = [encode(one, depth + 1) for pair in value.items() for one in pair]
        return b"m" + (len(parts) // 2).to_bytes(8, "big") + b"".join(parts)
    raise NotPlain("a value of type %s.%s" % (kind.__module__, kind.__qualname__))


def _sized(letter: bytes, data: bytes) -> bytes:
    return letter + len(data).to_bytes(8, "big") + data


def fail(words: str) -> None:
    """Ends because the function cannot be run at all."""
    sys.stderr.write("navigator: failed to run the function: " + words + "\n")
    sys.stderr.flush()
    os._exit(126)


def provide_cloudpickle(version: str, sources: typing.List[typing.Tuple[str, bytes]]) -> None:
    """Makes the caller's version of cloudpickle importable, unless it is."""
    try:
        import cloudpickle

        if cloudpickle.__version__ == version:
            return
    except Exception:
        pass
    import types
    import zlib

    for name in [name for name in sys.modules if name.split(".")[0] == "cloudpickle"]:
        del sys.modules[name]
    package = types.ModuleType("cloudpickle")
    package.__path__ = []
    package.__package__ = "cloudpickle"
    sys.modules["cloudpickle"] = package
    for name, source in sources:
        module = package
        if name != "cloudpickle":
            module = types.ModuleType(name)
            module.__package__ = "cloudpickle"
            sys.modules[name] = module
            setattr(package, name.rpartition(".")[2], module)
        exec(compile(zlib.decompress(source), "<%s>" % name, "exec"), module.__dict__)


def describe(error: BaseException) -> typing.Tuple[str, str, str]:
    """An exception as an answer: its class, its text, its traceback without what is of this file."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == "<navigator>":
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace)
    try:
        text = str(error)
    except Exception:
        text = ""
    return type(error).__name__, text, "".join(lines)


def answering() -> typing.BinaryIO:
    """Where the answer goes: what standard output is now, while everything else that is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    sys.stdout.flush()
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def outcome(call: typing.Callable[[], object]) -> bytes:
    """What comes of a function, encoded."""
    try:
        value = call()
    except SystemExit as error:
        return b"X" + encode(describe(error))
    except BaseException as error:
        kind, text, trace = describe(error)
        sys.stderr.write(trace)
        return b"X" + encode((kind, text, trace))
    try:
        return b"R" + encode(value)
    except NotPlain as error:
        return b"U" + encode(str(error))


def returning(call: typing.Callable[[], object]) -> None:
    """Runs a function for its value."""
    answers, own = answering(), os.getpid()
    answer = outcome(call)
    sys.stderr.flush()
    if os.getpid() != own:
        # A child that the function has made and that came back from it too.
        os._exit(0)
    answers.write(b"NAVIGATR" + len(answer).to_bytes(8, "big") + answer)
    answers.close()


def printing(call: typing.Callable[[], object]) -> None:
    """Runs a function for what it prints; its value is printed too, unless it is None."""
    try:
        value = call()
        if value is not None:
            print(value)
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        sys.stdout.flush()
        sys.stderr.write(describe(error)[2])
        sys.stderr.flush()
        sys.exit(1)


def main(
    version: typing.Tuple[int, int],
    want_value: bool,
    cloudpickle_version: str,
    sources: typing.List[typing.Tuple[str, bytes]],
    payload: bytes,
) -> None:
    """Runs what was sent."""
    here = sys.version_info[:2]
    if tuple(version) != here:
        fail(
            "it was made by Python %d.%d and this sandbox has Python %d.%d (%s); code does not pass between them: call it from"
            " Python %d.%d, or use an image with Python %d.%d" % (*version, *here, sys.executable, *here, *version)
        )
    # What the function reads is empty.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    provide_cloudpickle(cloudpickle_version, sources)

    def call() -> object:
        import pickle

        function, args, kwargs = pickle.loads(payload)
        return function(*args, **kwargs)

    (returning if want_value else printing)(call)
