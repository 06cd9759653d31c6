"""A sandbox's log: what it holds, which lines are shown, how many are kept."""
import grpc
import pytest

from client import refused, unique
from waiting import eventually
from wire import api

KEPT = 2000


def line(message, level="INFO", timestamp_ms=1, **more):
    return api.SandboxLogLine(**{"message": message, "level": level, "timestamp_ms": timestamp_ms, "target": "t", **more})


@pytest.fixture
def logged(gateway, client):
    """A sandbox, and its own client."""
    sandbox = client.create(log_level="error")
    with gateway.sandbox(sandbox.id) as supervisor:
        yield sandbox, supervisor


def messages(client, sandbox, **which):
    return [one.message for one in client.logs(sandbox, **{"sources": ["sandbox"], **which}).logs]


def test_what_the_gateway_does_is_in_the_log(client):
    lines = client.logs(client.create(), sources=["gateway"]).logs
    assert lines
    assert {one.source for one in lines} == {"gateway"}
    assert {one.level for one in lines} <= {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"}
    times = [one.timestamp_ms for one in lines]
    assert times == sorted(times)


def test_what_the_supervisor_does_is_in_the_log(client):
    sandbox = client.create(log_level="debug")
    lines = eventually("the supervisor's lines arrive", lambda: client.logs(sandbox, sources=["sandbox"]).logs)
    assert {(one.sandbox_id, one.source) for one in lines} == {(sandbox.id, "sandbox")}


def test_a_pushed_line_is_the_sandboxes_whatever_it_claims(client, logged):
    sandbox, supervisor = logged
    other = client.create()
    claim = line("mine", "WARN", 1234, sandbox_id=other.id, source="gateway", fields={"key": "value"})
    supervisor.push(sandbox.id, [claim])
    (shown,) = [one for one in client.logs(sandbox).logs if one.message == "mine"]
    assert (shown.sandbox_id, shown.source) == (sandbox.id, "sandbox")
    assert (shown.level, shown.timestamp_ms, shown.target, dict(shown.fields)) == ("WARN", 1234, "t", {"key": "value"})
    assert "mine" not in [one.message for one in client.logs(other).logs]


def test_the_newest_lines_come_oldest_first(client, logged):
    sandbox, supervisor = logged
    supervisor.push(sandbox.id, [line(str(number)) for number in range(50)], [line(str(number)) for number in range(50, 90)])
    assert messages(client, sandbox, lines=3) == ["87", "88", "89"]
    assert messages(client, sandbox, lines=1) == ["89"]
    assert messages(client, sandbox) == [str(number) for number in range(90)]
    assert messages(client, sandbox, lines=2**32 - 1) == messages(client, sandbox)


def test_lines_are_chosen_by_time_source_and_level(client, logged):
    sandbox, supervisor = logged
    levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
    supervisor.push(sandbox.id, [line(level, level, number) for number, level in enumerate(levels)])
    for number, level in enumerate(levels):
        assert messages(client, sandbox, min_level=level) == levels[: number + 1]
        assert messages(client, sandbox, since_ms=number) == levels[number:]
    assert messages(client, sandbox, min_level="DEBUG", since_ms=2, lines=1) == ["DEBUG"]
    assert messages(client, sandbox, min_level="warn") == levels[:2]
    both = {one.source for one in client.logs(sandbox, sources=["gateway", "sandbox"]).logs}
    assert both == {one.source for one in client.logs(sandbox).logs} == {"gateway", "sandbox"}


def test_two_thousand_lines_are_kept(client, logged):
    sandbox, supervisor = logged
    numbers = range(2500)
    supervisor.push(sandbox.id, *([line(str(number)) for number in numbers[begin : begin + 500]] for begin in numbers[::500]))
    answer = client.logs(sandbox)
    assert (answer.buffer_total, len(answer.logs)) == (KEPT, KEPT)
    assert [one.message for one in answer.logs] == [str(number) for number in numbers[-KEPT:]]
    few = client.logs(sandbox, lines=1)
    assert (few.buffer_total, len(few.logs)) == (KEPT, 1)


def test_a_line_is_bounded_and_still_shown(client, logged):
    sandbox, supervisor = logged
    fields = {f"field{number}": "x" * 100 for number in range(1000)}
    supervisor.push(sandbox.id, [line("begin " + "x" * 1_000_000, fields=fields)])
    (shown,) = client.logs(sandbox, sources=["sandbox"]).logs
    assert shown.message.startswith("begin xxx")
    assert len(shown.message) < 100_000
    assert len(shown.fields) < 1000


def test_a_level_that_does_not_exist_does_not_lose_the_line(client, logged):
    sandbox, supervisor = logged
    supervisor.push(sandbox.id, [line("odd", "LOUD"), line("even", "")])
    assert messages(client, sandbox) == ["odd", "even"]


def test_pushing_nothing_is_fine(client, logged):
    sandbox, supervisor = logged
    supervisor.push(sandbox.id)
    supervisor.push(sandbox.id, [], [])
    assert messages(client, sandbox) == []


@pytest.mark.parametrize("which", [{"sources": ["kernel"]}, {"sources": ["gateway", ""]}, {"min_level": "LOUD"}])
def test_filters_that_mean_nothing_are_refused(client, sandbox, which):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.logs(sandbox, **which)


def test_a_sandbox_logs_for_itself_only(client, logged):
    sandbox, supervisor = logged
    other = client.create()
    for stranger in (other.id, "", "x", "00000000-0000-0000-0000-000000000000"):
        with refused(grpc.StatusCode.PERMISSION_DENIED):
            supervisor.push(stranger, [line("stolen")])
    requests = [api.PushSandboxLogsRequest(sandbox_id=one, logs=[line(unique("m"))]) for one in (sandbox.id, other.id)]
    with refused(grpc.StatusCode.PERMISSION_DENIED):
        supervisor.navigator.PushSandboxLogs(iter(requests))
    assert "stolen" not in messages(client, other)
