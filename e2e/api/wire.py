"""The messages and stubs of the API, generated from the repository's definitions each time the tests run."""
import atexit
import importlib
import pathlib
import shutil
import sys
import tempfile
from dataclasses import dataclass

import grpc_tools
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def _generate():
    into = tempfile.mkdtemp(prefix="nav-stubs-")
    atexit.register(shutil.rmtree, into, ignore_errors=True)
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [str(file) for file in sorted(PROTO.rglob("*.proto"))]
    options = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(["protoc", *options, *files]) != 0:
        raise RuntimeError(f"the definitions in {PROTO} cannot be compiled")
    sys.path.insert(0, into)


def _module(name):
    return importlib.import_module(f"navigator.{name}")


_generate()
data = _module("datamodel.v1.datamodel_pb2")
policy = _module("sandbox.v1.sandbox_pb2")
api = _module("v1.navigator_pb2")
api_stubs = _module("v1.navigator_pb2_grpc")
inference = _module("inference.v1.inference_pb2")
inference_stubs = _module("inference.v1.inference_pb2_grpc")
session = _module("session.v1.session_pb2")
session_stubs = _module("session.v1.session_pb2_grpc")


@dataclass(frozen=True)
class Method:
    """A call that the definitions have."""

    name: str
    path: str
    client_streaming: bool
    server_streaming: bool
    request: type

    def __str__(self):
        return self.name


# What a sandbox may call, and nobody else; every other call is a user's.
SANDBOX_SIDE = {
    "GetSandboxPolicy",
    "ReportPolicyStatus",
    "GetSandboxProviderEnvironment",
    "GetSandboxInferenceBundle",
    "PushSandboxLogs",
    "Join",
    "Exec",
}


def methods():
    """Every call of every service."""
    for module in (api, inference, session):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield Method(
                    name=method.name,
                    path=f"/{service.full_name}/{method.name}",
                    client_streaming=method.client_streaming,
                    server_streaming=method.server_streaming,
                    request=GetMessageClass(method.input_type),
                )


METHODS = list(methods())
