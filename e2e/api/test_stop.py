"""Sandboxes stop and start again."""
import grpc
import pytest

import policies
from client import refused
from leftovers import processes_with
from waiting import eventually
from wire import api, data


def test_stop_ends_everything_and_keeps_the_home(client, marker):
    sandbox = client.create()
    assert client.shell(sandbox, "echo kept > /sandbox/file; mkdir /sandbox/dir; ln -s file /sandbox/link").code == 0
    events = client.events(sandbox, "sh", "-c", f"echo begun; sleep {marker}")
    assert next(events).stdout.data == b"begun\n"
    stopped = client.stop(sandbox.name)
    assert stopped.phase == data.SANDBOX_PHASE_STOPPED
    assert not processes_with(f"sleep {marker}")
    started = client.start(sandbox.name)
    assert started.id == sandbox.id
    assert client.run(sandbox, "cat", "/sandbox/link").text == "kept"
    assert client.run(sandbox, "ls", "/sandbox").text.split() == ["dir", "file", "link"]


def test_who_follows_a_command_hears_of_the_end_of_the_sandbox(client):
    sandbox = client.create()
    events = client.events(sandbox, "sh", "-c", "echo begun; sleep 1000")
    assert next(events).stdout.data == b"begun\n"
    client.stop(sandbox.name)
    try:
        codes = [event.exit.exit_code for event in events if event.HasField("exit")]
        assert codes in ([128 + 15], [128 + 9]), codes
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_stop_and_start_may_be_repeated(client):
    name = client.create().name
    assert client.start(name).phase == data.SANDBOX_PHASE_READY
    for _ in range(2):
        assert client.stop(name).phase == data.SANDBOX_PHASE_STOPPED
        assert client.get(name).phase == data.SANDBOX_PHASE_STOPPED
    for _ in range(2):
        assert client.start(name).phase == data.SANDBOX_PHASE_READY


def test_a_stopped_sandbox_is_shown_and_can_be_removed(client):
    sandbox = client.create()
    client.stop(sandbox.name)
    assert [one.phase for one in client.sandboxes() if one.name == sandbox.name] == [data.SANDBOX_PHASE_STOPPED]
    conditions = {condition.type: condition for condition in client.get(sandbox.name).status.conditions}
    assert conditions["Ready"].status == "False"
    assert client.delete(sandbox.name)
    with refused(grpc.StatusCode.NOT_FOUND):
        client.start(sandbox.name)


def test_a_sandbox_keeps_its_policy_and_its_revisions(client):
    sandbox = client.create(policy=policies.online())
    client.update(sandbox.name, policies.online("other.example"))
    eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)
    client.stop(sandbox.name)
    assert client.start(sandbox.name).current_policy_version == 2
    revisions = client.navigator.ListSandboxPolicies(api.ListSandboxPoliciesRequest(name=sandbox.name)).revisions
    assert [(one.version, one.status) for one in revisions] == [(2, api.POLICY_STATUS_LOADED), (1, api.POLICY_STATUS_LOADED)]


def test_a_policy_for_a_stopped_sandbox_is_in_force_when_it_starts(client):
    sandbox = client.create(policy=policies.online())
    client.stop(sandbox.name)
    assert client.update(sandbox.name, policies.online("later.example")).version == 2
    assert client.revision(sandbox.name).revision.status == api.POLICY_STATUS_PENDING
    client.start(sandbox.name)
    eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)
    assert client.revision(sandbox.name).revision.status == api.POLICY_STATUS_LOADED


@pytest.mark.parametrize("order", ["stop first", "start first"])
def test_what_is_asked_for_at_once_leaves_something_that_works(client, order):
    name = client.create().name
    stop = client.navigator.StopSandbox.future(api.StopSandboxRequest(name=name), timeout=30)
    start = client.navigator.StartSandbox.future(api.StartSandboxRequest(name=name), timeout=30)
    for call in (stop, start) if order == "stop first" else (start, stop):
        call.result()
    sandbox = client.start(name)
    assert client.run(sandbox, "echo", "works").text == "works"
