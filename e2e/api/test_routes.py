"""Inference routes: kept, shown without their keys, bundled for the sandboxes whose policy allows them."""
import uuid

import grpc
import pytest

import policies
from client import refused
from waiting import eventually
from wire import inference

REDACTED = "[redacted]"
PLAIN = {
    "routing_hint": "local",
    "base_url": "https://models.example/v1",
    "protocols": ["openai_chat_completions", "anthropic_messages"],
    "api_key": "hidden",
    "model_id": "small",
    "enabled": True,
}


def create(client, name, **changes):
    spec = inference.InferenceRouteSpec(**{**PLAIN, **changes})
    return client.inference.CreateInferenceRoute(inference.CreateInferenceRouteRequest(name=name, route=spec)).route


def update(client, name, **changes):
    spec = inference.InferenceRouteSpec(**{**PLAIN, **changes})
    return client.inference.UpdateInferenceRoute(inference.UpdateInferenceRouteRequest(name=name, route=spec)).route


def delete(client, name):
    return client.inference.DeleteInferenceRoute(inference.DeleteInferenceRouteRequest(name=name)).deleted


def listed(client):
    return list(client.inference.ListInferenceRoutes(inference.ListInferenceRoutesRequest()).routes)


def bundle(gateway, sandbox):
    """What a sandbox is told of the routes that it may use."""
    with gateway.sandbox(sandbox.id) as supervisor:
        request = inference.GetSandboxInferenceBundleRequest(sandbox_id=sandbox.id)
        return supervisor.inference.GetSandboxInferenceBundle(request)


def models(gateway, sandbox):
    return sorted(route.model_id for route in bundle(gateway, sandbox).routes)


def test_a_route_is_shown_without_its_key_everywhere(client):
    made = create(client, "one")
    for shown in (made, *listed(client), update(client, "one")):
        assert (shown.name, shown.id) == ("one", str(uuid.UUID(made.id)))
        assert shown.spec == inference.InferenceRouteSpec(**{**PLAIN, "api_key": REDACTED})


def test_a_route_without_a_name_gets_two_words(client):
    name = create(client, "").name
    words = name.split("-")
    assert len(words) == 2 and all(word.isalpha() and word.islower() for word in words), name


def test_a_name_is_used_once(client):
    create(client, "one")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "one"):
        create(client, "one")


def test_what_is_not_there_is_not_found(client):
    with refused(grpc.StatusCode.NOT_FOUND):
        update(client, "nothing")
    assert not delete(client, "nothing")


def test_a_removed_route_is_gone(client):
    create(client, "one")
    assert delete(client, "one")
    assert listed(client) == []


@pytest.mark.parametrize("name", ["-", "A", "a_b", "../a", "a" * 64, "a\n"])
def test_names_are_dns_labels(client, name):
    for call in (create, update, delete):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            call(client, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"routing_hint": ""},
        {"routing_hint": "x" * 100_000},
        {"base_url": ""},
        {"base_url": "models.example"},
        {"base_url": "ftp://models.example"},
        {"base_url": "file:///etc/passwd"},
        {"base_url": "https://"},
        {"base_url": "https://a b/"},
        {"base_url": "https://models.example/\r\nX: y"},
        {"protocols": []},
        {"protocols": [""]},
        {"protocols": ["x"] * 10_000},
        {"api_key": "a\r\nX: y"},
        {"api_key": "x" * 1_000_000},
        {"model_id": "a\0b"},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_what_is_no_route_is_refused(client, changes):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        create(client, "one", **changes)
    assert listed(client) == []
    create(client, "one")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        update(client, "one", **changes)
    assert [route.spec.base_url for route in listed(client)] == [PLAIN["base_url"]]


def test_a_route_has_a_spec(client):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.inference.CreateInferenceRoute(inference.CreateInferenceRouteRequest(name="one"))


@pytest.mark.parametrize("url", ["https://a.example", "http://127.0.0.1:8080/v1", "mock://name", "https://[2001:db8::1]:1/"])
def test_every_kind_of_server_is_taken(client, url):
    assert create(client, "one", base_url=url).spec.base_url == url


def test_a_sandbox_gets_the_enabled_routes_that_its_policy_allows(gateway, client):
    create(client, "one", model_id="one")
    create(client, "off", model_id="off", enabled=False)
    create(client, "other", model_id="other", routing_hint="remote")
    sandbox = client.create(policy=policies.online(routes=["local"]))
    (route,) = bundle(gateway, sandbox).routes
    assert (route.model_id, route.api_key, route.routing_hint) == ("one", "hidden", "local")
    assert (route.base_url, list(route.protocols)) == (PLAIN["base_url"], PLAIN["protocols"])
    assert models(gateway, client.create(policy=policies.online())) == []
    assert models(gateway, client.create(policy=policies.offline())) == []


def test_a_new_policy_gets_its_routes_at_once(gateway, client):
    create(client, "one", model_id="one")
    create(client, "two", model_id="two", routing_hint="remote")
    sandbox = client.create(policy=policies.online(routes=["local"]))
    assert models(gateway, sandbox) == ["one"]
    client.update(sandbox.name, policies.online(routes=["local", "remote"]))
    eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 2)
    assert models(gateway, sandbox) == ["one", "two"]
    client.update(sandbox.name, policies.online(routes=[]))
    eventually("it is in force", lambda: client.get(sandbox.name).current_policy_version == 3)
    assert models(gateway, sandbox) == []


def test_the_revision_of_a_bundle_follows_what_is_in_it(gateway, client):
    sandbox = client.create(policy=policies.online(routes=["local"]))
    seen = [bundle(gateway, sandbox).revision]

    def changed():
        seen.append(bundle(gateway, sandbox).revision)
        return seen[-1] not in seen[:-1]

    assert not changed(), "nothing has changed"
    create(client, "one")
    assert changed()
    update(client, "one", api_key="another")
    assert changed()
    update(client, "one", api_key=REDACTED, model_id="large")
    assert changed()
    assert bundle(gateway, sandbox).routes[0].api_key == "another"
    create(client, "unrelated", routing_hint="remote")
    assert not changed()
    assert bundle(gateway, sandbox).generated_at_ms > 0


def test_redacted_stands_for_nothing_when_nothing_is_kept(client):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        create(client, "one", api_key=REDACTED)
