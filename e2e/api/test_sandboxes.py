"""Sandboxes are made, looked at and removed."""
import os
import re
import time
import uuid

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

import policies
from client import refused, unique
from wire import api, data

PETNAME = re.compile(r"[a-z]+-[a-z]+")
GOOD_NAMES = ["a", "0", "a-b", "a--b", "9lives", "a" * 63]
BAD_NAMES = ["-", "-a", "a-", "A", "a_b", "a.b", "a/b", "../a", "a b", "a\n", "ä", "a\0", "'; --", "a" * 64]


def test_a_sandbox_without_a_name_gets_two_words(client):
    names = {client.begin().name for _ in range(3)}
    assert len(names) == 3
    assert all(PETNAME.fullmatch(name) for name in names), names


def test_a_sandbox_is_what_was_asked_for(client):
    resources = struct_pb2.Struct()
    # Memory can be bounded only where the gateway's user may write a cgroup.
    wanted = {"pids": 64, **({"memory": "512Mi"} if os.geteuid() == 0 else {})}
    resources.update({"limits": wanted})
    template = data.SandboxTemplate(
        labels={"team": "blue"}, annotations={"note": "x y"}, environment={"FROM": "template"}, resources=resources
    )
    policy = policies.online("api.example.com")
    name = unique("asked")
    made = client.begin(name, log_level="debug", environment={"A": "1"}, template=template, policy=policy)
    shown = client.ready(made.id)
    assert (shown.name, shown.id) == (name, made.id)
    assert str(uuid.UUID(shown.id)) == shown.id
    assert shown.spec.log_level == "debug"
    assert dict(shown.spec.environment) == {"A": "1"}
    assert dict(shown.spec.template.labels) == {"team": "blue"}
    assert dict(shown.spec.template.annotations) == {"note": "x y"}
    assert dict(shown.spec.template.environment) == {"FROM": "template"}
    limits = json_format.MessageToDict(shown.spec.template.resources)["limits"]
    assert limits == wanted
    assert shown.spec.policy.network_policies["api_example_com"].endpoints[0].host == "api.example.com"
    assert shown.current_policy_version == 1


def test_a_sandbox_that_is_ready_says_how_it_is_isolated(client, sandbox):
    shown = client.get(sandbox.name)
    assert shown.phase == data.SANDBOX_PHASE_READY
    conditions = {condition.type: condition for condition in shown.status.conditions}
    assert conditions["Ready"].status == "True"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", conditions["Ready"].last_transition_time)
    names = [layer.name for layer in shown.status.layers]
    assert any("landlock" in name.lower() for name in names), names
    assert any("seccomp" in name.lower() for name in names), names
    assert shown.status.sandbox_name == sandbox.name


def test_what_the_root_filesystem_does_not_have_is_said(client):
    policy = policies.offline(filesystem=policies.files(read_only=[*policies.READ_ONLY, "/not/here"]))
    shown = client.create(policy=policy)
    assert [path.path for path in shown.status.skipped_paths] == ["/not/here"]
    assert shown.status.skipped_paths[0].reason


def test_the_time_of_creation_is_now(client):
    before = int(time.time() * 1000)
    made = client.begin()
    assert before <= made.created_at_ms <= int(time.time() * 1000)


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_is_a_dns_label(client, name):
    assert client.begin(name).name == name
    assert client.get(name).name == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_other_name_is_taken(client, name):
    count = len(client.sandboxes())
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "name"):
        client.begin(name)
    assert len(client.sandboxes()) == count


CALLS_BY_NAME = {
    "GetSandbox": api.GetSandboxRequest,
    "DeleteSandbox": api.DeleteSandboxRequest,
    "StopSandbox": api.StopSandboxRequest,
    "StartSandbox": api.StartSandboxRequest,
    "SnapshotSandbox": api.SnapshotSandboxRequest,
    "ForkSandbox": api.ForkSandboxRequest,
    "GetSandboxPolicyStatus": api.GetSandboxPolicyStatusRequest,
    "ListSandboxPolicies": api.ListSandboxPoliciesRequest,
}


@pytest.mark.parametrize("call", CALLS_BY_NAME)
def test_a_sandbox_that_is_not_there_is_not_found(client, call):
    with refused(grpc.StatusCode.NOT_FOUND):
        getattr(client.navigator, call)(CALLS_BY_NAME[call](name="nobody"))


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "x'; DROP TABLE sandboxes; --", "A", "a" * 100_000])
@pytest.mark.parametrize("call", CALLS_BY_NAME)
def test_what_is_no_name_is_refused_by_every_call(client, call, name):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        getattr(client.navigator, call)(CALLS_BY_NAME[call](name=name))


def calls_by_id(sandbox_id):
    return {
        "ExecSandbox": api.ExecSandboxRequest(sandbox_id=sandbox_id, command=["true"]),
        "GetSandboxLogs": api.GetSandboxLogsRequest(sandbox_id=sandbox_id),
        "WatchSandbox": api.WatchSandboxRequest(id=sandbox_id, follow_status=True),
        "CreateSshSession": api.CreateSshSessionRequest(sandbox_id=sandbox_id),
    }


def complete(answer):
    return list(answer) if hasattr(answer, "__next__") else answer


@pytest.mark.parametrize("call", calls_by_id(""))
def test_an_id_that_nothing_has_is_not_found(client, call):
    with refused(grpc.StatusCode.NOT_FOUND):
        complete(getattr(client.navigator, call)(calls_by_id(str(uuid.uuid4()))[call]))


@pytest.mark.parametrize("sandbox_id", ["", "x", "../state", "a" * 100_000, "{}"])
@pytest.mark.parametrize("call", calls_by_id(""))
def test_what_is_no_id_is_refused_by_every_call(client, call, sandbox_id):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        complete(getattr(client.navigator, call)(calls_by_id(sandbox_id)[call]))


def test_a_name_is_used_once(client):
    name = unique("twice")
    first = client.begin(name)
    with refused(grpc.StatusCode.ALREADY_EXISTS, name):
        client.begin(name)
    assert client.get(name).id == first.id


def test_a_removed_sandbox_is_gone_and_its_name_is_free(client):
    name = unique("again")
    first = client.create(name)
    assert client.delete(name)
    with refused(grpc.StatusCode.NOT_FOUND):
        client.get(name)
    for call, request in calls_by_id(first.id).items():
        with refused(grpc.StatusCode.NOT_FOUND):
            complete(getattr(client.navigator, call)(request))
    second = client.create(name)
    assert second.id != first.id


def test_a_sandbox_can_be_removed_before_it_is_ready(client):
    made = client.begin()
    assert client.delete(made.name)
    assert made.name not in [sandbox.name for sandbox in client.sandboxes()]


def test_a_hundred_are_made_at_once(client):
    requests = [api.CreateSandboxRequest(name=f"many-{number:03}") for number in range(100)]
    calls = [client.navigator.CreateSandbox.future(request, timeout=60) for request in requests]
    made = [call.result().sandbox for call in calls]
    for sandbox in made:
        client.ready(sandbox.id)
    names = {sandbox.name for sandbox in client.sandboxes(limit=1000)}
    assert {request.name for request in requests} <= names
