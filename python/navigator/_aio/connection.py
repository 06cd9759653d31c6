"""Calls over one connection to a gateway: with a time limit, made again where that is safe; and tunnels."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from navigator import _gateways, _methods
from navigator._errors import DeadlineExceeded, ProtocolError, Unavailable, from_rpc
from navigator._gateways import Gateway
from navigator._methods import Method
from navigator._proto import navigator_pb2 as api
from navigator._retries import Deadline, pauses
from navigator._transport import asynchronous as transport
from navigator._transport import settings

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Connection:
    """A gateway, and what is said to it."""

    def __init__(self, gateway: Gateway, timeout: float) -> None:
        if gateway.credentials is None:
            settings.check_local(gateway)
        self.gateway = gateway
        self.timeout = timeout
        self._channel: Any = transport.open_channel(gateway)

    async def close(self) -> None:
        """Ends the connection and every call that goes on."""
        await self._channel.close()

    async def call(self, method: Method[Q, A], request: Q, timeout: float | None = None) -> A:
        """One request, one answer. A lost connection is made again, and the call if it changes nothing."""
        deadline = Deadline(self.timeout if timeout is None else timeout)
        call = self._channel.unary_unary(method.path, request_serializer=_bytes, response_deserializer=method.answer.FromString)
        lost: Unavailable | None = None
        for pause in pauses():
            try:
                answer: A = await call(request, timeout=deadline.left(method.path))
                return answer
            except grpc.RpcError as error:
                failure = from_rpc(error)
            if not isinstance(failure, Unavailable):
                # That there was no time left is the lost connection's fault.
                raise lost if lost and isinstance(failure, DeadlineExceeded) else failure
            lost = failure
            if not method.repeatable or deadline.is_over(pause):
                raise lost
            await transport.sleep(pause)
        raise AssertionError("pauses have no end")

    async def stream(self, method: Method[Q, A], request: Q | Iterable[Q], timeout: float | None) -> AsyncGenerator[A, None]:
        """Answers, as they come, to one request or to many. The call ends with the generator."""
        many = not isinstance(request, Message)
        make = self._channel.stream_stream if many else self._channel.unary_stream
        call = make(method.path, request_serializer=_bytes, response_deserializer=method.answer.FromString)
        answers = call(request, timeout=timeout)
        try:
            async for answer in answers:
                yield answer
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            answers.cancel()

    async def tunnel(self, sandbox_id: str, path: str, port: int | None = None) -> transport.Stream:
        """A stream of bytes into a sandbox, on a connection of its own."""
        ticket = await self.call(_methods.TICKET, api.CreateSshSessionRequest(sandbox_id=sandbox_id))
        stream = await transport.dial(self.gateway)
        try:
            request = settings.tunnel_request(path, ticket.sandbox_id, ticket.token, port)
            await stream.write(request, self.timeout)
            head = b""
            # Byte by byte, so that nothing is taken from what follows.
            while not head.endswith(b"\r\n\r\n"):
                head += await self._byte(stream, len(head))
            status, length = settings.answer_head(head)
            if status != 200:
                said = b""
                while len(said) < length and (part := await stream.read(length - len(said), self.timeout)):
                    said += part
                raise settings.refuse(status, said)
        except BaseException:
            await stream.close()
            raise
        return stream

    async def _byte(self, stream: transport.Stream, so_far: int) -> bytes:
        byte = await stream.read(1, self.timeout)
        if not byte or so_far >= settings.HEAD_BYTES:
            raise ProtocolError("the gateway does not answer in HTTP")
        return byte


async def active(timeout: float, start: bool) -> Connection:
    """A connection to the active gateway, which is started when it is the local one and does not run."""
    gateway = _gateways.active()
    try:
        return Connection(gateway, timeout)
    except Unavailable:
        if not (start and gateway.is_local):
            raise
    await transport.aside(_gateways.start)
    return Connection(gateway, timeout)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
