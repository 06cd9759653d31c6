"""What goes in and comes out, as plain values."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from navigator._policies import Policy


class Phase(str, enum.Enum):
    """Where a sandbox is in its life."""

    UNSPECIFIED = "unspecified"
    PROVISIONING = "provisioning"
    READY = "ready"
    ERROR = "error"
    DELETING = "deleting"
    UNKNOWN = "unknown"
    STOPPED = "stopped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class SandboxRef:
    """A sandbox, as it was when it was looked at."""

    id: str
    name: str
    namespace: str
    phase: Phase
    #: The policy revision in force; 0 before there is one.
    policy_version: int = 0
    #: Why it is not ready.
    reason: str = ""


@dataclass(frozen=True)
class ExecResult:
    """How a command ended. Bytes that are not UTF-8 are replaced; `exec_stream` has them as they are."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class ExecChunk:
    """A piece of output, as it came."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True)
class TlsConfig:
    """Files that prove both sides of a remote gateway to each other, as PEM."""

    ca_path: str | Path
    cert_path: str | Path
    key_path: str | Path


@dataclass(frozen=True)
class Mount:
    """A directory or file of the gateway's machine, in the sandbox."""

    source: str
    destination: str
    read_only: bool = False


@dataclass(frozen=True)
class SandboxSpec:
    """What a sandbox shall be. Without a policy it has its image's own."""

    #: Root filesystem; empty: this machine's system directories.
    image: str = ""
    policy: Policy | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Names of providers.
    providers: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    #: `{"limits": {"cpu": "1.5", "memory": "512Mi", "ephemeral-storage": "1Gi", "pids": 100}}`
    resources: Mapping[str, Any] = field(default_factory=dict)
    #: `error`, `warn`, `info`, `debug` or `trace`; empty is `info`.
    log_level: str = ""


@dataclass(frozen=True)
class Health:
    """How a gateway is."""

    status: Literal["healthy", "degraded", "unhealthy", "unspecified"]
    version: str


class PolicyStatus(str, enum.Enum):
    """What became of a policy revision."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    LOADED = "loaded"
    FAILED = "failed"
    SUPERSEDED = "superseded"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class PolicyRevision:
    """A version of a sandbox's policy."""

    version: int
    hash: str
    status: PolicyStatus
    #: Why it could not be loaded.
    error: str
    created_at_ms: int
    #: 0 before it was loaded.
    loaded_at_ms: int
    #: As in a policy file.
    policy: dict[str, Any]


@dataclass(frozen=True)
class LogLine:
    """A line of a sandbox's log. What comes from the sandbox is foreign text."""

    timestamp_ms: int
    level: str
    source: str
    target: str
    message: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class PlatformEvent:
    """Something that happened to a sandbox."""

    timestamp_ms: int
    source: str
    type: str
    reason: str
    message: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class WatchWarning:
    """What a watcher has missed, and why."""

    message: str


@dataclass(frozen=True)
class InferenceRoute:
    """A way to a model. Its key is never told."""

    id: str
    name: str
    routing_hint: str
    base_url: str
    protocols: tuple[str, ...]
    model_id: str
    enabled: bool


FileKind = Literal["file", "directory", "symlink", "other"]


@dataclass(frozen=True)
class FileEntry:
    """A file in a sandbox."""

    name: str
    kind: FileKind
    size: int
    #: Permissions, such as 0o644.
    mode: int
    #: Seconds since 1970.
    modified: int
