"""What the tests are given: the base image, and a gateway that has it, of root and of an ordinary user."""
import os
import pathlib
import shutil
import sys

import pytest

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
sys.path[:0] = [str(pathlib.Path(__file__).parent.parent / name) for name in ("api", "access")]

import image
from gateway_process import ORDINARY_USER, Gateway
from person import Person
from wire import data

# Seconds that bringing the image in may take: it is large, and the binary under test is not optimised.
IMPORT = 300


@pytest.fixture(scope="session")
def layout():
    """The image as an OCI layout."""
    if os.geteuid() != 0:
        pytest.skip("only root can build the image")
    return image.layout()


@pytest.fixture(scope="session", params=["root", "user"])
def gateway(request, layout):
    """A gateway whose store has the image as `base`."""
    gateway = Gateway(user=ORDINARY_USER if request.param == "user" else None)
    try:
        here = gateway.directory("layout")
        shutil.copytree(layout, here, copy_function=link, dirs_exist_ok=True)
        Person(gateway, own=True).run("image", "import", f"oci:{here}:{image.TAG}", "--name", "base", "-q", longest=IMPORT)
        yield gateway
    finally:
        gateway.end()


def link(source, to):
    """The same file at another place, where that is possible."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy(source, to)


@pytest.fixture(scope="session")
def owner(gateway):
    """A client of the user that the gateway runs as."""
    with gateway.owner() as client:
        yield client


@pytest.fixture(scope="session")
def person(gateway):
    """That user at the command line."""
    return Person(gateway, own=True)


@pytest.fixture(scope="module")
def sandbox(owner):
    """A sandbox from the image that names no policy; the tests of a module share it."""
    sandbox = owner.create(template=data.SandboxTemplate(image="base"))
    yield sandbox
    owner.delete(sandbox.name)
