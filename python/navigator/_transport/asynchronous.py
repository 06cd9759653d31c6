"""Bytes with asyncio. `blocking` has the same names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import grpc
import grpc.aio

from navigator._errors import DeadlineExceeded, SandboxError, Unavailable
from navigator._gateways import Gateway
from navigator._transport import settings

T = TypeVar("T")
Channel = grpc.aio.Channel
sleep = asyncio.sleep


def open_channel(gateway: Gateway) -> Channel:
    """A channel for calls."""
    if gateway.credentials is None:
        return grpc.aio.insecure_channel(f"unix:{gateway.socket}", settings.LOCAL_OPTIONS)
    pems = gateway.credentials
    credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)
    return grpc.aio.secure_channel(settings.host_and_port(gateway), credentials, settings.OPTIONS)


async def aside(work: Callable[[], T]) -> T:
    """Does work that waits for files or programs, while others go on."""
    return await asyncio.to_thread(work)


class Stream:
    """A connection that carries bytes. Every wait has an end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, most: int, timeout: float | None) -> bytes:
        """Some bytes; none at the end."""
        return await _within(self._reader.read(most), timeout)

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Sends bytes."""
        self._writer.write(data)
        await _within(self._writer.drain(), timeout)

    async def end(self) -> None:
        """Sends no more."""
        if self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()
        else:
            # TLS has no half-close here: the other side sees the end with the connection's.
            self._writer.close()

    async def close(self) -> None:
        """Ends the connection at once."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def _within(work: Awaitable[T], timeout: float | None) -> T:
    try:
        return await asyncio.wait_for(work, timeout)
    except asyncio.TimeoutError:
        raise DeadlineExceeded(f"no answer within {timeout:g} s") from None
    except OSError as error:
        raise Unavailable(f"the connection was lost: {error}") from error


async def dial(gateway: Gateway) -> Stream:
    """A connection to a gateway, for one tunnel."""
    try:
        if gateway.credentials is None:
            made = asyncio.open_unix_connection(gateway.socket)
            reader, writer = await asyncio.wait_for(made, settings.CONNECT)
            settings.trust(gateway, writer.get_extra_info("socket"))
        else:
            context = settings.tls(gateway.credentials)
            made = asyncio.open_connection(gateway.host, gateway.port, ssl=context, server_hostname=gateway.host)
            reader, writer = await asyncio.wait_for(made, settings.CONNECT)
    except asyncio.TimeoutError:
        raise Unavailable(f"failed to reach the gateway within {settings.CONNECT:g} s") from None
    except OSError as error:
        raise settings.unreachable(gateway, error) from error
    return Stream(reader, writer)


async def together(*works: Callable[[], Awaitable[None]]) -> None:
    """Does several things at the same time, until each is done."""
    await asyncio.gather(*(work() for work in works))


class Listener:
    """A port of this machine's loopback; what is to be done with each connection is given."""

    def __init__(self, handle: Callable[[Stream], Awaitable[None]]) -> None:
        self._handle = handle
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Listens, and says where."""
        self._socket = settings.listen(port)
        self._socket.setblocking(False)
        self._begin(self._accept(self._socket))
        name: tuple[str, int] = self._socket.getsockname()
        return name[1]

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        # Not a server of asyncio's: one that is closed may keep a connection that it has accepted just now.
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            except OSError:
                await asyncio.sleep(settings.ACCEPT_AGAIN)
                continue
            if len(self._tasks) > settings.MOST_CONNECTIONS:
                connection.close()
            else:
                self._begin(self._carry(connection))

    async def _carry(self, connection: socket.socket) -> None:
        stream = Stream(*await asyncio.open_connection(sock=connection))
        try:
            # The client sees that its connection ends; there is nobody else to tell.
            with contextlib.suppress(SandboxError):
                await self._handle(stream)
        finally:
            await stream.close()

    async def close(self) -> None:
        """Ends the port and its connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
