"""What the tests are given: a gateway for each test process, both twins of the package, clients and sandboxes."""

import os
import pathlib
import sys
import uuid

import pytest

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
E2E = pathlib.Path(__file__).parent.parent
sys.path.append(str(E2E / "api"))
sys.path.insert(0, str(E2E.parent / "python"))

from flavours import Asyncio, Blocking
from machine import Machine


@pytest.fixture(scope="session")
def machine():
    """A gateway that the tests of a process share."""
    machine = Machine()
    os.environ.update(machine.places)
    yield machine
    machine.end()


@pytest.fixture
def own_machine():
    """Makes gateways for one test."""
    made = []

    def make(**how):
        made.append(Machine(**how))
        return made[-1]

    yield make
    for machine in made:
        machine.end()


@pytest.fixture(scope="session", params=[Blocking, Asyncio], ids=["blocking", "asyncio"])
def twin(request):
    """The package, in one of its two ways."""
    twin = request.param()
    yield twin
    twin.end()


@pytest.fixture(scope="session", params=["unix", "tls"])
def way(request):
    """How a client connects."""
    return request.param


@pytest.fixture(scope="session")
def client(twin, machine):
    """A client over the unix socket."""
    with twin.client(f"unix:{machine.socket}") as client:
        yield client


@pytest.fixture(scope="session")
def any_client(twin, machine, way):
    """A client over each kind of connection."""
    target = f"unix:{machine.socket}" if way == "unix" else f"https://localhost:{machine.port}"
    with twin.client(target, tls=machine.tls) as client:
        yield client


@pytest.fixture
def sandbox(twin, client):
    """A sandbox of the test's own."""
    with twin.sandbox(client) as sandbox:
        yield sandbox


@pytest.fixture
def name():
    """A name that nothing else has."""
    return f"sdk-{uuid.uuid4().hex[:12]}"
