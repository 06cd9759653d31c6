"""What can go wrong, and what a gateway's status means."""

from __future__ import annotations

import grpc

# Longest text of a sandbox or gateway that an error repeats.
_WORDS = 4000


class SandboxError(Exception):
    """Anything that goes wrong with a sandbox or its gateway. The kinds below say what."""


class InvalidArgument(SandboxError):
    """The request is malformed or unsafe; also a policy that does not hold."""


class NotFound(SandboxError):
    """There is no such sandbox, provider, route, revision or file."""


class AlreadyExists(SandboxError):
    """There is one of that name."""


class FailedPrecondition(SandboxError):
    """The sandbox is not in a state for it."""


class PolicyRejected(FailedPrecondition):
    """The sandbox could not load a policy; the one before stays in force."""


class PythonMismatch(FailedPrecondition):
    """The sandbox has no Python that can run the function."""


class PermissionDenied(SandboxError):
    """The policy, the gateway or the sandbox's system refuses it. The text says why, in its words."""


class Unauthenticated(PermissionDenied):
    """The gateway does not know who calls."""


class ResourceExhausted(SandboxError):
    """A limit is reached: of the gateway, or of what this side takes from a sandbox."""


class DeadlineExceeded(SandboxError, TimeoutError):
    """There was no answer in time."""


class Unavailable(SandboxError, ConnectionError):
    """Nobody answers, or the connection was lost."""


class Cancelled(SandboxError):
    """The call was given up."""


class ProtocolError(SandboxError):
    """The other side said what it must not say. Nothing of it was used."""


class CommandFailed(SandboxError):
    """A command of which success was asked ended with another exit code than 0."""

    def __init__(self, exit_code: int, stdout: str, stderr: str, denials: tuple[str, ...] = ()) -> None:
        said = [f"the command ended with exit code {exit_code}", shortened(stderr.strip()), *denials]
        super().__init__("\n".join(part for part in said if part))
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr
        #: What the policy refused meanwhile, in its words.
        self.denials = denials


class RemoteError(SandboxError):
    """A function raised an exception in the sandbox."""

    def __init__(self, kind: str, message: str, traceback: str, denials: tuple[str, ...] = ()) -> None:
        said = [f"{kind}: {message}" if message else kind, *denials, shortened(traceback)]
        super().__init__("\n".join(part for part in said if part))
        #: Name of the exception's class.
        self.kind = kind
        #: Its own text.
        self.message = message
        #: Its traceback in the sandbox.
        self.traceback = traceback
        #: What the policy refused meanwhile, in its words.
        self.denials = denials


_KINDS: dict[grpc.StatusCode, type[SandboxError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Cancelled,
}


def from_rpc(error: grpc.RpcError) -> SandboxError:
    """The error that a status of a call means."""
    # Errors of calls have both, which the base class does not say.
    code, details = error.code(), error.details() or ""
    kind = _KINDS.get(code, SandboxError)
    words = shortened(details) or code.name.lower().replace("_", " ")
    if kind is SandboxError:
        words = f"{code.name.lower().replace('_', ' ')}: {words}"
    return kind(words)


def from_http(status: int, words: str) -> SandboxError:
    """The error that the answer to a CONNECT means."""
    kinds: dict[int, type[SandboxError]] = {
        401: Unauthenticated,
        403: PermissionDenied,
        404: NotFound,
        412: FailedPrecondition,
        429: ResourceExhausted,
        502: Unavailable,
        503: Unavailable,
    }
    return kinds.get(status, ProtocolError)(shortened(words) or f"the gateway answers {status}")


def shortened(text: str) -> str:
    """Foreign text without characters that command a terminal, and not too long."""
    plain = "".join(c if c in "\n\t" or c.isprintable() else " " for c in text[: _WORDS + 1])
    return plain if len(plain) <= _WORDS else plain[:_WORDS] + "…"
