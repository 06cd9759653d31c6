"""Watching a sandbox: what is, what was, what comes."""
import re

import grpc
import pytest

import policies
from client import refused
from waiting import eventually
from wire import api, data

# Lines that are more than a slow watcher may be behind, and what fits into one message.
LINES = 20_000
BATCH = 500


def watch(client, sandbox, **what):
    """Begins to watch; returns the stream and the first look."""
    request = api.WatchSandboxRequest(id=sandbox.id, follow_status=True, **what)
    events = client.navigator.WatchSandbox(request)
    first = next(events)
    assert first.WhichOneof("payload") == "sandbox", "the snapshot comes first"
    return events, first.sandbox


def line(message, level="INFO", timestamp_ms=1, **more):
    return api.SandboxLogLine(message=message, level=level, timestamp_ms=timestamp_ms, target="test", **more)


def push(gateway, sandbox, *lines):
    with gateway.sandbox(sandbox.id) as supervisor:
        supervisor.push(sandbox.id, lines)


def until(events, holds):
    """Reads events up to the first that holds, and returns all of them."""
    seen = []
    for event in events:
        seen.append(event)
        if holds(event):
            return seen
    raise AssertionError(f"the stream ended: {seen}")


def test_first_comes_what_is_then_what_was_then_what_comes(gateway, client):
    sandbox = client.create()
    push(gateway, sandbox, *[line(f"old {number}") for number in range(5)])
    events, first = watch(client, sandbox, follow_logs=True, log_tail_lines=3, log_sources=["sandbox"])
    assert (first.id, first.phase) == (sandbox.id, data.SANDBOX_PHASE_READY)
    tail = [next(events).log.message for _ in range(3)]
    assert tail == ["old 2", "old 3", "old 4"]
    push(gateway, sandbox, line("new"))
    assert until(events, lambda event: event.HasField("log"))[-1].log.message == "new"
    events.cancel()


def test_every_change_is_seen(client):
    sandbox = client.create()
    events, _ = watch(client, sandbox)
    client.stop(sandbox.name)
    client.start(sandbox.name)
    client.delete(sandbox.name)
    phases = [event.sandbox.phase for event in events]
    steps = [phase for number, phase in enumerate(phases) if number == 0 or phases[number - 1] != phase]
    wanted = [data.SANDBOX_PHASE_STOPPED, data.SANDBOX_PHASE_PROVISIONING, data.SANDBOX_PHASE_READY]
    wanted.append(data.SANDBOX_PHASE_DELETING)
    remaining = iter(steps)
    assert all(phase in remaining for phase in wanted), steps


def test_watching_ends_when_the_sandbox_is_ready(client):
    made = client.begin()
    request = api.WatchSandboxRequest(id=made.id, follow_status=True, stop_on_terminal=True)
    seen = [event.sandbox.phase for event in client.navigator.WatchSandbox(request)]
    assert seen[-1] == data.SANDBOX_PHASE_READY
    assert data.SANDBOX_PHASE_READY not in seen[:-1]
    again = list(client.navigator.WatchSandbox(request))
    assert [event.sandbox.phase for event in again] == [data.SANDBOX_PHASE_READY]


def test_watching_goes_on_after_an_error(client):
    policy = policies.offline(process={"run_as_user": "nobody-here", "run_as_group": "sandbox"})
    made = client.begin(policy=policy)
    request = api.WatchSandboxRequest(id=made.id, follow_status=True, follow_events=True, stop_on_terminal=True)
    events = client.navigator.WatchSandbox(request)
    last = until(events, lambda event: event.sandbox.phase == data.SANDBOX_PHASE_ERROR)[-1].sandbox
    ready = {condition.type: condition for condition in last.status.conditions}["Ready"]
    assert ready.status == "False"
    assert "nobody-here" in ready.message
    client.delete(made.name)
    list(events)


