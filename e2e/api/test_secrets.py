"""Secrets are nowhere but where they are used: not in answers, logs, files, metrics or errors."""
import base64
import http.client
import re
import socket

import grpc
import pytest

import policies
import wire
from client import Client
from waiting import eventually
from wire import api, data, inference

# Each is one secret; short enough for every field, and found in no program.
CREDENTIAL = "canary-credential-7f3a9c51"
REPLACED = "canary-replaced-2b8e6d04"
KEY = "canary-key-c90d1e7f"
BROKEN = "canary-broken-5a6b7c8d"
SECRETS = [CREDENTIAL, REPLACED, KEY, BROKEN]


class Overheard(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Keeps everything that is said to a client."""

    def __init__(self):
        self.said = []

    def intercept_unary_unary(self, proceed, details, request):
        call = proceed(details, request)
        if call.exception() is None:
            self.said.append(call.result().SerializeToString())
        else:
            self.said.append(call.details().encode())
        self.said += [repr(pair).encode() for pair in (*call.initial_metadata(), *call.trailing_metadata())]
        return call

    def intercept_unary_stream(self, proceed, details, request):
        for event in proceed(details, request):
            self.said.append(event.SerializeToString())
            yield event


@pytest.fixture(params=["sqlite", "postgres"])
def store(request):
    """Where the gateway keeps what it keeps, and the directory that holds all of it."""
    if request.param == "sqlite":
        return "", None
    server = request.getfixturevalue("postgres")
    return server.database(), server.directory


def spellings(secret):
    """A secret as it may be written down."""
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), raw[::-1])
    # Base64 depends on where in a group of three the text begins; the middle of each is the same.
    yield from (base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3))


def found(text, secrets):
    return [secret for secret in secrets if any(spelling in text for spelling in spellings(secret))]


def attempt(call):
    """Makes a call that may fail: what is said is what counts."""
    try:
        call()
    except grpc.RpcError:
        pass


def use_secrets(client):
    """Does everything that has to do with secrets, right and wrong."""
    provide, route = client.provide, inference.InferenceRouteSpec
    spec = route(routing_hint="local", base_url="https://a.example", protocols=["openai_responses"], api_key=KEY, enabled=True)
    provide("one", {"TOKEN": CREDENTIAL}, config={"host": "a.example"})
    updated = data.Provider(name="one", type="generic", credentials={"TOKEN": REPLACED})
    client.navigator.UpdateProvider(api.UpdateProviderRequest(provider=updated))
    client.inference.CreateInferenceRoute(inference.CreateInferenceRouteRequest(name="one", route=spec))
    client.inference.UpdateInferenceRoute(inference.UpdateInferenceRouteRequest(name="one", route=spec))
    for wrong in ({"TOKEN": CREDENTIAL}, {"1BAD": CREDENTIAL}, {"A": f"{BROKEN}\0"}, {"A": BROKEN * 100_000}):
        attempt(lambda: provide("one", wrong))
        attempt(lambda: provide("NOT A NAME", wrong))
        attempt(lambda: provide("two", wrong, kind=""))
    for field in ("api_key", "base_url", "routing_hint"):
        changed = route(**{"routing_hint": "x", "base_url": "https://a", "protocols": ["x"], "api_key": KEY, field: f"{BROKEN}\n"})
        attempt(lambda: client.inference.CreateInferenceRoute(inference.CreateInferenceRouteRequest(name="two", route=changed)))
    duplicate = inference.CreateInferenceRouteRequest(name="one", route=spec)
    attempt(lambda: client.inference.CreateInferenceRoute(duplicate))


def look_everywhere(client, sandbox):
    """Asks for everything that a user may ask for."""
    client.get(sandbox.name)
    client.sandboxes()
    client.revision(sandbox.name)
    client.logs(sandbox)
    client.navigator.GetProvider(api.GetProviderRequest(name="one"))
    client.navigator.ListProviders(api.ListProvidersRequest())
    client.inference.ListInferenceRoutes(inference.ListInferenceRoutesRequest())
    watch = api.WatchSandboxRequest(id=sandbox.id, follow_status=True, follow_logs=True, follow_events=True, event_tail=100)
    watch.log_tail_lines, watch.stop_on_terminal = 2000, True
    list(client.navigator.WatchSandbox(watch))


def scrape(gateway):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.socket))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.read()


def files(*roots):
    """Everything that is kept in files."""
    for root in roots:
        yield from (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def content(path):
    """What is in a file; the database's server removes some of its own at any time."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_a_secret_is_nowhere_but_where_it_is_used(own_gateway, store):
    url, kept = store
    gateway = own_gateway(store=url, log="trace")
    overheard = Overheard()
    with gateway.owner() as plain:
        client = Client(grpc.intercept_channel(plain.channel, overheard))
        use_secrets(client)
        sandbox = client.create(log_level="trace", providers=["one"], policy=policies.online(routes=["local"]))
        assert client.run(sandbox, "true").code == 0
        look_everywhere(client, sandbox)
        token = gateway.token(sandbox.id)
        with gateway.with_token(token) as supervisor:
            asked = supervisor.navigator.GetSandboxProviderEnvironment(
                api.GetSandboxProviderEnvironmentRequest(sandbox_id=sandbox.id)
            )
            bundle = supervisor.inference.GetSandboxInferenceBundle(
                inference.GetSandboxInferenceBundleRequest(sandbox_id=sandbox.id)
            )
        assert (asked.environment["TOKEN"], bundle.routes[0].api_key) == (REPLACED, KEY), "they are used"
        session = plain.navigator.CreateSshSession(api.CreateSshSessionRequest(sandbox_id=sandbox.id)).token
        plain.navigator.RevokeSshSession(api.RevokeSshSessionRequest(token=session))
        secrets = [*SECRETS, token, session]
        assert len(overheard.said) > 30
        assert found(b"\n".join(overheard.said), secrets) == []
        assert found(scrape(gateway), secrets) == []
        eventually("the log is written", lambda: "TRACE" in gateway.words())
        look_into_files(gateway, kept, secrets)
        gateway.stop()
        look_into_files(gateway, kept, secrets)
        gateway.start()
        with gateway.owner() as again:
            again.delete(sandbox.name)
            again.navigator.DeleteProvider(api.DeleteProviderRequest(name="one"))


def look_into_files(gateway, kept, secrets):
    places = [gateway.base / "state", gateway.base / "run", gateway.base / "config", *([kept] if kept else [])]
    holding = [(str(path), found(content(path), secrets)) for path in [gateway.log, *files(*places)]]
    assert [place for place in holding if place[1]] == []


def test_the_key_that_seals_is_for_the_gateways_user_only(own_gateway):
    gateway = own_gateway()
    with gateway.owner() as client:
        client.provide("one", {"TOKEN": CREDENTIAL})
    for path in files(gateway.base / "state", gateway.base / "config"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_canary_would_be_found():
    text = b"..." + base64.b64encode(b"ab" + KEY.encode() + b"cd") + b"..."
    assert found(text, SECRETS) == [KEY]
    assert found(KEY.encode(), SECRETS) == [KEY]
    assert re.fullmatch(r"[0-9a-z-]+", KEY)
    assert wire.SANDBOX_SIDE
