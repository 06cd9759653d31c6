"""Providers: kept, shown without their secrets, given to sandboxes."""
import uuid

import grpc
import pytest

from client import refused
from waiting import eventually
from wire import api, data

REDACTED = "[redacted]"


def get(client, name):
    return client.navigator.GetProvider(api.GetProviderRequest(name=name)).provider


def update(client, **provider):
    return client.navigator.UpdateProvider(api.UpdateProviderRequest(provider=data.Provider(**provider))).provider


def delete(client, name):
    return client.navigator.DeleteProvider(api.DeleteProviderRequest(name=name)).deleted


def environment(gateway, sandbox):
    """What a sandbox is told of its providers."""
    with gateway.sandbox(sandbox.id) as supervisor:
        request = api.GetSandboxProviderEnvironmentRequest(sandbox_id=sandbox.id)
        return dict(supervisor.navigator.GetSandboxProviderEnvironment(request).environment)


def test_a_provider_is_shown_without_its_secrets_everywhere(client):
    made = client.provide("github", {"TOKEN": "hidden", "OTHER": ""}, kind="github", config={"host": "github.com"})
    listed = client.navigator.ListProviders(api.ListProvidersRequest()).providers
    updated = update(client, name="github", type="github", credentials={"TOKEN": "new", "OTHER": "x"}, config={"host": "github.com"})
    for shown in (made, get(client, "github"), *listed, updated):
        assert (shown.name, shown.type, dict(shown.config)) == ("github", "github", {"host": "github.com"})
        assert dict(shown.credentials) == {"TOKEN": REDACTED, "OTHER": REDACTED}
        assert shown.id == made.id == str(uuid.UUID(made.id))


def test_a_name_is_used_once(client):
    client.provide("github", {})
    with refused(grpc.StatusCode.ALREADY_EXISTS, "github"):
        client.provide("github", {})


def test_what_is_not_there_is_not_found(client):
    with refused(grpc.StatusCode.NOT_FOUND):
        get(client, "nothing")
    with refused(grpc.StatusCode.NOT_FOUND):
        update(client, name="nothing", type="generic")
    assert not delete(client, "nothing")


def test_a_removed_provider_is_gone(client):
    first = client.provide("github", {"A": "1"})
    assert delete(client, "github")
    with refused(grpc.StatusCode.NOT_FOUND):
        get(client, "github")
    assert client.provide("github", {"A": "2"}).id != first.id


@pytest.mark.parametrize("name", ["-", "A", "a_b", "../a", "a" * 64, "a\n", "a\0"])
def test_names_are_dns_labels(client, name):
    for call in (lambda: client.provide(name, {}), lambda: get(client, name), lambda: delete(client, name)):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            call()


def test_a_provider_without_a_name_gets_two_words(client):
    name = client.provide("", {"A": "1"}).name
    words = name.split("-")
    assert len(words) == 2 and all(word.isalpha() and word.islower() for word in words), name
    assert get(client, name).name == name


def test_there_is_something_to_make(client):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.navigator.CreateProvider(api.CreateProviderRequest())
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.navigator.UpdateProvider(api.UpdateProviderRequest())


@pytest.mark.parametrize("kind", ["", "a\nb", "x" * 10_000])
def test_a_provider_has_a_type(client, kind):
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "type"):
        client.provide("github", {}, kind=kind)


@pytest.mark.parametrize("key", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\0"])
def test_keys_of_credentials_are_environment_names(client, key):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.provide("github", {key: "x"})
    client.provide("github", {"GOOD": "x"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        update(client, name="github", type="generic", credentials={key: "x"})


@pytest.mark.parametrize("values", [{"A": "a\0b"}, {"A": "x" * 2_000_000}, {f"A{n}": "" for n in range(10_000)}])
def test_there_are_bounds(client, values):
    for provider in ({"credentials": values}, {"credentials": {}, "config": values}):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            client.provide("github", **provider)


def test_an_update_replaces_and_keeps_what_is_redacted(gateway, client):
    client.provide("github", {"KEPT": "1", "CHANGED": "2", "GONE": "3"})
    sandbox = client.create(providers=["github"])
    update(client, name="github", type="generic", credentials={"KEPT": REDACTED, "CHANGED": "4", "NEW": "5"})
    assert environment(gateway, sandbox) == {"KEPT": "1", "CHANGED": "4", "NEW": "5"}


def test_redacted_stands_for_nothing_when_nothing_is_kept(client):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.provide("github", {"A": REDACTED})
    client.provide("github", {"A": "1"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        update(client, name="github", type="generic", credentials={"B": REDACTED})


def test_the_first_provider_wins_on_equal_keys(gateway, client):
    client.provide("one", {"BOTH": "one", "ONE": "1"})
    client.provide("two", {"BOTH": "two", "TWO": "2"})
    for order in (["one", "two"], ["two", "one"]):
        sandbox = client.create(providers=order)
        assert list(client.get(sandbox.name).spec.providers) == order
        assert environment(gateway, sandbox) == {"BOTH": order[0], "ONE": "1", "TWO": "2"}


def test_a_running_sandbox_has_what_its_providers_hold_now(gateway, client):
    client.provide("one", {"A": "1"})
    sandbox = client.create(providers=["one"])
    update(client, name="one", type="generic", credentials={"B": "2"})
    assert environment(gateway, sandbox) == {"B": "2"}

    def names():
        return {line.split("=")[0] for line in client.run(sandbox, "/usr/bin/env").text.splitlines()}

    eventually("new commands have the new one", lambda: "B" in names() and "A" not in names())
    assert delete(client, "one")
    assert environment(gateway, sandbox) == {}
    eventually("new commands have none", lambda: "B" not in names())


def test_a_sandbox_without_providers_has_no_environment_from_any(gateway, client):
    client.provide("one", {"A": "1"})
    assert environment(gateway, client.create()) == {}
