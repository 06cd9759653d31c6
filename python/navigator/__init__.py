# Generated from navigator/aio/__init__.py by python/tools/generate.py.
"""Run code and agents in sandboxes that a policy governs.

>>> from navigator import Sandbox
>>> with Sandbox() as sandbox:
...     sandbox.run_python(lambda x: x**2, args=(12,))
144
"""

from navigator._blocking.client import SandboxClient
from navigator._blocking.files import Files
from navigator._blocking.forward import Forward
from navigator._blocking.inference import InferenceRouteClient
from navigator._blocking.policy import SandboxPolicy
from navigator._blocking.sandbox import Sandbox
from navigator._blocking.session import SandboxSession
from navigator._errors import (
    AlreadyExists,
    Cancelled,
    CommandFailed,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PolicyRejected,
    ProtocolError,
    PythonMismatch,
    RemoteError,
    ResourceExhausted,
    SandboxError,
    Unauthenticated,
    Unavailable,
)
from navigator._policies import Policy
from navigator._values import (
    ExecChunk,
    ExecResult,
    FileEntry,
    Health,
    InferenceRoute,
    LogLine,
    Mount,
    Phase,
    PlatformEvent,
    PolicyRevision,
    PolicyStatus,
    SandboxRef,
    SandboxSpec,
    TlsConfig,
    WatchWarning,
)

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "CommandFailed",
    "DeadlineExceeded",
    "ExecChunk",
    "ExecResult",
    "FailedPrecondition",
    "FileEntry",
    "Files",
    "Forward",
    "Health",
    "InferenceRoute",
    "InferenceRouteClient",
    "InvalidArgument",
    "LogLine",
    "Mount",
    "NotFound",
    "PermissionDenied",
    "Phase",
    "PlatformEvent",
    "Policy",
    "PolicyRejected",
    "PolicyRevision",
    "PolicyStatus",
    "ProtocolError",
    "PythonMismatch",
    "RemoteError",
    "ResourceExhausted",
    "Sandbox",
    "SandboxClient",
    "SandboxError",
    "SandboxPolicy",
    "SandboxRef",
    "SandboxSession",
    "SandboxSpec",
    "TlsConfig",
    "Unauthenticated",
    "Unavailable",
    "WatchWarning",
]
