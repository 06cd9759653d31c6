"""Terminal sessions that outlast their clients, and recordings of them."""
import json

import grpc
import pytest

import policies
from client import gathered, refused
from test_exec_interactive import Conversation
from waiting import eventually
from wire import api

SIZE = api.TerminalSize(rows=24, columns=80)


def session(name, **more):
    return api.TerminalSession(name=name, **more)


def begin(client, sandbox, name, *command, **more):
    """A conversation with a session."""
    how = {"sandbox_id": sandbox.id, "command": command or ["sh"], "terminal": SIZE}
    return Conversation(client, **how, session=session(name, **more))


def listed(client, sandbox):
    return list(client.navigator.ListTerminals(api.ListTerminalsRequest(sandbox_id=sandbox.id)).terminals)


def end(client, sandbox, name):
    return client.navigator.EndTerminal(api.EndTerminalRequest(sandbox_id=sandbox.id, name=name)).ended


def recordings(client, sandbox):
    return list(client.navigator.ListRecordings(api.ListRecordingsRequest(sandbox_id=sandbox.id)).recordings)


@pytest.fixture
def own(client):
    """A sandbox of one test."""
    return client.create(policy=policies.offline())


def test_a_session_goes_on_without_its_client(client, own):
    first = begin(client, own, "main")
    first.type(b"echo 'it be'gan\n")
    first.until(b"it began")
    first.events.cancel()
    eventually("nobody is there", lambda: [one.clients for one in listed(client, own)] == [0])
    again = begin(client, own, "main", entry=api.TERMINAL_ENTRY_ATTACH)
    again.until(b"it began")
    again.type(b"exit 7\n")
    assert again.rest().code == 7
    assert listed(client, own) == []


def test_several_clients_see_the_same(client, own):
    one, two = begin(client, own, "main"), begin(client, own, "main")
    one.type(b"echo 'from o'ne\n")
    two.until(b"from one")
    assert [state.clients for state in listed(client, own)] == [2]
    assert list(listed(client, own)[0].command) == ["sh"]
    two.type(b"exit\n")
    assert one.rest().code == two.rest().code == 0


def test_a_session_is_ended(client, own):
    talk = begin(client, own, "long", "sleep", "1000")
    eventually("it is there", lambda: listed(client, own))
    assert end(client, own, "long")
    assert talk.rest().code == 128 + 9
    assert not end(client, own, "long") and not end(client, own, "other")


def test_nothing_is_started_for_who_attaches(client, own):
    with pytest.raises((grpc.RpcError, AssertionError)):
        assert begin(client, own, "none", entry=api.TERMINAL_ENTRY_ATTACH).rest().code == 0
    assert listed(client, own) == []


def test_a_recording_is_read(client, own):
    talk = begin(client, own, "main", "sh", "-c", "echo shown; cat", record=True)
    talk.until(b"shown")
    talk.type(b"typed secret\n")
    talk.until(b"typed secret")
    talk.type(b"\x04")
    talk.rest()
    found = recordings(client, own)
    assert [one.session for one in found] == ["main"] and found[0].bytes > 0
    request = api.ReadRecordingRequest(sandbox_id=own.id, name=found[0].name)
    ran = gathered(client.navigator.ReadRecording(request))
    head, *events = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0 and head["version"] == 2 and (head["width"], head["height"]) == (80, 24)
    assert "shown" in "".join(text for _, kind, text in events if kind == "o")
    assert "i" not in {kind for _, kind, _ in events}


@pytest.mark.parametrize("name", ["", "..", ".", "../log.jsonl", "/etc/passwd", "a\0b", "none", "x" * 1000])
def test_what_is_no_recording_is_not_read(client, sandbox, name):
    request = api.ReadRecordingRequest(sandbox_id=sandbox.id, name=name)
    try:
        ran = gathered(client.navigator.ReadRecording(request))
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), error
    else:
        assert ran.code != 0 and ran.out == b""


@pytest.mark.parametrize("name", ["", "Main", "a b", "\x1b]2;x\x07", "../x", "-a", "a" * 100])
def test_names_are_plain(client, sandbox, name):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        begin(client, sandbox, name).rest()
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        end(client, sandbox, name)


def test_a_session_needs_a_terminal_and_no_time_limit(client, sandbox):
    for more in ({}, {"terminal": SIZE, "timeout_seconds": 5}):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            Conversation(client, sandbox_id=sandbox.id, command=["sh"], session=session("main"), **more).rest()


@pytest.mark.parametrize("call, request_", [
    ("ListTerminals", api.ListTerminalsRequest),
    ("ListRecordings", api.ListRecordingsRequest),
])
def test_a_sandbox_that_is_not_there_has_none(client, call, request_):
    with refused(grpc.StatusCode.NOT_FOUND):
        getattr(client.navigator, call)(request_(sandbox_id="00000000-0000-0000-0000-000000000000"))
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        getattr(client.navigator, call)(request_(sandbox_id="x"))


def test_the_number_of_sessions_is_bounded(client, own):
    talks = [begin(client, own, f"s{number}", "sleep", "1000") for number in range(32)]
    eventually("all are there", lambda: len(listed(client, own)) == 32)
    with pytest.raises((grpc.RpcError, AssertionError)):
        assert begin(client, own, "more", "true").rest().code == 0
    assert len(listed(client, own)) == 32
    for number, talk in enumerate(talks):
        assert end(client, own, f"s{number}")
        talk.events.cancel()
