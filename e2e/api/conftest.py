"""What the tests are given: gateways with each store, clients over each connection, sandboxes."""
import itertools
import os

import pytest

# Children that are made by fork have no use for it, and it warns of them.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import policies
from certificates import Authority
from client import Client
from gateway_process import Gateway
from postgres import Postgres


_numbers = itertools.count()


@pytest.fixture
def marker():
    """A number of seconds that only one test sleeps."""
    return f"9{os.getpid()}.{next(_numbers):04}"


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.end()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def gateway(request):
    """A gateway that many tests share: each leaves it as it was."""
    store = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""
    gateway = Gateway(store=store, authority=Authority())
    yield gateway
    gateway.end()


@pytest.fixture(scope="session", params=["unix", "tls"])
def client(request, gateway) -> Client:
    """A user's client."""
    own = gateway.owner() if request.param == "unix" else gateway.remote(gateway.authority.client())
    with own as client:
        yield client


@pytest.fixture(scope="session")
def owner(gateway) -> Client:
    """A client of the user that the gateway runs as."""
    with gateway.owner() as client:
        yield client


@pytest.fixture(autouse=True)
def left_as_found(request):
    """Removes what a test has made in the gateway that it shares."""
    shared = "gateway" in request.fixturenames
    owner, gateway = (request.getfixturevalue(name) if shared else None for name in ("owner", "gateway"))
    yield
    if shared:
        owner.clean(gateway.kept)


@pytest.fixture(scope="module")
def sandbox(gateway, client):
    """A sandbox that the tests of a module share, and leave as it was."""
    sandbox = client.create(policy=policies.online())
    gateway.kept.add(sandbox.name)
    yield sandbox
    gateway.kept.discard(sandbox.name)
    client.delete(sandbox.name)


@pytest.fixture
def own_gateway():
    """Makes gateways for one test."""
    made = []

    def make(**settings):
        made.append(Gateway(**settings))
        return made[-1]

    yield make
    for gateway in made:
        gateway.end()


def pytest_collection_modifyitems(items):
    for item in items:
        if "needs_root" in item.keywords and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="not root"))
