"""What a sandbox's log says and what happens to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from navigator import _conversions, _methods
from navigator._aio.connection import Connection
from navigator._conversions import Event
from navigator._errors import NotFound, Unavailable
from navigator._proto import navigator_pb2 as api
from navigator._retries import Deadline, pauses
from navigator._transport import asynchronous as transport
from navigator._values import LogLine, Phase, SandboxRef, WatchWarning

# Seconds that a watched sandbox's gateway may be away.
_PATIENCE = 60.0


async def logs(
    connection: Connection, sandbox_id: str, lines: int, since_ms: int, sources: Sequence[str], min_level: str
) -> list[LogLine]:
    """Lines of a sandbox's log."""
    request = api.GetSandboxLogsRequest(
        sandbox_id=sandbox_id, lines=lines, since_ms=since_ms, sources=sources, min_level=min_level
    )
    answer = await connection.call(_methods.LOGS, request)
    return [_conversions.log_line(line) for line in answer.logs]


async def watch(connection: Connection, request: api.WatchSandboxRequest, timeout: float | None) -> AsyncGenerator[Event, None]:
    """Follows a sandbox, over lost connections too."""
    deadline, what = Deadline(timeout), "the sandbox was watched"
    gone, wait = Deadline(None), pauses()
    last: Event | None = None
    while True:
        try:
            stream = connection.stream(_methods.WATCH, request, deadline.left(what))
            async with contextlib.aclosing(stream) as events:
                async for message in events:
                    gone, wait = Deadline(None), pauses()
                    event = _conversions.event(message)
                    if event is not None:
                        last = event
                        yield event
        except Unavailable:
            # What to do is the same as when a gateway ends the stream because it stops.
            pass
        except NotFound:
            if last is None:
                raise
            return
        if request.stop_on_terminal and isinstance(last, SandboxRef) and last.phase is Phase.READY:
            return
        if gone.left(what) is None:
            gone = Deadline(_PATIENCE)
            yield WatchWarning("the connection was lost, and is made again")
        request.log_tail_lines = request.event_tail = 0
        pause = gone.at_most(next(wait), "the gateway did not come back")
        await transport.sleep(deadline.at_most(pause, what))
