"""The calls of the API that a user's program makes, with their types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from navigator._proto import inference_pb2 as routes
from navigator._proto import navigator_pb2 as api

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Q, A]):
    """A call: its path, what it takes and what it gives."""

    path: str
    request: type[Q]
    answer: type[A]
    #: Whether it may be made again when its answer was lost: it changes nothing.
    repeatable: bool = False


def _api(name: str, request: type[Q], answer: type[A], repeatable: bool = False) -> Method[Q, A]:
    return Method(f"/navigator.v1.Navigator/{name}", request, answer, repeatable)


def _routes(name: str, request: type[Q], answer: type[A], repeatable: bool = False) -> Method[Q, A]:
    return Method(f"/navigator.inference.v1.Inference/{name}", request, answer, repeatable)


HEALTH = _api("Health", api.HealthRequest, api.HealthResponse, True)
CREATE = _api("CreateSandbox", api.CreateSandboxRequest, api.SandboxResponse)
GET = _api("GetSandbox", api.GetSandboxRequest, api.SandboxResponse, True)
LIST = _api("ListSandboxes", api.ListSandboxesRequest, api.ListSandboxesResponse, True)
DELETE = _api("DeleteSandbox", api.DeleteSandboxRequest, api.DeleteSandboxResponse)
STOP = _api("StopSandbox", api.StopSandboxRequest, api.SandboxResponse)
START = _api("StartSandbox", api.StartSandboxRequest, api.SandboxResponse)
WATCH = _api("WatchSandbox", api.WatchSandboxRequest, api.SandboxStreamEvent)
EXEC = _api("ExecSandbox", api.ExecSandboxRequest, api.ExecSandboxEvent)
EXEC_WITH_INPUT = _api("ExecInteractive", api.ExecInteractiveRequest, api.ExecSandboxEvent)
UPDATE_POLICY = _api("UpdateSandboxPolicy", api.UpdateSandboxPolicyRequest, api.UpdateSandboxPolicyResponse)
POLICY = _api("GetSandboxPolicyStatus", api.GetSandboxPolicyStatusRequest, api.GetSandboxPolicyStatusResponse, True)
POLICIES = _api("ListSandboxPolicies", api.ListSandboxPoliciesRequest, api.ListSandboxPoliciesResponse, True)
LOGS = _api("GetSandboxLogs", api.GetSandboxLogsRequest, api.GetSandboxLogsResponse, True)
# It makes a right that nobody uses when its answer is lost.
TICKET = _api("CreateSshSession", api.CreateSshSessionRequest, api.CreateSshSessionResponse, True)
CREATE_ROUTE = _routes("CreateInferenceRoute", routes.CreateInferenceRouteRequest, routes.InferenceRouteResponse)
UPDATE_ROUTE = _routes("UpdateInferenceRoute", routes.UpdateInferenceRouteRequest, routes.InferenceRouteResponse)
DELETE_ROUTE = _routes("DeleteInferenceRoute", routes.DeleteInferenceRouteRequest, routes.DeleteInferenceRouteResponse)
LIST_ROUTES = _routes("ListInferenceRoutes", routes.ListInferenceRoutesRequest, routes.ListInferenceRoutesResponse, True)
