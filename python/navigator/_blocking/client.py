# Generated from navigator/_aio/client.py by python/tools/generate.py.
"""A gateway and its sandboxes."""

from __future__ import annotations

import builtins
from types import TracebackType
from typing import TypeVar

from navigator import _conversions, _gateways, _methods
from navigator._blocking import connection as connections
from navigator._blocking.connection import Connection
from navigator._blocking.lifecycle import Lifecycle
from navigator._blocking.session import SandboxSession
from navigator._proto import navigator_pb2 as api
from navigator._values import Health, SandboxRef, SandboxSpec, TlsConfig

Self = TypeVar("Self", bound="SandboxClient")
# Seconds that a call may take unless it says so itself: ending everything in a sandbox takes several.
TIMEOUT = 60.0


class SandboxClient:
    """A gateway and its sandboxes.

    `target` is `unix:PATH`, or `https://HOST:PORT` with `tls`. Mostly `from_active_gateway` is what is wanted. `timeout` is in
    seconds, for each call that has no limit of its own. Calls that change nothing are made again when the connection is lost,
    until that time is over.
    """

    def __init__(self, target: str, *, tls: TlsConfig | None = None, timeout: float = TIMEOUT) -> None:
        self._own(Connection(_gateways.parse(target, tls), timeout))

    def _own(self, connection: Connection) -> None:
        #: For the other clients of this package.
        self.connection = connection
        self._sandboxes = Lifecycle(connection)

    @classmethod
    def from_active_gateway(cls: type[Self], *, timeout: float = TIMEOUT, start: bool = True) -> Self:
        """The gateway that the `navigator` program would use: NAVIGATOR_GATEWAY, else the active one, else the local one.

        The local one is started when it does not run, unless `start` is false.
        """
        client = cls.__new__(cls)
        client._own(connections.active(timeout, start))
        return client

    @classmethod
    def from_active_cluster(cls: type[Self], *, timeout: float = TIMEOUT, start: bool = True) -> Self:
        """The same as `from_active_gateway`."""
        return cls.from_active_gateway(timeout=timeout, start=start)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection. Sandboxes go on."""
        self.connection.close()

    def health(self) -> Health:
        """How the gateway is, and its version."""
        return _conversions.health(self.connection.call(_methods.HEALTH, api.HealthRequest()))

    def create(self, *, spec: SandboxSpec | None = None, name: str = "") -> SandboxRef:
        """Makes a sandbox and does not wait for it. Without a name it gets one; without a policy it has its image's."""
        return self._sandboxes.create(spec, name)

    def get(self, name: str) -> SandboxRef:
        """Looks at a sandbox."""
        return self._sandboxes.get(name)

    def list(self, *, limit: int = 100, offset: int = 0) -> builtins.list[SandboxRef]:
        """Sandboxes, oldest first; at most 1000 at once."""
        answer = self.connection.call(_methods.LIST, api.ListSandboxesRequest(limit=limit, offset=offset))
        return [_conversions.ref(sandbox) for sandbox in answer.sandboxes]

    def list_ids(self, *, limit: int = 100, offset: int = 0) -> builtins.list[str]:
        """Ids of sandboxes, oldest first."""
        return [sandbox.id for sandbox in self.list(limit=limit, offset=offset)]

    def delete(self, name: str) -> bool:
        """Ends a sandbox and removes what it has kept; whether there was one."""
        return self._sandboxes.delete(name)

    def wait_ready(self, name: str, *, timeout_seconds: float = 300) -> SandboxRef:
        """Waits until a sandbox is ready. Raises `FailedPrecondition` when it will not be."""
        return self._sandboxes.wait_ready(name, timeout_seconds)

    def wait_deleted(self, name: str, *, timeout_seconds: float = 60) -> None:
        """Waits until a sandbox is gone."""
        self._sandboxes.wait_deleted(name, timeout_seconds)

    def create_session(self, *, spec: SandboxSpec | None = None, name: str = "", timeout_seconds: float = 300) -> SandboxSession:
        """Makes a sandbox and waits until it is ready. When it is not, it is removed again."""
        made = self.create(spec=spec, name=name)
        try:
            return SandboxSession(self.connection, self.wait_ready(made.name, timeout_seconds=timeout_seconds))
        except BaseException:
            self.delete(made.name)
            raise

    def get_session(self, name: str) -> SandboxSession:
        """A sandbox that is there, by name."""
        return SandboxSession(self.connection, self.get(name))
