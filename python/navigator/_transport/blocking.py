"""Bytes with sockets and threads. `asynchronous` has the same names."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from navigator._errors import DeadlineExceeded, SandboxError, Unavailable
from navigator._gateways import Gateway
from navigator._transport import settings

T = TypeVar("T")
Channel = grpc.Channel
sleep = time.sleep


def open_channel(gateway: Gateway) -> Channel:
    """A channel for calls."""
    if gateway.credentials is None:
        return grpc.insecure_channel(f"unix:{gateway.socket}", settings.LOCAL_OPTIONS)
    pems = gateway.credentials
    credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)
    return grpc.secure_channel(settings.host_and_port(gateway), credentials, settings.OPTIONS)


def aside(work: Callable[[], T]) -> T:
    """Does work that waits for files or programs."""
    return work()


class Stream:
    """A connection that carries bytes. Every wait has an end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read(self, most: int, timeout: float | None) -> bytes:
        """Some bytes; none at the end."""
        with _within(timeout):
            self._connection.settimeout(timeout)
            return self._connection.recv(most)

    def write(self, data: bytes, timeout: float | None) -> None:
        """Sends bytes."""
        with _within(timeout):
            self._connection.settimeout(timeout)
            self._connection.sendall(data)

    def end(self) -> None:
        """Sends no more."""
        with contextlib.suppress(OSError):
            if isinstance(self._connection, ssl.SSLSocket):
                # TLS has no half-close here: the other side sees the end with the connection's.
                self._connection.shutdown(socket.SHUT_RDWR)
            else:
                self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the connection at once, also for a thread that waits for it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


@contextlib.contextmanager
def _within(timeout: float | None) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {timeout:g} s") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"the connection was lost: {error}") from error


def dial(gateway: Gateway) -> Stream:
    """A connection to a gateway, for one tunnel."""
    try:
        if gateway.credentials is None:
            return _dial_unix(gateway)
        context = settings.tls(gateway.credentials)
        plain = socket.create_connection((gateway.host, gateway.port), timeout=settings.CONNECT)
        try:
            return Stream(context.wrap_socket(plain, server_hostname=gateway.host))
        except BaseException:
            plain.close()
            raise
    except OSError as error:
        raise settings.unreachable(gateway, error) from error


def _dial_unix(gateway: Gateway) -> Stream:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(settings.CONNECT)
        connection.connect(gateway.socket)
        settings.trust(gateway, connection)
    except BaseException:
        connection.close()
        raise
    return Stream(connection)


def together(*works: Callable[[], None]) -> None:
    """Does several things at the same time, until each is done."""
    first, *others = works
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in others]
    for thread in threads:
        thread.start()
    guarded(first)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Listener:
    """A port of this machine's loopback; what is to be done with each connection is given."""

    def __init__(self, handle: Callable[[Stream], None]) -> None:
        self._handle = handle
        self._socket: socket.socket | None = None
        self._streams: set[Stream] = set()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def start(self, port: int) -> int:
        """Listens, and says where."""
        self._socket = settings.listen(port)
        name: tuple[str, int] = self._socket.getsockname()
        self._begin(functools.partial(self._accept, self._socket))
        return name[1]

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True, name="navigator-forward")
        self._threads.add(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                if self._socket is None:
                    return
                time.sleep(settings.ACCEPT_AGAIN)
                continue
            stream = Stream(connection)
            with self._lock:
                full = len(self._streams) >= settings.MOST_CONNECTIONS or self._socket is None
                if not full:
                    self._streams.add(stream)
                    self._threads = {thread for thread in self._threads if thread.is_alive()}
                    self._begin(functools.partial(self._carry, stream))
            if full:
                stream.close()

    def _carry(self, stream: Stream) -> None:
        try:
            # The client sees that its connection ends; there is nobody else to tell.
            with contextlib.suppress(SandboxError):
                self._handle(stream)
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()

    def close(self) -> None:
        """Ends the port and its connections."""
        with self._lock:
            listening, self._socket = self._socket, None
            streams, threads = list(self._streams), list(self._threads)
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for stream in streams:
            stream.close()
        for thread in threads:
            thread.join(settings.CONNECT)
