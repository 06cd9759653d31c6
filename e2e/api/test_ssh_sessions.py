"""Rights to reach a sandbox by SSH are made and taken back."""
import grpc
import pytest

from client import refused
from wire import api


def create(client, sandbox):
    return client.navigator.CreateSshSession(api.CreateSshSessionRequest(sandbox_id=sandbox.id))


def revoke(client, token):
    return client.navigator.RevokeSshSession(api.RevokeSshSessionRequest(token=token)).revoked


def test_a_session_says_how_to_connect(client, sandbox):
    session = create(client, sandbox)
    assert session.sandbox_id == sandbox.id
    assert session.connect_path == "/connect/ssh"
    assert session.gateway_host and session.gateway_scheme


def test_each_session_has_a_secret_of_its_own(client, sandbox):
    tokens = {create(client, sandbox).token for _ in range(20)}
    assert len(tokens) == 20
    assert min(len(token) for token in tokens) >= 32


def test_a_session_is_taken_back_once(client, sandbox):
    kept, token = create(client, sandbox).token, create(client, sandbox).token
    assert revoke(client, token)
    assert not revoke(client, token[::-1])
    assert revoke(client, kept)


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "a" * 100_000, "'; --", "\0"])
def test_what_is_no_session_is_not_taken_back(client, sandbox, token):
    token_kept = create(client, sandbox).token
    assert not revoke(client, token)
    assert revoke(client, token_kept)


def test_there_is_none_for_a_sandbox_that_does_not_run(client):
    sandbox = client.create()
    client.stop(sandbox.name)
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        create(client, sandbox)


def test_a_right_ends_with_its_sandbox(client):
    sandbox = client.create()
    token = create(client, sandbox).token
    client.delete(sandbox.name)
    assert not revoke(client, token)


def test_the_secret_is_no_credential_for_the_api(gateway, client, sandbox):
    with gateway.with_token(create(client, sandbox).token) as other:
        with refused(grpc.StatusCode.UNAUTHENTICATED):
            other.sandboxes()
