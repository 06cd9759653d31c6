from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InferenceRouteSpec(_message.Message):
    __slots__ = ("routing_hint", "base_url", "protocols", "api_key", "model_id", "enabled")
    ROUTING_HINT_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    routing_hint: str
    base_url: str
    protocols: _containers.RepeatedScalarFieldContainer[str]
    api_key: str
    model_id: str
    enabled: bool
    def __init__(self, routing_hint: _Optional[str] = ..., base_url: _Optional[str] = ..., protocols: _Optional[_Iterable[str]] = ..., api_key: _Optional[str] = ..., model_id: _Optional[str] = ..., enabled: _Optional[bool] = ...) -> None: ...

class InferenceRoute(_message.Message):
    __slots__ = ("id", "spec", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: InferenceRouteSpec
    name: str
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[InferenceRouteSpec, _Mapping[str, object]]] = ..., name: _Optional[str] = ...) -> None: ...

class CreateInferenceRouteRequest(_message.Message):
    __slots__ = ("route", "name")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    route: InferenceRouteSpec
    name: str
    def __init__(self, route: _Optional[_Union[InferenceRouteSpec, _Mapping[str, object]]] = ..., name: _Optional[str] = ...) -> None: ...

class UpdateInferenceRouteRequest(_message.Message):
    __slots__ = ("name", "route")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    route: InferenceRouteSpec
    def __init__(self, name: _Optional[str] = ..., route: _Optional[_Union[InferenceRouteSpec, _Mapping[str, object]]] = ...) -> None: ...

class InferenceRouteResponse(_message.Message):
    __slots__ = ("route",)
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    route: InferenceRoute
    def __init__(self, route: _Optional[_Union[InferenceRoute, _Mapping[str, object]]] = ...) -> None: ...

class DeleteInferenceRouteRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteInferenceRouteResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    def __init__(self, deleted: _Optional[bool] = ...) -> None: ...

class ListInferenceRoutesRequest(_message.Message):
    __slots__ = ("limit", "offset")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    def __init__(self, limit: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class ListInferenceRoutesResponse(_message.Message):
    __slots__ = ("routes",)
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[InferenceRoute]
    def __init__(self, routes: _Optional[_Iterable[_Union[InferenceRoute, _Mapping[str, object]]]] = ...) -> None: ...

class GetSandboxInferenceBundleRequest(_message.Message):
    __slots__ = ("sandbox_id",)
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class GetSandboxInferenceBundleResponse(_message.Message):
    __slots__ = ("routes", "revision", "generated_at_ms")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GENERATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[SandboxResolvedRoute]
    revision: str
    generated_at_ms: int
    def __init__(self, routes: _Optional[_Iterable[_Union[SandboxResolvedRoute, _Mapping[str, object]]]] = ..., revision: _Optional[str] = ..., generated_at_ms: _Optional[int] = ...) -> None: ...

class SandboxResolvedRoute(_message.Message):
    __slots__ = ("routing_hint", "base_url", "protocols", "api_key", "model_id")
    ROUTING_HINT_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    routing_hint: str
    base_url: str
    protocols: _containers.RepeatedScalarFieldContainer[str]
    api_key: str
    model_id: str
    def __init__(self, routing_hint: _Optional[str] = ..., base_url: _Optional[str] = ..., protocols: _Optional[_Iterable[str]] = ..., api_key: _Optional[str] = ..., model_id: _Optional[str] = ...) -> None: ...
