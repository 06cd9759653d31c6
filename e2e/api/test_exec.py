"""Commands in a sandbox: what they are given, what comes back."""
import hashlib
import os

import grpc
import pytest

from client import gathered, refused
from gateway_process import LEAK
from wire import api


def test_words_are_passed_on_without_a_shell(client, sandbox):
    words = ["$HOME", "*", "a b", "", "; exit 3", "`id`", "\\", "'\"", "ä\n"]
    assert client.run(sandbox, "printf", "<%s>", *words).out.decode() == "".join(f"<{word}>" for word in words)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_programs_own(client, sandbox, code):
    assert client.shell(sandbox, f"exit {code}").code == code


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_start_ends_as_in_a_shell(client, sandbox, command, code):
    ran = client.run(sandbox, command)
    assert ran.code == code
    assert command in ran.err.decode()


@pytest.mark.parametrize("signal", [2, 6, 9, 11, 15])
def test_a_signal_gives_128_and_its_number(client, sandbox, signal):
    assert client.shell(sandbox, f"kill -{signal} $$").code == 128 + signal


def test_output_and_errors_are_apart(client, sandbox):
    ran = client.shell(sandbox, "echo out; echo err >&2")
    assert (ran.out, ran.err) == (b"out\n", b"err\n")


def test_every_byte_arrives_in_order(client, sandbox):
    script = "import sys\nfor n in range(50000):\n print(n)\n print(-n, file=sys.stderr)"
    ran = client.run(sandbox, "/usr/bin/python3", "-c", script)
    assert ran.out.decode().split() == [str(number) for number in range(50000)]
    assert ran.err.decode().split() == [str(-number) for number in range(50000)]
    every = client.run(sandbox, "/usr/bin/python3", "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))")
    assert every.out == bytes(range(256))


def test_standard_input_is_what_was_sent_and_then_ends(client, sandbox):
    data = os.urandom(3_000_000)
    ran = client.run(sandbox, "sha256sum", stdin=data)
    assert ran.text.split()[0] == hashlib.sha256(data).hexdigest()
    assert client.run(sandbox, "cat", stdin=data).out == data
    assert client.run(sandbox, "cat") == client.run(sandbox, "cat", stdin=b"")
    assert client.run(sandbox, "cat").out == b""


def test_input_that_nobody_reads_is_no_trouble(client, sandbox):
    assert client.run(sandbox, "true", stdin=os.urandom(3_000_000)).code == 0
    assert client.run(sandbox, "head", "-c", "1", stdin=b"x" * 3_000_000).out == b"x"


def test_a_command_runs_where_it_is_told_to(client, sandbox):
    assert client.run(sandbox, "pwd").text == "/sandbox"
    assert client.run(sandbox, "pwd", workdir="/tmp").text == "/tmp"
    missing = client.run(sandbox, "pwd", workdir="/not/here")
    assert missing.code in (125, 126, 127)
    assert b"/not/here" in missing.err


def test_a_command_has_the_sandboxes_environment_and_its_own(client):
    client.provide("service", {"FROM": "provider", "ONLY_PROVIDER": "x", "BOTH": "provider"})
    sandbox = client.create(environment={"FROM": "spec", "BOTH": "spec"}, providers=["service"])
    ran = client.run(sandbox, "/usr/bin/env", environment={"FROM": "exec", "EMPTY": ""})
    shown = dict(line.split("=", 1) for line in ran.text.splitlines())
    assert (shown["FROM"], shown["BOTH"], shown["EMPTY"]) == ("exec", "spec", "")
    assert "ONLY_PROVIDER" in shown
    assert (shown["HOME"], shown["USER"], shown["LOGNAME"]) == ("/sandbox", "sandbox", "sandbox")
    assert (shown["NAVIGATOR_SANDBOX"], shown["NAVIGATOR_SANDBOX_NAME"]) == ("1", sandbox.name)
    assert (shown["LANG"], shown["SHELL"]) == ("C.UTF-8", "/bin/bash")
    assert "/usr/bin" in shown["PATH"].split(":")
    assert LEAK not in ran.text


def test_every_way_in_has_the_same_path(client, sandbox):
    argv = client.run(sandbox, "/usr/bin/env").text
    path = next(line for line in argv.splitlines() if line.startswith("PATH="))
    assert client.run(sandbox, "bash", "-c", "echo PATH=$PATH").text == path
    assert client.shell(sandbox, "echo PATH=$PATH").text == path


def test_a_command_is_the_sandbox_users(client, sandbox):
    assert client.run(sandbox, "id", "-un").text == "sandbox"
    assert client.run(sandbox, "id", "-u").text == "1000"
    status = client.run(sandbox, "cat", "/proc/self/status").text
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"command": [""]},
        {"command": ["a\0b"]},
        {"command": ["true", "\0"]},
        {"command": ["true"] * 100_000},
        {"command": ["echo", "x" * 2_000_000]},
        {"command": ["true"], "workdir": "relative"},
        {"command": ["true"], "workdir": "/a\0b"},
        {"command": ["true"], "environment": {"1A": ""}},
        {"command": ["true"], "environment": {"A-B": ""}},
        {"command": ["true"], "environment": {"": ""}},
        {"command": ["true"], "environment": {"A=B": ""}},
        {"command": ["true"], "environment": {"A": "a\0b"}},
        {"command": ["true"], "environment": {"A": "x" * 2_000_000}},
        {"command": ["true"], "environment": {f"A{number}": "" for number in range(10_000)}},
    ],
    ids=lambda request: str(request)[:40],
)
def test_what_cannot_be_a_command_is_refused(client, sandbox, request_):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(client.navigator.ExecSandbox(api.ExecSandboxRequest(sandbox_id=sandbox.id, **request_)))


def test_a_long_command_is_taken(client, sandbox):
    words = ["x" * 100] * 1000
    assert client.run(sandbox, "echo", *words).text == " ".join(words)


def test_a_hundred_commands_run_at_once(client, sandbox):
    streams = [client.events(sandbox, "sh", "-c", "read line; echo $line", stdin=b"%d\n" % n) for n in range(100)]
    assert [gathered(stream).text for stream in streams] == [str(number) for number in range(100)]


def test_a_background_process_does_not_hold_up_the_end(client, sandbox, marker):
    ran = client.shell(sandbox, f"sleep {marker} & echo hi")
    assert (ran.code, ran.text) == (0, "hi")


def test_a_stopped_sandbox_runs_nothing(client):
    sandbox = client.create()
    client.stop(sandbox.name)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "stopped"):
        client.run(sandbox, "true")