def test_nothing_is_shown_that_was_not_asked_for(gateway, client):
    sandbox = client.create()
    events, _ = watch(client, sandbox)
    push(gateway, sandbox, line("not asked for"))
    client.stop(sandbox.name)
    client.delete(sandbox.name)
    assert {event.WhichOneof("payload") for event in events} == {"sandbox"}
    other = client.create()
    quiet = client.navigator.WatchSandbox(api.WatchSandboxRequest(id=other.id, follow_logs=True, log_tail_lines=1))
    assert next(quiet).HasField("log")
    client.stop(other.name)
    client.delete(other.name)
    assert {event.WhichOneof("payload") for event in quiet} <= {"log"}


def test_lines_are_filtered_alike_before_and_after(gateway, client):
    sandbox = client.create()
    lines = [line("error", "ERROR", 10), line("warn", "WARN", 20), line("info", "INFO", 30), line("early", "ERROR", 5)]
    push(gateway, sandbox, *lines)
    filters = {"log_sources": ["sandbox"], "log_min_level": "WARN", "log_since_ms": 10}
    events, _ = watch(client, sandbox, follow_logs=True, log_tail_lines=100, **filters)
    assert [next(events).log.message for _ in range(2)] == ["error", "warn"]
    push(gateway, sandbox, *lines, line("last", "ERROR", 40))
    found = until(events, lambda event: event.log.message == "last")
    assert [event.log.message for event in found] == ["error", "warn", "last"]
    events.cancel()


@pytest.mark.parametrize("filters", [{"log_sources": ["kernel"]}, {"log_min_level": "LOUD"}])
def test_filters_that_mean_nothing_are_refused(client, sandbox, filters):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(client.navigator.WatchSandbox(api.WatchSandboxRequest(id=sandbox.id, follow_logs=True, **filters)))


def test_what_happened_is_told(client):
    sandbox = client.create()
    events, _ = watch(client, sandbox, follow_events=True, event_tail=100)
    past = until(events, lambda event: event.event.reason == "Ready")
    kinds = {(event.event.type, event.event.source) for event in past}
    assert kinds == {("Normal", "gateway")}
    assert all(event.event.timestamp_ms > 0 and event.event.message for event in past)
    client.stop(sandbox.name)
    assert until(events, lambda event: event.event.reason == "Stopped")
    client.delete(sandbox.name)
    list(events)


def test_the_tail_of_what_happened_is_the_newest(client):
    sandbox = client.create()
    client.stop(sandbox.name)
    events, _ = watch(client, sandbox, follow_events=True, event_tail=1)
    assert next(events).event.reason == "Stopped"
    events.cancel()


def test_a_watcher_that_falls_behind_is_told_how_much_it_lost(gateway, client):
    sandbox = client.create(log_level="error")
    events, _ = watch(client, sandbox, follow_logs=True, log_sources=["sandbox"])
    with gateway.sandbox(sandbox.id) as supervisor:
        lines = [line(f"{number:05}" + "x" * 1000) for number in range(LINES)]
        supervisor.push(sandbox.id, *(lines[begin : begin + BATCH] for begin in range(0, LINES, BATCH)))
        supervisor.push(sandbox.id, [line("last")])
    seen = until(events, lambda event: event.log.message == "last")
    warnings = [event.warning.message for event in seen if event.HasField("warning")]
    assert warnings, "nothing was lost"
    lost = sum(int(re.search(r"\d+", warning)[0]) for warning in warnings)
    numbers = [int(event.log.message[:5]) for event in seen[:-1] if event.HasField("log")]
    assert len(numbers) + lost == LINES
    assert numbers == sorted(numbers)
    events.cancel()


def test_many_watch_at_once_and_see_the_same(gateway, client):
    sandbox = client.create()
    watchers = [watch(client, sandbox, follow_logs=True, log_sources=["sandbox"])[0] for _ in range(50)]
    push(gateway, sandbox, line("for all"))
    for events in watchers:
        assert until(events, lambda event: event.log.message == "for all")
        events.cancel()


def test_watchers_are_bounded_and_make_room_when_they_leave(owner, gateway):
    sandbox = owner.create()
    watchers = []
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        for _ in range(1000):
            watchers.append(watch(owner, sandbox)[0])
    assert len(watchers) >= 50
    for events in watchers:
        events.cancel()

    def again():
        try:
            watch(owner, sandbox)[0].cancel()
        except grpc.RpcError:
            return False
        return True

    eventually("there is room", again)
