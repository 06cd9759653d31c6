"""Run code and agents in sandboxes that a policy governs.

>>> from navigator.aio import Sandbox
>>> async with Sandbox() as sandbox:
...     await sandbox.run_python(lambda x: x**2, args=(12,))
144
"""

from navigator._aio.client import SandboxClient
from navigator._aio.files import Files
from navigator._aio.forward import Forward
from navigator._aio.inference import InferenceRouteClient
from navigator._aio.policy import SandboxPolicy
from navigator._aio.sandbox import Sandbox
from navigator._aio.session import SandboxSession
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
