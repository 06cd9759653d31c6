"""A port of this machine that leads into a sandbox."""

from __future__ import annotations

from navigator._aio.connection import Connection
from navigator._errors import InvalidArgument
from navigator._transport import asynchronous as transport
from navigator._transport import settings


class Forward:
    """A port of this machine's loopback that leads to a port of a sandbox's."""

    def __init__(self, connection: Connection, sandbox_id: str, inside: int) -> None:
        if not 0 < inside < 65536:
            raise InvalidArgument(f"{inside} is no port")
        self._connection = connection
        self._sandbox_id = sandbox_id
        self._inside = inside
        self._listener = transport.Listener(self._carry)
        #: Where it listens.
        self.host = "127.0.0.1"
        #: Where it listens.
        self.port = 0

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"{self.host}:{self.port}"

    async def start(self, port: int) -> None:
        """Listens."""
        self.port = await self._listener.start(port)

    async def close(self) -> None:
        """Ends it and its connections."""
        await self._listener.close()

    async def _carry(self, near: transport.Stream) -> None:
        far = await self._connection.tunnel(self._sandbox_id, "/connect/port", self._inside)
        try:

            async def out() -> None:
                await _copy(near, far)

            async def back() -> None:
                await _copy(far, near)

            await transport.together(out, back)
        finally:
            await far.close()


async def _copy(source: transport.Stream, target: transport.Stream) -> None:
    """Carries bytes until the end. A connection may be silent for as long as it likes; one that breaks ends both ways."""
    try:
        while piece := await source.read(settings.PIECE, None):
            await target.write(piece, None)
        await target.end()
    except BaseException:
        await source.close()
        await target.close()
        raise
