# Generated from navigator/_aio/lifecycle.py by python/tools/generate.py.
"""Sandboxes that are made, looked at, waited for and removed."""

from __future__ import annotations

import contextlib

from navigator import _conversions, _methods
from navigator._blocking.connection import Connection
from navigator._errors import DeadlineExceeded, FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from navigator._proto import navigator_pb2 as api
from navigator._retries import Deadline, pauses
from navigator._transport import blocking as transport
from navigator._values import Phase, SandboxRef, SandboxSpec

# Seconds that a sandbox may stay in error before it is given up: the gateway starts again what fell over.
_PATIENCE = 10.0


class Lifecycle:
    """What is done with sandboxes by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, spec: SandboxSpec | None, name: str) -> SandboxRef:
        """Makes a sandbox and does not wait for it."""
        request = api.CreateSandboxRequest(spec=_conversions.spec_to_wire(spec or SandboxSpec()), name=name)
        return _conversions.ref((self._connection.call(_methods.CREATE, request)).sandbox)

    def get(self, name: str, timeout: float | None = None) -> SandboxRef:
        """Looks at a sandbox."""
        answer = self._connection.call(_methods.GET, api.GetSandboxRequest(name=name), timeout)
        return _conversions.ref(answer.sandbox)

    def delete(self, name: str) -> bool:
        """Removes a sandbox; whether there was one."""
        try:
            return (self._connection.call(_methods.DELETE, api.DeleteSandboxRequest(name=name))).deleted
        except NotFound:
            return False

    def wait_ready(self, name: str, timeout_seconds: float) -> SandboxRef:
        """Waits until a sandbox is ready; an error when it is going, or stays in error."""
        what = f"the sandbox {name} is not ready"
        deadline, patience = Deadline(timeout_seconds), Deadline(None)
        erring = False
        for pause in pauses():
            sandbox = self.get(name, deadline.at_most(self._connection.timeout, what))
            if sandbox.phase is Phase.READY:
                return sandbox
            if sandbox.phase is not Phase.ERROR:
                erring = False
            elif not erring:
                erring, patience = True, Deadline(_PATIENCE)
            self._hopeful(sandbox, erring, patience)
            limit = deadline.at_most(_PATIENCE, what)
            self._until_it_changes(sandbox, limit)
            if erring:
                transport.sleep(deadline.at_most(pause, what))
        raise AssertionError("pauses have no end")

    def _hopeful(self, sandbox: SandboxRef, erring: bool, patience: Deadline) -> None:
        words = f"the sandbox {sandbox.name} is {sandbox.phase}, and will not be ready: {sandbox.reason}"
        if sandbox.phase in (Phase.DELETING, Phase.STOPPED):
            raise FailedPrecondition(words)
        try:
            patience.left(words)
        except DeadlineExceeded:
            raise FailedPrecondition(words) from None

    def _until_it_changes(self, sandbox: SandboxRef, limit: float) -> None:
        """Waits until a sandbox is ready or in another phase, or the limit is over; why it ended is seen by the next look."""
        request = api.WatchSandboxRequest(id=sandbox.id, follow_status=True, stop_on_terminal=True)
        passing = (DeadlineExceeded, Unavailable, NotFound, ResourceExhausted)
        with contextlib.suppress(*passing):
            with contextlib.closing(self._connection.stream(_methods.WATCH, request, limit)) as events:
                for event in events:
                    if event.HasField("sandbox") and _conversions.ref(event.sandbox).phase is not sandbox.phase:
                        return

    def wait_deleted(self, name: str, timeout_seconds: float) -> None:
        """Waits until there is no sandbox of this name, or another one."""
        deadline, what = Deadline(timeout_seconds), f"the sandbox {name} is not gone"
        first = ""
        for pause in pauses():
            try:
                sandbox = self.get(name, deadline.at_most(self._connection.timeout, what))
            except NotFound:
                return
            first = first or sandbox.id
            if sandbox.id != first:
                return
            transport.sleep(deadline.at_most(pause, what))
