"""Functions in a sandbox's Python."""

import functools
import math
import os
import sys

import pytest
from navigator import InvalidArgument, Mount, ProtocolError, PythonMismatch, RemoteError, ResourceExhausted
from test_exec import online

OWN = 20


class Counter:
    """Has state and a method."""

    def __init__(self, start):
        self.start = start

    def after(self, steps):
        """The count after so many steps."""
        return f"count {self.start + steps}"

    def fail(self):
        """Raises."""
        raise ValueError(f"no more than {self.start}")


def doubled(number):
    """Uses a global of this module."""
    return number * 2 + OWN


def test_a_bound_method_returns_its_text(sandbox):
    result = sandbox.exec_python(Counter(40).after, args=(2,))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "count 42\n", "")


def test_an_exception_in_a_bound_method_gives_its_traceback(sandbox):
    result = sandbox.exec_python(Counter(3).fail)
    assert result.exit_code != 0
    assert "Traceback" in result.stderr and "ValueError: no more than 3" in result.stderr
    assert "<navigator>" not in result.stderr


def test_functions_lambdas_closures_and_partials_run(sandbox):
    word = "closed over"

    def closure(times=1):
        return word * times

    assert sandbox.run_python(doubled, args=(1,)) == 22
    assert sandbox.run_python(lambda x, *, y: x - y, args=(5,), kwargs={"y": 3}) == 2
    assert sandbox.run_python(closure, kwargs={"times": 2}) == word * 2
    assert sandbox.run_python(functools.partial(doubled, 2)) == 24
    assert sandbox.run_python(math.factorial, args=(30,)) == math.factorial(30)


def test_what_a_function_prints_comes_before_what_it_returns(sandbox):
    def talk():
        print("printed")
        print("aside", file=sys.stderr)
        return [1, "a"]

    result = sandbox.exec_python(talk)
    assert (result.stdout, result.stderr) == ("printed\n[1, 'a']\n", "aside\n")
    assert sandbox.exec_python(lambda: None).stdout == ""


def test_fifty_megabytes_of_arguments_pass(sandbox):
    data = os.urandom(1_000_000) * 50
    assert sandbox.exec_python(lambda d: len(d), args=(data,)).stdout == "50000000\n"
    assert sandbox.run_python(lambda d: d[:10] + d[-10:], args=(data,)) == data[:10] + data[-10:]


def test_a_function_runs_where_and_with_what_it_is_told(sandbox):
    def look():
        return os.getcwd(), os.environ["WORD"], sys.stdin.read()

    assert sandbox.run_python(look, workdir="/tmp", env={"WORD": "x"}) == ("/tmp", "x", "")


def test_a_function_that_takes_too_long_is_killed(sandbox):
    import time

    assert sandbox.exec_python(lambda: time.sleep(1000), timeout_seconds=1).exit_code == 124
    with pytest.raises(ProtocolError, match="exit code 124"):
        sandbox.run_python(lambda: time.sleep(1000), timeout_seconds=1)


def test_plain_values_come_back_as_they_are(sandbox):
    values = [
        None, True, False, 0, -1, 2**100, -(2**64), 1.5, -0.0, float("inf"), "", "ä\ud800\0", b"", b"\xff\0",
        [], [1, [2, [3]]], (), (1,), {}, {"a": {1: (2,)}, None: [b"c"]}, set(), {1, "b"}, frozenset({(1, 2)}),
    ]  # fmt: skip
    came = sandbox.run_python(lambda v: v, args=(values,))
    assert came == values
    assert [type(one) for one in came] == [type(one) for one in values]
    assert math.isnan(sandbox.run_python(lambda: float("nan")))
    assert sandbox.run_python(lambda: bytearray(b"x")) == b"x"


def test_other_values_are_refused_with_what_to_do(sandbox):
    def circle():
        own = []
        own.append(own)
        return own

    for function in (lambda: object(), lambda: {1: [Counter(1)]}, lambda: open, circle):
        with pytest.raises(InvalidArgument, match="files"):
            sandbox.run_python(function)


def test_prints_cannot_corrupt_a_value(sandbox, capsys):
    def noisy():
        print("NAVIGATR" + "\0" * 9)
        sys.stdout.flush()
        os.write(1, b"NAVIGATR")
        os.system("echo from a program")
        return "value"

    assert sandbox.run_python(noisy) == "value"
    assert capsys.readouterr().err == ""
    assert sandbox.run_python(noisy, stream_output=True) == "value"
    assert "from a program" in capsys.readouterr().err


