"""Sandboxes that are made, looked at, waited for and removed."""

import concurrent.futures

import pytest
from navigator import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    Mount,
    NotFound,
    Phase,
    SandboxError,
    SandboxRef,
    SandboxSpec,
)


def test_a_sandbox_lives_as_long_as_its_block(twin, any_client):
    with twin.sandbox(any_client) as sandbox:
        assert isinstance(sandbox.sandbox, SandboxRef) and sandbox.sandbox.phase is Phase.READY
        name = sandbox.name
        assert any_client.get(name).id == sandbox.id
    with pytest.raises(NotFound):
        any_client.wait_deleted(name)
        any_client.get(name)
    with pytest.raises(SandboxError, match="with"):
        sandbox.exec(["true"])


def test_a_sandbox_goes_when_its_block_fails(twin, client):
    with pytest.raises(ZeroDivisionError), twin.sandbox(client) as sandbox:
        name = sandbox.name
        raise ZeroDivisionError
    client.wait_deleted(name)


def test_a_sandbox_stays_when_it_is_told(twin, client, name):
    with twin.sandbox(client, name=name, delete_on_exit=False):
        pass
    assert client.get(name).phase is Phase.READY
    assert client.get_session(name).exec(["echo", "on"]).stdout == "on\n"
    assert client.delete(name) is True
    client.wait_deleted(name)
    assert client.delete(name) is False


def test_create_wait_get_list_and_delete(client, name):
    made = client.create(name=name)
    assert (made.name, made.namespace) == (name, client.get(name).namespace)
    assert client.wait_ready(name).phase is Phase.READY
    assert made.id in client.list_ids(limit=1000)
    assert name in [sandbox.name for sandbox in client.list(limit=1000)]
    assert client.list(limit=1, offset=100_000) == []
    with pytest.raises(AlreadyExists, match=name):
        client.create(name=name)
    assert client.delete(name)
    client.wait_deleted(name)


def test_many_sandboxes_are_made_at_once(client):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sessions = list(pool.map(lambda _: client.create_session(), range(8)))
        outputs = list(pool.map(lambda session: session.exec(["hostname"]).exit_code, sessions))
        list(pool.map(lambda session: session.delete(), sessions))
    assert outputs == [0] * 8 and len({session.id for session in sessions}) == 8


def test_a_spec_is_what_the_sandbox_has(twin, client, tmp_path):
    (tmp_path / "file").write_text("mounted")
    tmp_path.chmod(0o755)
    how = {"env": {"WORD": "x"}, "labels": {"a": "b"}, "resources": {"limits": {"pids": 50}}}
    with twin.sandbox(client, mounts=[Mount(str(tmp_path), "/mnt/here", read_only=True)], **how) as sandbox:
        assert sandbox.exec(["sh", "-c", "echo $WORD; cat /mnt/here/file"]).stdout == "x\nmounted"


def test_a_sandbox_without_policy_discovers_one(sandbox):
    assert sandbox.sandbox.policy_version == 1
    assert sandbox.policy.get().policy["filesystem_policy"]["read_write"]


def test_what_cannot_be_made_is_refused_and_leaves_nothing(client, twin, name):
    with pytest.raises(SandboxError):
        client.create_session(spec=SandboxSpec(image="/nowhere/at/all"), name=name)
    with pytest.raises(FailedPrecondition):
        client.create(spec=SandboxSpec(providers=["nobody"]), name=name)
    with pytest.raises(InvalidArgument):
        client.create(name="No Name")
    with pytest.raises(InvalidArgument), twin.sandbox(client, policy={"filesystem_policy": {"read_only": ["relative"]}}):
        pass
    client.wait_deleted(name)
    assert name not in [sandbox.name for sandbox in client.list(limit=1000)]


def test_stop_keeps_the_files_and_start_brings_it_back(sandbox, client):
    sandbox.files.write("kept", "x")
    sandbox.stop()
    with pytest.raises(FailedPrecondition, match="stopped"):
        client.wait_ready(sandbox.name, timeout_seconds=20)
    assert sandbox.start().phase is Phase.READY
    assert sandbox.files.read("kept") == b"x"
    assert sandbox.refresh().phase is Phase.READY


def test_waiting_has_an_end(client, sandbox):
    with pytest.raises(DeadlineExceeded):
        client.wait_deleted(sandbox.name, timeout_seconds=0.3)
    with pytest.raises(NotFound):
        client.wait_ready("no-such-sandbox", timeout_seconds=5)


def test_health_has_a_version(any_client):
    health = any_client.health()
    assert health.status == "healthy" and health.version


def test_routes_to_models_are_made_changed_and_removed(twin, client, name):
    routes = twin.routes(client)
    spec = {"routing_hint": name, "base_url": "mock://m", "protocols": ["openai_chat_completions"]}
    made = routes.create(name=name, api_key="secret", model_id="m", **spec)
    assert (made.name, made.routing_hint, made.enabled) == (name, name, True)
    assert "secret" not in repr(made)
    assert routes.update(name, enabled=False, **spec).enabled is False
    assert name in [route.name for route in routes.list(limit=1000)]
    assert routes.delete(name) is True
    with pytest.raises(InvalidArgument):
        routes.create(name=name, routing_hint="x", base_url="ftp://x", protocols=["openai_chat_completions"])
