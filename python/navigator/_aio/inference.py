"""Routes to models."""

from __future__ import annotations

from collections.abc import Sequence

from navigator import _conversions, _methods
from navigator._aio.client import SandboxClient
from navigator._proto import inference_pb2 as routes
from navigator._values import InferenceRoute


class InferenceRouteClient:
    """Routes from model APIs to the servers that answer them. Uses a client's connection."""

    def __init__(self, client: SandboxClient) -> None:
        self._connection = client.connection

    async def create(
        self,
        *,
        routing_hint: str,
        base_url: str,
        protocols: Sequence[str],
        model_id: str = "",
        api_key: str = "",
        name: str = "",
        enabled: bool = True,
    ) -> InferenceRoute:
        """Makes a route. A policy's `allowed_routes` names its hint."""
        spec = _spec(routing_hint, base_url, protocols, model_id, api_key, enabled)
        request = routes.CreateInferenceRouteRequest(route=spec, name=name)
        return _conversions.route((await self._connection.call(_methods.CREATE_ROUTE, request)).route)

    async def update(
        self,
        name: str,
        *,
        routing_hint: str,
        base_url: str,
        protocols: Sequence[str],
        model_id: str = "",
        api_key: str = "",
        enabled: bool = True,
    ) -> InferenceRoute:
        """Replaces a route."""
        spec = _spec(routing_hint, base_url, protocols, model_id, api_key, enabled)
        request = routes.UpdateInferenceRouteRequest(name=name, route=spec)
        return _conversions.route((await self._connection.call(_methods.UPDATE_ROUTE, request)).route)

    async def delete(self, name: str) -> bool:
        """Removes a route; whether there was one."""
        request = routes.DeleteInferenceRouteRequest(name=name)
        return (await self._connection.call(_methods.DELETE_ROUTE, request)).deleted

    async def list(self, *, limit: int = 100, offset: int = 0) -> list[InferenceRoute]:
        """Routes, oldest first."""
        request = routes.ListInferenceRoutesRequest(limit=limit, offset=offset)
        answer = await self._connection.call(_methods.LIST_ROUTES, request)
        return [_conversions.route(route) for route in answer.routes]


def _spec(
    routing_hint: str, base_url: str, protocols: Sequence[str], model_id: str, api_key: str, enabled: bool
) -> routes.InferenceRouteSpec:
    return routes.InferenceRouteSpec(
        routing_hint=routing_hint,
        base_url=base_url,
        protocols=protocols,
        model_id=model_id,
        api_key=api_key,
        enabled=enabled,
    )
