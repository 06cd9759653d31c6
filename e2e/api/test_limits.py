"""Limits of the whole gateway, and what it does when its store is gone."""
import http.client
import json
import socket
import subprocess

import grpc
import pytest

from client import refused
from postgres import Postgres
from waiting import eventually
from wire import api, data


def test_there_are_no_more_sandboxes_than_the_operator_allows(own_gateway):
    gateway = own_gateway(NAVIGATOR_GATEWAY_MOST_SANDBOXES="2")
    with gateway.owner() as client:
        first = client.begin("first")
        client.begin("second")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "2"):
            client.begin("third")
        assert [one.name for one in client.sandboxes()] == ["first", "second"]
        client.delete(first.name)
        assert client.begin("third").name == "third"


def ready(gateway):
    """What the gateway says of itself over HTTP."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(gateway.socket))
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def server():
    """A database server that a test may stop; it outlives the gateway."""
    server = Postgres()
    yield server
    server.end()


def test_a_gateway_whose_store_is_gone_says_so_and_recovers(server, own_gateway):
    gateway = own_gateway(store=server.database())
    with gateway.owner() as client:
        sandbox = client.create()
        assert ready(gateway)[0] == 200
        server.stop()
        assert ready(gateway)[0] == 503
        assert client.navigator.Health(api.HealthRequest()).status == api.SERVICE_STATUS_UNHEALTHY
        for call in (client.sandboxes, lambda: client.begin("more"), lambda: client.delete(sandbox.name)):
            with refused(grpc.StatusCode.UNAVAILABLE):
                call()
        server.start()
        eventually("it is ready again", lambda: ready(gateway)[0] == 200)
        assert client.ready(sandbox.id).phase == data.SANDBOX_PHASE_READY
        assert client.run(sandbox, "true").code == 0


def test_a_second_gateway_does_not_use_the_same_state(own_gateway):
    gateway = own_gateway()
    second = subprocess.run(
        [gateway.binary, "gateway", "run"], env=gateway.environment, capture_output=True, text=True, timeout=30
    )
    assert second.returncode not in (0, None)
    assert "another gateway" in second.stderr
    with gateway.owner() as client:
        assert client.sandboxes() == []
