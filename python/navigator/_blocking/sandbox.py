# Generated from navigator/_aio/sandbox.py by python/tools/generate.py.
"""A sandbox for a block of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from navigator._blocking.client import SandboxClient
from navigator._blocking.session import SandboxSession
from navigator._policies import Policy
from navigator._values import Mount, SandboxSpec

Self = TypeVar("Self", bound="Sandbox")


class Sandbox(SandboxSession):
    """A sandbox for a block of code: made and waited for when it begins, deleted when it ends.

    Without `policy` it has its image's own; without `client` it is at the active gateway, which is started when it is the local
    one and does not run. With `delete_on_exit=False` it stays.

    >>> with Sandbox() as sandbox:
    ...     print((sandbox.exec(["echo", "hello"])).stdout, end="")
    hello
    """

    def __init__(
        self,
        *,
        name: str = "",
        image: str = "",
        policy: Policy | None = None,
        env: Mapping[str, str] | None = None,
        providers: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        mounts: Sequence[Mount] = (),
        resources: Mapping[str, Any] | None = None,
        delete_on_exit: bool = True,
        client: SandboxClient | None = None,
        ready_timeout_seconds: float = 300,
    ) -> None:
        self._connected = None
        self._sandbox = None
        self._spec = SandboxSpec(
            image=image,
            policy=policy,
            environment=env or {},
            providers=providers,
            labels=labels or {},
            mounts=mounts,
            resources=resources or {},
        )
        self._wanted_name = name
        self._delete_on_exit = delete_on_exit
        self._given = client
        self._client: SandboxClient | None = None
        self._ready_timeout = ready_timeout_seconds

    def __enter__(self: Self) -> Self:
        client = self._given or SandboxClient.from_active_gateway()
        try:
            session = client.create_session(spec=self._spec, name=self._wanted_name, timeout_seconds=self._ready_timeout)
        except BaseException:
            if self._given is None:
                client.close()
            raise
        self._client, self._connected, self._sandbox = client, client.connection, session.sandbox
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if self._delete_on_exit:
                self.delete()
        finally:
            self._connected = self._sandbox = None
            if self._given is None:
                client.close()
