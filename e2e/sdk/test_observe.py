"""Logs and what happens to sandboxes."""

import threading

import pytest
from navigator import (
    DeadlineExceeded,
    LogLine,
    NotFound,
    Phase,
    PlatformEvent,
    SandboxRef,
    Unavailable,
    WatchWarning,
)
from waiting import eventually


def test_the_log_has_lines(sandbox):
    lines = eventually("it has joined", lambda: [one for one in sandbox.logs() if "joined" in one.message])
    assert all(isinstance(line, LogLine) and line.source in ("gateway", "sandbox") for line in lines)
    assert len(sandbox.logs(lines=1)) == 1
    assert {line.source for line in sandbox.logs(sources=["gateway"])} == {"gateway"}
    assert sandbox.logs(min_level="ERROR") == []
    assert sandbox.logs(since_ms=2**52) == []


def test_a_watcher_sees_what_happens(sandbox):
    events = sandbox.watch(logs=True, events=True, log_tail_lines=5, timeout_seconds=60)
    first = next(events)
    assert isinstance(first, SandboxRef) and first.phase is Phase.READY
    stopper = threading.Thread(target=sandbox.stop)
    stopper.start()
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, SandboxRef) and event.phase is Phase.STOPPED:
            break
    events.close()
    stopper.join()
    assert any(isinstance(event, LogLine | PlatformEvent) for event in seen)


def test_watching_ends_when_it_is_ready(client, name):
    client.create(name=name)
    session = client.get_session(name)
    *_, last = session.watch(until_ready=True, timeout_seconds=60)
    assert isinstance(last, SandboxRef) and last.phase is Phase.READY
    client.delete(name)


def test_watching_has_an_end(sandbox):
    with pytest.raises(DeadlineExceeded):
        for _ in sandbox.watch(timeout_seconds=0.5):
            pass


def test_calls_outlive_a_gateway_that_starts_again(own_machine, twin):
    machine = own_machine()
    with twin.client(f"unix:{machine.socket}", timeout=60) as client:
        session = client.create_session()
        events = session.watch(timeout_seconds=60)
        assert isinstance(next(events), SandboxRef)
        stream = session.exec_stream(["sh", "-c", "echo on; exec sleep 1000"])
        next(stream)
        machine.stop()
        with pytest.raises(Unavailable):
            list(stream)
        with pytest.raises(Unavailable):
            client.create()
        starter = threading.Timer(0.5, machine.start)
        starter.start()
        try:
            assert client.get(session.name).id == session.id
        finally:
            starter.join()
        assert client.wait_ready(session.name, timeout_seconds=60).phase is Phase.READY
        seen = [next(events), next(events)]
        assert isinstance(seen[0], WatchWarning) and isinstance(seen[1], SandboxRef)
        events.close()
        assert session.exec(["echo", "again"]).stdout == "again\n"


def test_a_gateway_that_stays_away_is_told_in_time(own_machine, twin):
    machine = own_machine()
    with twin.client(f"unix:{machine.socket}", timeout=1) as client:
        client.health()
        machine.stop()
        with pytest.raises(Unavailable):
            client.health()
        with pytest.raises(Unavailable):
            client.wait_ready("x", timeout_seconds=1)


def test_watching_what_is_gone_ends(client, name):
    session = client.create_session(name=name)
    client.delete(name)
    client.wait_deleted(name)
    with pytest.raises(NotFound):
        list(session.watch(timeout_seconds=30))
