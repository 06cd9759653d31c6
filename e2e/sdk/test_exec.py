"""Commands in sandboxes."""

import threading

import pytest
from navigator import (
    CommandFailed,
    ExecChunk,
    ExecResult,
    InvalidArgument,
    ResourceExhausted,
    SandboxError,
)
from waiting import eventually


def test_a_command_has_an_exit_code_and_both_outputs(sandbox):
    result = sandbox.exec(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert result == ExecResult(3, "out\n", "err\n")


def test_a_command_runs_where_and_with_what_it_is_told(sandbox):
    result = sandbox.exec(["sh", "-c", 'pwd; echo "$WORD"'], workdir="/tmp", env={"WORD": "a b"})
    assert result.stdout == "/tmp\na b\n"


def test_standard_input_is_bytes_text_or_pieces(sandbox):
    for stdin in (b"ab\n", "ab\n", [b"a", b"b\n"]):
        assert sandbox.exec(["cat"], stdin=stdin).stdout == "ab\n"
    assert sandbox.exec(["cat"], stdin=b"").stdout == ""


def test_fifty_megabytes_of_standard_input_pass(any_client, twin):
    with twin.sandbox(any_client) as sandbox:
        assert sandbox.exec(["wc", "-c"], stdin=b"x" * 50_000_000).stdout.strip() == "50000000"


def test_a_command_need_not_read_its_input(sandbox):
    assert sandbox.exec(["sh", "-c", "exec <&-; echo done"], stdin=b"x" * 20_000_000).stdout == "done\n"


def test_output_comes_as_it_is_printed(sandbox):
    script = "echo one; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo two >&2; exit 4"
    events = sandbox.exec_stream(["sh", "-c", script])
    assert next(events) == ExecChunk("stdout", b"one\n")
    sandbox.exec(["touch", "/tmp/go"])
    assert list(events) == [ExecChunk("stderr", b"two\n"), ExecResult(4, "", "")]


def test_a_stream_that_is_closed_kills_its_command(sandbox):
    events = sandbox.exec_stream(["sh", "-c", "echo $$; exec sleep 1000"])
    process = next(events).data.decode().strip()
    events.close()
    gone = ["sh", "-c", f"! kill -0 {process}"]
    eventually("the command is gone", lambda: sandbox.exec(gone).exit_code == 0)


def test_streamed_output_is_shown(sandbox, capsys):
    result = sandbox.exec(["sh", "-c", "printf 'ä\\n'; echo err >&2"], stream_output=True)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (result.stdout, result.stderr) == ("ä\n", "err\n")


def test_a_time_limit_kills_with_exit_code_124(sandbox):
    assert sandbox.exec(["sleep", "1000"], timeout_seconds=1).exit_code == 124


def test_what_is_no_command_is_refused_here(sandbox):
    for command in ("echo hi", [], b"true"):
        with pytest.raises(InvalidArgument):
            sandbox.exec(command)
    for env in ({"A B": ""}, {"A": "\0"}):
        with pytest.raises(InvalidArgument):
            sandbox.exec(["true"], env=env)
    for seconds in (0, -1, float("nan")):
        with pytest.raises(InvalidArgument):
            sandbox.exec(["true"], timeout_seconds=seconds)


def test_a_failed_check_says_what_the_command_said(sandbox):
    with pytest.raises(CommandFailed, match="no luck") as caught:
        sandbox.exec(["sh", "-c", "echo no luck >&2; exit 9"], check=True)
    assert caught.value.exit_code == 9
    assert sandbox.exec(["true"], check=True).exit_code == 0


def test_a_failed_check_says_what_the_policy_refused(twin, client):
    with twin.sandbox(client, policy=online("allowed.example")) as sandbox:
        command = ["curl", "-sS", "-f", "--max-time", "20", "http://denied.example/"]
        with pytest.raises(CommandFailed) as caught:
            sandbox.exec(command, check=True)
    assert any("denied.example" in words for words in caught.value.denials), caught.value
    assert "denied denied.example" in str(caught.value)


def test_output_without_end_is_bounded(sandbox):
    with pytest.raises(ResourceExhausted, match="exec_stream"):
        sandbox.exec(["cat", "/dev/zero"])
    assert sandbox.exec(["echo", "still there"]).stdout == "still there\n"


def test_commands_run_at_the_same_time(sandbox):
    results = {}

    def run(number):
        results[number] = sandbox.exec(["sh", "-c", f"echo {number}"]).stdout

    threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n" for number in range(20)}


def test_a_command_in_a_deleted_sandbox_fails(twin, client):
    with twin.sandbox(client) as sandbox:
        sandbox.delete()
        client.wait_deleted(sandbox.name)
        with pytest.raises(SandboxError):
            sandbox.exec(["true"])


def online(host):
    """A policy under which `curl` reaches one host."""
    return {
        "version": 1,
        "filesystem_policy": {
            "read_only": ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev/urandom"],
            "read_write": ["/sandbox", "/tmp", "/dev/null"],
        },
        "network_policies": {"one": {"endpoints": [{"host": host, "port": 443}], "binaries": [{"path": "/usr/bin/curl"}]}},
    }
