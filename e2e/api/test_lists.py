"""Lists: how long they are, where they begin, in which order they are."""
import pytest

import policies
from client import at_once, unique
from waiting import next_millisecond
from wire import api, data, inference

# One more than a list may have.
TOO_MANY = 1001


class Providers:
    """Lists of providers."""

    def make(client, names):
        providers = (data.Provider(name=name, type="generic") for name in names)
        at_once(client.navigator.CreateProvider, (api.CreateProviderRequest(provider=one) for one in providers))

    def names(client, **page):
        return [one.name for one in client.navigator.ListProviders(api.ListProvidersRequest(**page)).providers]


class Routes:
    """Lists of inference routes."""

    def make(client, names):
        spec = inference.InferenceRouteSpec(routing_hint="x", base_url="mock://x", protocols=["openai_responses"])
        requests = (inference.CreateInferenceRouteRequest(name=name, route=spec) for name in names)
        at_once(client.inference.CreateInferenceRoute, requests)

    def names(client, **page):
        answer = client.inference.ListInferenceRoutes(inference.ListInferenceRoutesRequest(**page))
        return [one.name for one in answer.routes]


class Sandboxes:
    """Lists of sandboxes."""

    def make(client, names):
        at_once(client.navigator.CreateSandbox, (api.CreateSandboxRequest(name=name) for name in names))

    def names(client, **page):
        return [one.name for one in client.sandboxes(**page)]


class Revisions:
    """Lists of the revisions of a policy."""

    def make(client, names):
        name = client.create("revised", policy=policies.online()).name
        # Nobody loads them, which takes time.
        client.stop(name)
        policy = (policies.online(f"{host}.example") for host in names[1:])
        requests = (api.UpdateSandboxPolicyRequest(name=name, policy=one) for one in policy)
        at_once(client.navigator.UpdateSandboxPolicy, requests)

    def names(client, **page):
        request = api.ListSandboxPoliciesRequest(name="revised", **page)
        return [one.version for one in client.navigator.ListSandboxPolicies(request).revisions]


@pytest.mark.parametrize("kind", [Providers, Routes, Sandboxes])
def test_a_list_is_in_the_order_of_creation(client, kind):
    names = ["zebra", "monkey", "ant"]
    for name in names:
        kind.make(client, [name])
        next_millisecond()
    assert kind.names(client) == names
    assert kind.names(client, limit=2) == names[:2]
    assert kind.names(client, limit=1, offset=1) == names[1:2]
    assert kind.names(client, offset=2) == names[2:]
    assert kind.names(client, offset=3) == []
    assert kind.names(client, offset=2**32 - 1, limit=2**32 - 1) == []


def test_sandboxes_of_the_same_moment_are_in_the_order_of_their_names(client):
    Sandboxes.make(client, [f"at-once-{number:02}" for number in reversed(range(20))])
    found = [(sandbox.created_at_ms, sandbox.name) for sandbox in client.sandboxes()]
    assert found == sorted(found)
    assert len(found) == 20


@pytest.mark.parametrize("kind", [Providers, Routes, Revisions])
def test_a_list_has_a_hundred_entries_and_never_more_than_a_thousand(owner, gateway, kind):
    names = [f"entry-{number:04}" for number in range(TOO_MANY)]
    kind.make(owner, names)
    assert len(kind.names(owner)) == 100
    assert len(kind.names(owner, limit=0)) == 100
    assert len(kind.names(owner, limit=500)) == 500
    assert len(kind.names(owner, limit=TOO_MANY)) == 1000
    assert len(kind.names(owner, limit=2**32 - 1)) == 1000
    pages = [entry for offset in range(0, TOO_MANY, 100) for entry in kind.names(owner, offset=offset)]
    assert len(set(pages)) == TOO_MANY


def test_a_list_of_sandboxes_has_a_hundred_entries_by_default(owner, gateway):
    Sandboxes.make(owner, [unique("listed") for _ in range(101)])
    assert len(owner.sandboxes()) == 100
    assert len(owner.sandboxes(limit=1000)) == 101
    assert len(owner.sandboxes(offset=100)) == 1
