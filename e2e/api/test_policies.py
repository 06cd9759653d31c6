"""The life of a policy: versions, their status, their history, their hash."""
import os
import re
import signal

import grpc
import pytest

from client import refused
from policies import endpoint, offline, online, rule
from waiting import eventually
from wire import api
from wire import policy as messages

LOADED, FAILED = api.POLICY_STATUS_LOADED, api.POLICY_STATUS_FAILED
PENDING, SUPERSEDED = api.POLICY_STATUS_PENDING, api.POLICY_STATUS_SUPERSEDED


@pytest.fixture
def revised(client):
    """A sandbox with network, to get other policies."""
    return client.create(policy=online())


@pytest.fixture
def silent(gateway, client):
    """A sandbox whose supervisor does nothing, so that the test reports in its place."""
    sandbox = client.create(policy=online())
    pid = gateway.supervisor(sandbox.id)
    os.kill(pid, signal.SIGSTOP)
    with gateway.sandbox(sandbox.id) as supervisor:
        yield sandbox, supervisor
    os.kill(pid, signal.SIGKILL)


def report(supervisor, sandbox, version, status, load_error=""):
    request = {"sandbox_id": sandbox.id, "version": version, "status": status, "load_error": load_error}
    return supervisor.navigator.ReportPolicyStatus(api.ReportPolicyStatusRequest(**request))


def history(client, sandbox, **page):
    request = api.ListSandboxPoliciesRequest(name=sandbox.name, **page)
    return [(one.version, one.status) for one in client.navigator.ListSandboxPolicies(request).revisions]


def loaded(client, sandbox, version):
    return eventually("it is loaded", lambda: client.get(sandbox.name).current_policy_version == version)


def test_the_first_policy_is_version_1_and_loaded(client, revised):
    status = client.revision(revised.name)
    assert (status.revision.version, status.revision.status, status.active_version) == (1, LOADED, 1)
    assert re.fullmatch(r"[0-9a-f]{64}", status.revision.policy_hash.removeprefix("sha256:"))
    assert 0 < status.revision.created_at_ms <= status.revision.loaded_at_ms


def test_a_new_policy_becomes_the_next_version_and_comes_into_force(client, revised):
    updated = client.update(revised.name, online("new.example"))
    assert updated.version == 2
    loaded(client, revised, 2)
    status = client.revision(revised.name)
    assert (status.revision.status, status.active_version) == (LOADED, 2)
    assert status.revision.policy_hash == updated.policy_hash
    assert list(status.revision.policy.network_policies) == ["new_example"]
    assert list(client.get(revised.name).spec.policy.network_policies) == ["new_example"]
    assert history(client, revised) == [(2, LOADED), (1, LOADED)]


ASK = """
import socket
proxy = socket.create_connection(("10.200.0.1", 3128), 25)
proxy.sendall(b"CONNECT nothing.invalid:443 HTTP/1.1\\r\\nHost: nothing.invalid:443\\r\\n\\r\\n")
print(proxy.recv(12).decode())
"""


def test_a_new_policy_decides_what_happens_next(client):
    def asked():
        return client.run(sandbox, "/usr/bin/python3", "-c", ASK).text

    def policy(host):
        return offline(network_policies={"one": rule(endpoint(host), binaries=["/**"])})

    sandbox = client.create(policy=policy("other.invalid"))
    assert asked() == "HTTP/1.1 403"
    client.update(sandbox.name, policy("nothing.invalid"))
    loaded(client, sandbox, 2)
    # Allowed by then, and there is no such name.
    assert asked() in ("HTTP/1.1 502", "HTTP/1.1 504")


def test_the_same_policy_again_is_no_new_version(client, revised):
    first = client.revision(revised.name).revision
    again = online()
    again.filesystem.read_only[:] = [f"{path}/" for path in again.filesystem.read_only]
    again.version = 0
    updated = client.update(revised.name, again)
    assert (updated.version, updated.policy_hash) == (1, first.policy_hash)
    assert history(client, revised) == [(1, LOADED)]


def test_an_older_policy_again_is_a_new_version_with_the_old_hash(client, revised):
    first = client.revision(revised.name).revision.policy_hash
    assert client.update(revised.name, online("new.example")).policy_hash != first
    back = client.update(revised.name, online())
    assert (back.version, back.policy_hash) == (3, first)


def test_the_hash_does_not_depend_on_the_order_of_maps(client):
    hosts = [f"host{number}.example" for number in range(20)]
    hashes = set()
    for order in (hosts, hosts[::-1]):
        sandbox = client.create(policy=online(*order))
        hashes.add(client.revision(sandbox.name).revision.policy_hash)
    assert len(hashes) == 1


def test_history_is_newest_first_and_in_pages(client, revised):
    for number in range(2, 6):
        client.update(revised.name, online(f"host{number}.example"))
    loaded(client, revised, 5)
    assert [version for version, _ in history(client, revised)] == [5, 4, 3, 2, 1]
    assert [version for version, _ in history(client, revised, limit=2)] == [5, 4]
    assert [version for version, _ in history(client, revised, limit=2, offset=3)] == [2, 1]
    assert history(client, revised, offset=5) == []


def test_each_version_can_be_looked_at(client, revised):
    client.update(revised.name, online("new.example"))
    loaded(client, revised, 2)
    assert [client.revision(revised.name, version).revision.version for version in (0, 1, 2)] == [2, 1, 2]
    assert client.revision(revised.name, 1).active_version == 2
    for version in (3, 2**32 - 1):
        with refused(grpc.StatusCode.NOT_FOUND):
            client.revision(revised.name, version)


