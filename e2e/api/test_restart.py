"""The gateway goes and comes back: sandboxes run on, records stay, what was not in order is put in order."""
import os
import signal

import grpc
import pytest

import policies
from client import refused
from leftovers import processes_with
from waiting import eventually
from wire import api, data
from wire import policy as messages


@pytest.fixture(params=["sqlite", "postgres"])
def lone(request, own_gateway):
    """A gateway of which a test may make what it likes."""
    store = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""
    return own_gateway(store=store)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_sandbox_runs_on_without_the_gateway(lone, how, marker):
    with lone.owner() as client:
        client.provide("one", {"A": "1"})
        sandbox = client.create("survivor", policy=policies.online(), providers=["one"])
        assert client.shell(sandbox, f"setsid sleep {marker} > /dev/null 2>&1 & echo kept > /sandbox/file").code == 0

    def same():
        # Its command line is empty for a moment while it becomes `sleep`.
        return processes_with(f"sleep {marker}") == [before]

    (before,) = eventually("it runs", lambda: processes_with(f"sleep {marker}"))
    supervisor = lone.supervisor(sandbox.id)
    getattr(lone, how)()
    eventually("it runs on", same)
    lone.start()
    with lone.owner() as client:
        assert client.ready(sandbox.id).status.restarts == 0
        eventually("it is connected", lambda: connected(client, sandbox))
        assert client.run(sandbox, "cat", "/sandbox/file").text == "kept"
        assert lone.supervisor(sandbox.id) == supervisor
        assert same()
        assert [one.name for one in client.navigator.ListProviders(api.ListProvidersRequest()).providers] == ["one"]
        assert client.logs(sandbox, sources=["gateway"]).logs
        assert client.update(sandbox.name, policies.online("later.example")).version == 2
        eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)


def connected(client, sandbox):
    try:
        return client.run(sandbox, "true").code == 0
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        return False


def test_without_its_supervisor_a_sandbox_is_unavailable_and_then_unknown(lone):
    with lone.owner() as client:
        sandbox = client.create()
    supervisor = lone.supervisor(sandbox.id)
    # In this order: the kernel ends a process that is halted when its parent ends.
    lone.stop()
    os.kill(supervisor, signal.SIGSTOP)
    lone.start()
    with lone.owner() as client:
        with refused(grpc.StatusCode.UNAVAILABLE, "not connected"):
            client.run(sandbox, "true")
        unknown = data.SANDBOX_PHASE_UNKNOWN
        eventually("nothing is known of it", lambda: client.get(sandbox.name).phase == unknown)
        os.kill(supervisor, signal.SIGCONT)
        client.ready(sandbox.id)
        assert client.run(sandbox, "true").code == 0


def test_a_supervisor_that_dies_takes_everything_along_and_is_started_again(lone, marker):
    with lone.owner() as client:
        sandbox = client.create()
        events = client.events(sandbox, "sh", "-c", f"echo kept > /sandbox/file; echo begun; sleep {marker}")
        assert next(events).stdout.data == b"begun\n"
        os.kill(lone.supervisor(sandbox.id), signal.SIGKILL)
        with refused(grpc.StatusCode.UNAVAILABLE):
            list(events)
        eventually("what ran is gone", lambda: not processes_with(f"sleep {marker}"))
        eventually("it is noted", lambda: client.get(sandbox.name).status.restarts == 1)
        client.ready(sandbox.id)
        assert client.run(sandbox, "cat", "/sandbox/file").text == "kept"


def test_a_failed_policy_is_never_delivered_again_and_a_restart_loads_the_last_good_one(lone):
    with lone.owner() as client:
        sandbox = client.create(policy=policies.online())
        os.kill(supervisor := lone.supervisor(sandbox.id), signal.SIGSTOP)
        assert client.update(sandbox.name, policies.online("bad.example")).version == 2
        with lone.sandbox(sandbox.id) as own:
            request = {"sandbox_id": sandbox.id, "version": 2, "status": api.POLICY_STATUS_FAILED, "load_error": "no"}
            own.navigator.ReportPolicyStatus(api.ReportPolicyStatusRequest(**request))
        os.kill(supervisor, signal.SIGKILL)
        eventually("it is started again", lambda: len(lone.launched(sandbox.id)) == 2)
        client.ready(sandbox.id)
        launch = lone.launched(sandbox.id)[lone.supervisor(sandbox.id)]
        assert launch.policy_version == 1
        assert list(launch.spec.policy.network_policies) == ["example_com"]
        eventually("it is noted", lambda: client.get(sandbox.name).status.restarts == 1)
        client.ready(sandbox.id)
        with lone.sandbox(sandbox.id) as own:
            asked = own.navigator.GetSandboxPolicy(messages.GetSandboxPolicyRequest(sandbox_id=sandbox.id))
        assert asked.version == 1
        status = client.revision(sandbox.name)
        assert (status.revision.status, status.active_version) == (api.POLICY_STATUS_FAILED, 1)


def test_what_was_asked_for_while_the_supervisor_was_away_is_done(lone):
    with lone.owner() as client:
        sandbox = client.create(policy=policies.online())
    supervisor = lone.supervisor(sandbox.id)
    # In this order: the kernel ends a process that is halted when its parent ends.
    lone.stop()
    os.kill(supervisor, signal.SIGSTOP)
    lone.start()
    with lone.owner() as client:
        assert client.update(sandbox.name, policies.online("later.example")).version == 2
        os.kill(supervisor, signal.SIGCONT)
        eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)


def test_what_stopped_stays_stopped_and_what_died_is_started(lone):
    with lone.owner() as client:
        stopped, died = client.create("stopped"), client.create("died")
        client.stop(stopped.name)
    lone.stop()
    os.kill(lone.supervisor(died.id), signal.SIGKILL)
    lone.start()
    with lone.owner() as client:
        eventually("it is started again", lambda: len(lone.launched(died.id)) == 2)
        client.ready(died.id)
        assert client.get(stopped.name).phase == data.SANDBOX_PHASE_STOPPED
        assert len(lone.launched(stopped.id)) == 1


def test_a_credential_is_good_across_a_restart(lone):
    with lone.owner() as client:
        sandbox = client.create()
    lone.stop()
    lone.start()
    with lone.sandbox(sandbox.id) as own:
        request = messages.GetSandboxPolicyRequest(sandbox_id=sandbox.id)
        assert own.navigator.GetSandboxPolicy(request).version == 1