def test_an_exception_has_its_kind_text_and_traceback(sandbox):
    with pytest.raises(RemoteError, match="no more than 7") as caught:
        sandbox.run_python(Counter(7).fail)
    assert (caught.value.kind, caught.value.message) == ("ValueError", "no more than 7")
    assert "Traceback" in caught.value.traceback
    with pytest.raises(RemoteError) as caught:
        sandbox.run_python(lambda: sys.exit(3))
    assert caught.value.kind == "SystemExit"
    assert sandbox.exec_python(lambda: sys.exit(3)).exit_code == 3


def test_an_exception_names_what_the_policy_refused(twin, client):
    def fetch():
        import urllib.request

        urllib.request.urlopen("http://denied.example/", timeout=20)

    with twin.sandbox(client, policy=online("allowed.example")) as sandbox, pytest.raises(RemoteError) as caught:
        sandbox.run_python(fetch)
    assert any("denied.example" in words for words in caught.value.denials), caught.value


def test_a_function_that_forks_answers_once(sandbox):
    def fork():
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return "parent" if child else "child"

    assert sandbox.run_python(fork) == "parent"


def test_what_cannot_be_pickled_is_refused_here(sandbox):
    with pytest.raises(InvalidArgument, match="failed to send"):
        sandbox.run_python(len, args=(sys._getframe(),))
    with pytest.raises(InvalidArgument, match="no function"):
        sandbox.run_python("print")


def test_another_python_is_refused_clearly(sandbox, monkeypatch):
    here = sys.version_info
    monkeypatch.setattr(sys, "version_info", (here[0], here[1] + 1, *here[2:]))
    for run in (sandbox.exec_python, sandbox.run_python):
        with pytest.raises(PythonMismatch, match=rf"made by Python 3\.{here[1] + 1}"):
            run(lambda: 1)


def test_a_sandbox_without_python_is_told(sandbox):
    for run in (sandbox.exec_python, sandbox.run_python):
        with pytest.raises(PythonMismatch, match="no Python"):
            run(lambda: 1, env={"PATH": "/sandbox"})


def test_cloudpickle_is_brought_along(sandbox):
    def found():
        import cloudpickle

        return cloudpickle.__version__, cloudpickle.dumps(lambda: 1)[:1]

    import cloudpickle

    assert sandbox.run_python(found) == (cloudpickle.__version__, b"\x80")


@pytest.mark.parametrize(
    "says",
    [
        "",
        "garbage",
        "NAVIGATR",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\001R",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\002RNx",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\002R.",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\012Rl\\0377\\0377\\0377\\0377\\0377\\0377\\0377\\0377",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\002XN",
        "NAVIGATR\\0\\0\\0\\0\\0\\0\\0\\002ZN",
        "cos\\nsystem\\n(S'touch /tmp/hacked'\\ntR.",
    ],
)
def test_a_python_that_answers_garbage_is_not_believed(sandbox, says):
    sandbox.exec(["mkdir", "bin"])
    sandbox.files.write("bin/python3", f'#!/bin/sh\ncat >/dev/null\nprintf "{says}"\n', mode=0o755)
    with pytest.raises(ProtocolError):
        sandbox.run_python(lambda: 1, env={"PATH": "/sandbox/bin:/usr/bin:/bin"})


def test_a_python_that_answers_without_end_is_bounded(sandbox):
    sandbox.exec(["mkdir", "bin"])
    sandbox.files.write("bin/python3", "#!/bin/sh\nexec cat /dev/zero\n", mode=0o755)
    with pytest.raises(ResourceExhausted):
        sandbox.run_python(lambda: 1, env={"PATH": "/sandbox/bin:/usr/bin:/bin"})


def test_the_environment_of_the_image_comes_before_the_path(twin, client, tmp_path):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\necho "from the image" >&2\nexec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    tmp_path.chmod(0o755)
    with twin.sandbox(client, mounts=[Mount(str(tmp_path), "/app/.venv", read_only=True)]) as sandbox:
        result = sandbox.exec_python(lambda: "ran")
    assert (result.stdout, result.stderr) == ("ran\n", "from the image\n")