def test_an_update_may_say_what_it_starts_from(client, revised):
    assert client.update(revised.name, online("two.example"), expected_version=1).version == 2
    for stale in (1, 3, 2**32 - 1):
        with refused(grpc.StatusCode.FAILED_PRECONDITION):
            client.update(revised.name, online("three.example"), expected_version=stale)
    assert client.revision(revised.name).revision.version == 2
    assert client.update(revised.name, online("three.example"), expected_version=2).version == 3


def test_of_updates_at_once_that_start_from_the_same_one_wins(client, revised):
    requests = [
        api.UpdateSandboxPolicyRequest(name=revised.name, policy=online(f"host{number}.example"), expected_version=1)
        for number in range(10)
    ]
    calls = [client.navigator.UpdateSandboxPolicy.future(request, timeout=30) for request in requests]
    assert [call.exception() for call in calls].count(None) == 1
    assert client.revision(revised.name).revision.version == 2


def test_updates_at_once_get_versions_of_their_own(client, revised):
    requests = [
        api.UpdateSandboxPolicyRequest(name=revised.name, policy=online(f"host{number}.example")) for number in range(20)
    ]
    calls = [client.navigator.UpdateSandboxPolicy.future(request, timeout=30) for request in requests]
    assert sorted(call.result().version for call in calls) == list(range(2, 22))
    loaded(client, revised, 21)
    assert {status for _, status in history(client, revised)} <= {LOADED, SUPERSEDED}


def test_an_update_needs_a_policy_and_a_sandbox(client, revised):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.navigator.UpdateSandboxPolicy(api.UpdateSandboxPolicyRequest(name=revised.name))
    with refused(grpc.StatusCode.NOT_FOUND):
        client.update("nobody", online())
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.update("NOT A NAME", online())


def test_a_policy_is_pending_until_the_sandbox_has_loaded_it(client, silent):
    sandbox, supervisor = silent
    client.update(sandbox.name, online("new.example"))
    status = client.revision(sandbox.name)
    assert (status.revision.status, status.revision.loaded_at_ms, status.active_version) == (PENDING, 0, 1)
    assert client.get(sandbox.name).current_policy_version == 1
    assert list(client.get(sandbox.name).spec.policy.network_policies) == ["example_com"]
    report(supervisor, sandbox, 2, LOADED)
    status = client.revision(sandbox.name)
    assert (status.revision.status, status.active_version) == (LOADED, 2)
    assert status.revision.loaded_at_ms > 0


def test_a_policy_that_failed_leaves_the_old_one_in_force_and_says_why(client, silent):
    sandbox, supervisor = silent
    client.update(sandbox.name, online("new.example"))
    report(supervisor, sandbox, 2, FAILED, "there is no room")
    status = client.revision(sandbox.name)
    assert (status.revision.status, status.revision.load_error, status.active_version) == (FAILED, "there is no room", 1)
    assert history(client, sandbox) == [(2, FAILED), (1, LOADED)]
    assert list(client.get(sandbox.name).spec.policy.network_policies) == ["example_com"]
    asked = supervisor.navigator.GetSandboxPolicy(messages.GetSandboxPolicyRequest(sandbox_id=sandbox.id))
    assert asked.version == 1, "a failed revision is never delivered again"
    assert client.update(sandbox.name, online("better.example")).version == 3


def test_a_failure_has_a_reason_of_bounded_length(client, silent):
    sandbox, supervisor = silent
    client.update(sandbox.name, online("new.example"))
    report(supervisor, sandbox, 2, FAILED, "because " * 100_000)
    error = client.revision(sandbox.name).revision.load_error
    assert error.startswith("because")
    assert len(error) < 100_000
    client.update(sandbox.name, online("newer.example"))
    report(supervisor, sandbox, 3, FAILED)
    assert client.revision(sandbox.name).revision.load_error


def test_older_pending_policies_are_superseded(client, silent):
    sandbox, supervisor = silent
    for number in range(2, 5):
        client.update(sandbox.name, online(f"host{number}.example"))
    asked = supervisor.navigator.GetSandboxPolicy(messages.GetSandboxPolicyRequest(sandbox_id=sandbox.id))
    assert asked.version == 4
    report(supervisor, sandbox, 4, LOADED)
    assert history(client, sandbox) == [(4, LOADED), (3, SUPERSEDED), (2, SUPERSEDED), (1, LOADED)]


def test_what_is_settled_stays_so(client, silent):
    sandbox, supervisor = silent
    client.update(sandbox.name, online("new.example"))
    report(supervisor, sandbox, 2, FAILED, "first")
    for status in (LOADED, FAILED):
        for version in (1, 2):
            try:
                report(supervisor, sandbox, version, status, "second")
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert history(client, sandbox) == [(2, FAILED), (1, LOADED)]
    assert client.revision(sandbox.name).revision.load_error == "first"
    assert client.get(sandbox.name).current_policy_version == 1


@pytest.mark.parametrize("status", [api.POLICY_STATUS_UNSPECIFIED, PENDING, SUPERSEDED])
def test_a_sandbox_reports_success_or_failure(silent, status):
    sandbox, supervisor = silent
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        report(supervisor, sandbox, 1, status)


@pytest.mark.parametrize("status", [LOADED, FAILED])
@pytest.mark.parametrize("version", [0, 99])
def test_a_version_that_there_is_not_cannot_be_reported(client, silent, version, status):
    sandbox, supervisor = silent
    with refused(grpc.StatusCode.NOT_FOUND):
        report(supervisor, sandbox, version, status, "x")
    assert client.get(sandbox.name).current_policy_version == 1
