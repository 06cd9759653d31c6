"""Whether the gateway is well, over gRPC and over HTTP on the same port."""
import http.client
import json
import socket
import ssl

import pytest

from wire import api


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


@pytest.fixture(params=["unix", "tls"])
def web(request, gateway, tmp_path):
    if request.param == "unix":
        connection = Local(gateway.socket)
    else:
        identity = gateway.authority.client()
        (tmp_path / "both.pem").write_bytes(identity.certificate + identity.key)
        context = ssl.create_default_context(cadata=gateway.authority.certificate.decode())
        context.load_cert_chain(tmp_path / "both.pem")
        connection = http.client.HTTPSConnection("localhost", gateway.port, timeout=10, context=context)
    yield connection
    connection.close()


def get(web, path, method="GET"):
    web.request(method, path)
    answer = web.getresponse()
    return answer.status, answer.read()


def test_the_gateway_is_healthy_and_tells_its_version(client):
    health = client.navigator.Health(api.HealthRequest())
    assert health.status == api.SERVICE_STATUS_HEALTHY
    assert health.version.count(".") == 2


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_a_gateway_that_runs_says_so_with_nothing(web, path):
    assert get(web, path) == (200, b"")


def test_a_gateway_whose_store_answers_is_ready(web):
    status, body = get(web, "/readyz")
    assert status == 200
    assert set(json.loads(body)) == {"status", "version"}


def test_metrics_are_in_the_prometheus_format(web, client):
    client.navigator.Health(api.HealthRequest())
    status, body = get(web, "/metrics")
    assert status == 200
    lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    assert any("Health" in line for line in lines), lines
    for line in lines:
        float(line.rsplit(" ", 1)[1])


@pytest.mark.parametrize("path", ["/", "/nothing", "/metrics/x", "/../metrics", "//metrics"])
def test_what_is_not_there_is_not_found(web, path):
    assert get(web, path)[0] == 404


def test_nothing_is_changed_over_http(web):
    assert get(web, "/metrics", "POST")[0] == 405
