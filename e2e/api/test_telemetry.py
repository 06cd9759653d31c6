"""Traces and metrics reach a collector that an operator names."""
from concurrent import futures

import grpc
import pytest

from gateway_process import Gateway
from wire import api

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class Collector(grpc.GenericRpcHandler):
    """Takes whatever is exported; an empty answer accepts all of it."""

    def __init__(self):
        self.exported = {}
        self._server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, details):
        def take(request, _context):
            self.exported[details.method] = self.exported.get(details.method, b"") + request
            return b""

        return grpc.unary_unary_rpc_method_handler(take)

    def end(self):
        self._server.stop(0).wait()


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.end()


def test_what_was_called_is_exported_when_the_gateway_ends_at_the_latest(collector):
    gateway = Gateway(NAVIGATOR_GATEWAY_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")
    try:
        with gateway.owner() as client:
            client.navigator.Health(api.HealthRequest())
    finally:
        gateway.end()
    assert b"navigator-gateway" in collector.exported[TRACES]
    assert b"Health" in collector.exported[TRACES]
    assert b"navigator.call" in collector.exported[METRICS]


def test_a_collector_that_does_not_answer_holds_nothing_up():
    gateway = Gateway(NAVIGATOR_GATEWAY_OTLP_ENDPOINT="http://127.0.0.1:9")
    try:
        with gateway.owner() as client:
            assert client.navigator.Health(api.HealthRequest()).version
    finally:
        gateway.end()
