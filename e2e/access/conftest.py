"""What the tests are given: a gateway with mutual TLS, a user of another machine, and a sandbox."""
import itertools
import os
import pathlib
import sys

import pytest

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "api"))

import policies
from certificates import Authority
from gateway_process import Gateway
from person import Person


_numbers = itertools.count()


@pytest.fixture
def marker():
    """A number of seconds that only one test sleeps."""
    return f"8{os.getpid()}.{next(_numbers):04}"


@pytest.fixture(scope="session")
def gateway():
    """A gateway that takes users with certificates."""
    gateway = Gateway(authority=Authority())
    yield gateway
    gateway.end()


@pytest.fixture(scope="session")
def owner(gateway):
    """A client of the user that the gateway runs as."""
    with gateway.owner() as client:
        yield client


@pytest.fixture(scope="session")
def person(gateway):
    """Somebody with a certificate, who knows the gateway as `team`."""
    return Person(gateway)


@pytest.fixture(scope="session", params=["remote", "local"])
def anybody(request, gateway, person):
    """That person, and the gateway's own user."""
    return person if request.param == "remote" else Person(gateway, own=True)


@pytest.fixture(scope="module")
def sandbox(gateway, owner):
    """A sandbox with network that the tests of a module share."""
    sandbox = owner.create(policy=policies.online())
    yield sandbox
    owner.delete(sandbox.name)
