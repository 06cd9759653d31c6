"""Values from messages and messages from values. Nothing of the wire is seen beyond this file and the calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from google.protobuf import json_format

from navigator import _policies
from navigator._errors import InvalidArgument, ProtocolError
from navigator._proto import datamodel_pb2 as data
from navigator._proto import inference_pb2 as routes
from navigator._proto import navigator_pb2 as api
from navigator._values import (
    ExecChunk,
    Health,
    InferenceRoute,
    LogLine,
    Phase,
    PlatformEvent,
    PolicyRevision,
    PolicyStatus,
    SandboxRef,
    SandboxSpec,
    WatchWarning,
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def spec_to_wire(spec: SandboxSpec) -> data.SandboxSpec:
    """The message of a spec; without a policy, so that the sandbox finds its own, unless there is one."""
    template = data.SandboxTemplate(image=spec.image, labels=spec.labels)
    if spec.resources:
        try:
            json_format.ParseDict(dict(spec.resources), template.resources)
        except json_format.ParseError as error:
            raise InvalidArgument(f"failed to understand the resources: {error}") from error
    mounts = [data.Mount(source=mount.source, destination=mount.destination, read_only=mount.read_only) for mount in spec.mounts]
    message = data.SandboxSpec(
        log_level=spec.log_level,
        environment=environment(spec.environment),
        template=template,
        providers=spec.providers,
        mounts=mounts,
    )
    if spec.policy is not None:
        message.policy.CopyFrom(_policies.to_wire(spec.policy))
    return message


def environment(variables: Mapping[str, str] | None) -> Mapping[str, str]:
    """Variables whose names and values can be some."""
    for name, value in (variables or {}).items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise InvalidArgument(f"failed to use {name!r} as a variable: names are letters, digits and `_`")
    return variables or {}


def command(words: Sequence[str]) -> list[str]:
    """A program and its arguments; a line of shell is none."""
    if isinstance(words, (str, bytes)):
        raise InvalidArgument("a command is a list of words; for a line of shell write ['sh', '-c', LINE]")
    if not words:
        raise InvalidArgument("a command has at least one word, the program")
    return list(words)


def seconds(timeout: float | None) -> int:
    """A time limit in whole seconds, at least one; 0 is none."""
    if timeout is None:
        return 0
    if not 0 < timeout < 2**31:
        raise InvalidArgument(f"failed to use {timeout} as a time limit in seconds")
    return max(1, round(timeout))


def ref(sandbox: data.Sandbox) -> SandboxRef:
    """A sandbox."""
    prefix = "SANDBOX_PHASE_"
    known = sandbox.phase in data.SandboxPhase.values()
    name = data.SandboxPhase.Name(sandbox.phase).removeprefix(prefix) if known else "UNSPECIFIED"
    return SandboxRef(
        id=sandbox.id,
        name=sandbox.name,
        namespace=sandbox.namespace,
        phase=Phase(name.lower()),
        policy_version=sandbox.current_policy_version,
        reason=_reason(sandbox),
    )


def _reason(sandbox: data.Sandbox) -> str:
    for condition in sandbox.status.conditions:
        if condition.type == "Ready" and condition.status != "True":
            return f"{condition.reason}: {condition.message}"
    return ""


def health(answer: api.HealthResponse) -> Health:
    """How a gateway is."""
    names = ("unspecified", "healthy", "degraded", "unhealthy")
    status = names[answer.status] if 0 <= answer.status < len(names) else "unspecified"
    return Health(status=status, version=answer.version)  # type: ignore[arg-type]


def exec_event(event: api.ExecSandboxEvent) -> ExecChunk | int | None:
    """A piece of output, or the exit code; `None` for what is not known yet."""
    kind = event.WhichOneof("payload")
    if kind == "stdout":
        return ExecChunk("stdout", event.stdout.data)
    if kind == "stderr":
        return ExecChunk("stderr", event.stderr.data)
    return event.exit.exit_code if kind == "exit" else None


def revision(message: api.SandboxPolicyRevision) -> PolicyRevision:
    """A policy revision."""
    names = ("unspecified", "pending", "loaded", "failed", "superseded")
    if not 0 <= message.status < len(names):
        raise ProtocolError(f"a policy's status that is not known: {message.status}")
    return PolicyRevision(
        version=message.version,
        hash=message.policy_hash,
        status=PolicyStatus(names[message.status]),
        error=message.load_error,
        created_at_ms=message.created_at_ms,
        loaded_at_ms=message.loaded_at_ms,
        policy=_policies.from_wire(message.policy),
    )


def log_line(line: api.SandboxLogLine) -> LogLine:
    """A line of a log."""
    return LogLine(line.timestamp_ms, line.level, line.source, line.target, line.message, dict(line.fields))


Event = SandboxRef | LogLine | PlatformEvent | WatchWarning


def event(message: api.SandboxStreamEvent) -> Event | None:
    """What a watcher sees; `None` for what is not known yet."""
    kind = message.WhichOneof("payload")
    if kind == "sandbox":
        return ref(message.sandbox)
    if kind == "log":
        return log_line(message.log)
    if kind == "event":
        seen = message.event
        return PlatformEvent(seen.timestamp_ms, seen.source, seen.type, seen.reason, seen.message, dict(seen.metadata))
    return WatchWarning(message.warning.message) if kind == "warning" else None


def denials(lines: Sequence[api.SandboxLogLine]) -> tuple[str, ...]:
    """What the policy refused, each once."""
    words = [line.message for line in lines if line.target == "egress" and line.message.startswith("denied ")]
    return tuple(dict.fromkeys(words))


def route(message: routes.InferenceRoute) -> InferenceRoute:
    """A way to a model."""
    spec = message.spec
    return InferenceRoute(
        id=message.id,
        name=message.name,
        routing_hint=spec.routing_hint,
        base_url=spec.base_url,
        protocols=tuple(spec.protocols),
        model_id=spec.model_id,
        enabled=spec.enabled,
    )
