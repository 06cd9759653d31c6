"""A sandbox that is there: commands, functions, files, policy, log and ports of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from navigator import _conversions, _methods, _payloads
from navigator._aio.connection import Connection
from navigator._aio.files import Files
from navigator._aio.forward import Forward
from navigator._aio.lifecycle import Lifecycle
from navigator._aio.observe import logs, watch
from navigator._aio.policy import SandboxPolicy
from navigator._conversions import Event
from navigator._errors import CommandFailed, RemoteError, SandboxError, Unavailable
from navigator._output import Output, requests
from navigator._proto import navigator_pb2 as api
from navigator._values import ExecChunk, ExecResult, LogLine, SandboxRef

T = TypeVar("T")
# Seconds that a gateway may take, after the time limit of a command, to say that it is over.
_GRACE = 30.0


class SandboxSession:
    """A sandbox that is there. Made by `SandboxClient.create_session` and `SandboxClient.get_session`."""

    def __init__(self, connection: Connection, sandbox: SandboxRef) -> None:
        self._connected: Connection | None = connection
        self._sandbox: SandboxRef | None = sandbox

    @property
    def sandbox(self) -> SandboxRef:
        """The sandbox, as it was when it was last looked at."""
        if self._sandbox is None:
            raise SandboxError("the sandbox is not there yet, or not any more: use it in its `with` block")
        return self._sandbox

    @property
    def id(self) -> str:
        """The sandbox's id."""
        return self.sandbox.id

    @property
    def name(self) -> str:
        """The sandbox's name."""
        return self.sandbox.name

    @property
    def _connection(self) -> Connection:
        if self._connected is None:
            raise SandboxError("the sandbox is not there yet, or not any more: use it in its `with` block")
        return self._connected

    @property
    def files(self) -> Files:
        """The sandbox's files."""
        return Files(self._connection, self.id)

    @property
    def policy(self) -> SandboxPolicy:
        """The sandbox's policy."""
        return SandboxPolicy(self._connection, self.name)

    async def refresh(self) -> SandboxRef:
        """Looks at the sandbox again."""
        self._sandbox = await Lifecycle(self._connection).get(self.name)
        return self._sandbox

    async def delete(self) -> bool:
        """Ends the sandbox and removes what it has kept; whether it was there."""
        return await Lifecycle(self._connection).delete(self.name)

    async def stop(self) -> SandboxRef:
        """Ends what runs in it; `/sandbox` is kept."""
        request = api.StopSandboxRequest(name=self.name)
        self._sandbox = _conversions.ref((await self._connection.call(_methods.STOP, request)).sandbox)
        return self._sandbox

    async def start(self, *, timeout_seconds: float = 300) -> SandboxRef:
        """Starts it again and waits until it is ready."""
        await self._connection.call(_methods.START, api.StartSandboxRequest(name=self.name))
        self._sandbox = await Lifecycle(self._connection).wait_ready(self.name, timeout_seconds=timeout_seconds)
        return self._sandbox

    async def exec_stream(
        self,
        command: Sequence[str],
        *,
        workdir: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes | str | Iterable[bytes] | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[ExecChunk | ExecResult, None]:
        """Runs a command and yields its output as it comes, and last an `ExecResult` with its exit code and no output.

        A generator that is closed before its end kills the command.
        """
        start = api.ExecStart(
            sandbox_id=self.id,
            command=_conversions.command(command),
            workdir=workdir,
            environment=_conversions.environment(env),
            timeout_seconds=_conversions.seconds(timeout_seconds),
        )
        async with contextlib.aclosing(self._events(start, stdin)) as events:
            async for event in events:
                got = _conversions.exec_event(event)
                if isinstance(got, int):
                    yield ExecResult(got, "", "")
                    # What comes later is about input that nobody has read.
                    return
                if got is not None:
                    yield got
        raise Unavailable("the connection was lost before the command had ended")

    def _events(
        self, start: api.ExecStart, stdin: bytes | str | Iterable[bytes] | None
    ) -> AsyncGenerator[api.ExecSandboxEvent, None]:
        limit = start.timeout_seconds + _GRACE if start.timeout_seconds else None
        if stdin is not None:
            return self._connection.stream(_methods.EXEC_WITH_INPUT, requests(start, stdin), limit)
        request = api.ExecSandboxRequest(
            sandbox_id=start.sandbox_id,
            command=start.command,
            workdir=start.workdir,
            environment=start.environment,
            timeout_seconds=start.timeout_seconds,
        )
        return self._connection.stream(_methods.EXEC, request, limit)

    async def exec(
        self,
        command: Sequence[str],
        *,
        stream_output: bool = False,
        workdir: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes | str | Iterable[bytes] | None = None,
        timeout_seconds: float | None = None,
        check: bool = False,
    ) -> ExecResult:
        """Runs a command to its end.

        `command` is a program and its arguments, without a shell. `stream_output` shows what it prints as it comes. After
        `timeout_seconds` it is killed, with everything that it has started, and has exit code 124; without, it may run for
        ever. `check` raises `CommandFailed`, with what the policy has refused meanwhile, unless the exit code is 0.
        Raises `ResourceExhausted` when it prints more than 64 MiB.
        """
        begin, output = time.time(), Output(("stdout", "stderr") if stream_output else ())
        stream = self.exec_stream(command, workdir=workdir, env=env, stdin=stdin, timeout_seconds=timeout_seconds)
        code = await self._gather(stream, output)
        result = output.result(code)
        if check and code != 0:
            raise CommandFailed(code, result.stdout, result.stderr, await self._denials(begin))
        return result

    async def _gather(self, stream: AsyncGenerator[ExecChunk | ExecResult, None], output: Output) -> int:
        code = 0
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, ExecChunk):
                    output.take(event)
                else:
                    code = event.exit_code
        return code

    async def _denials(self, since: float) -> tuple[str, ...]:
        """What the policy has refused since then, as far as the log has it."""
        request = api.GetSandboxLogsRequest(sandbox_id=self.id, since_ms=int(since * 1000), min_level="WARN")
        try:
            return _conversions.denials((await self._connection.call(_methods.LOGS, request)).logs)
        except SandboxError:
            # It only explains a failure that is told anyway.
            return ()

    async def exec_python(
        self,
        function: Callable[..., Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        stream_output: bool = False,
        workdir: str = "",
        env: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> ExecResult:
        """Runs a function in the sandbox's Python and returns what it prints.

        The function may be a lambda, a closure or a bound method, its arguments of any size. What it returns is printed too,
        unless it is `None`. An exception gives exit code 1 and its traceback on standard error. Both Pythons must be of the
        same minor version, else `PythonMismatch` is raised.
        """
        command, stdin = _payloads.payload(function, args, kwargs, want_value=False)
        result = await self.exec(
            command,
            stream_output=stream_output,
            workdir=workdir,
            env=env,
            stdin=stdin,
            timeout_seconds=timeout_seconds,
        )
        _payloads.check(result.exit_code, result.stderr)
        return result

    async def run_python(
        self,
        function: Callable[..., T],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        stream_output: bool = False,
        workdir: str = "",
        env: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> T:
        """Runs a function in the sandbox's Python and returns what it returns.

        A sandbox is not trusted: only plain values pass (None, bool, int, float, str, bytes, list, tuple, dict, set and
        frozenset), of at most 64 MiB, and of no other type whatever the sandbox sends; the value itself is the sandbox's word.
        What the function prints is shown with `stream_output`, on standard error. An exception raises `RemoteError` with its
        traceback.
        """
        command, stdin = _payloads.payload(function, args, kwargs, want_value=True)
        begin, output = time.time(), Output(("stderr",) if stream_output else ())
        stream = self.exec_stream(command, workdir=workdir, env=env, stdin=stdin, timeout_seconds=timeout_seconds)
        code = await self._gather(stream, output)
        try:
            value: T = _payloads.value(output.bytes("stdout"), code, output.text("stderr"))
        except RemoteError as error:
            denied = await self._denials(begin)
            raise RemoteError(error.kind, error.message, error.traceback, denied) from None
        return value

    async def logs(self, *, lines: int = 0, since_ms: int = 0, sources: Sequence[str] = (), min_level: str = "") -> list[LogLine]:
        """The newest lines of its log, oldest first: all that are in memory unless `lines` says how many."""
        return await logs(self._connection, self.id, lines, since_ms, sources, min_level)

    def watch(
        self,
        *,
        status: bool = True,
        logs: bool = False,
        events: bool = False,
        log_tail_lines: int = 0,
        until_ready: bool = False,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yields what happens as it happens: `SandboxRef`, `LogLine`, `PlatformEvent`, and `WatchWarning` for what was missed.

        A lost connection is made again; what happened meanwhile may be missed, and a warning says so. Without
        `timeout_seconds` it goes on until the generator is closed or the sandbox is gone.
        """
        request = api.WatchSandboxRequest(
            id=self.id,
            follow_status=status,
            follow_logs=logs,
            follow_events=events,
            log_tail_lines=log_tail_lines,
            stop_on_terminal=until_ready,
        )
        return watch(self._connection, request, timeout_seconds)

    @contextlib.asynccontextmanager
    async def forward(self, port: int, *, local_port: int = 0) -> AsyncIterator[Forward]:
        """Leads a port of this machine's loopback to a TCP port of the sandbox's, as long as the block lasts.

        By default a free port is taken; its number is `.port` and its address `.address`.
        """
        forward = Forward(self._connection, self.id, port)
        await forward.start(local_port)
        try:
            yield forward
        finally:
            await forward.close()
