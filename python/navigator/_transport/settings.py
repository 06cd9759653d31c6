"""What both kinds of transport have in common: settings, and what is asked and answered on a tunnel."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import tempfile
from pathlib import Path

from navigator._errors import PermissionDenied, ProtocolError, Unavailable, from_http
from navigator._gateways import Credentials, Gateway

# Seconds to make a connection.
CONNECT = 10.0
# Largest answer, in bytes: a hundred sandboxes with the largest policies.
ANSWER_BYTES = 64 * 1024 * 1024
# Milliseconds after which a silent connection is tried for life, and that its sign may take.
KEEP_ALIVE = 20_000
# Largest head and explanation of an answer on a tunnel, in bytes.
HEAD_BYTES = 16 * 1024
WORDS_BYTES = 64 * 1024
# Connections at a time that a forwarded port takes: a browser opens a few dozen.
MOST_CONNECTIONS = 128
# Seconds before connections are accepted again, when this process has no descriptor left for one.
ACCEPT_AGAIN = 0.1
# Bytes that are carried at once.
PIECE = 64 * 1024

OPTIONS: list[tuple[str, object]] = [
    ("grpc.max_receive_message_length", ANSWER_BYTES),
    ("grpc.keepalive_time_ms", KEEP_ALIVE),
    ("grpc.keepalive_timeout_ms", KEEP_ALIVE),
    # Connections of its own for each client, which end with it.
    ("grpc.use_local_subchannel_pool", 1),
    # What is repeated is decided here, where it is known what may be.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
# The library would send the socket's path as the server's name.
LOCAL_OPTIONS = [*OPTIONS, ("grpc.default_authority", "localhost")]


def host_and_port(gateway: Gateway) -> str:
    """The address of a remote gateway, as gRPC takes it."""
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    return f"{host}:{gateway.port}"


def trust(gateway: Gateway, connection: socket.socket) -> None:
    """Makes sure that this user or root listens on a unix socket: somebody else would be told what is sent."""
    if not hasattr(socket, "SO_PEERCRED"):
        uid = Path(gateway.socket).stat().st_uid
    else:
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (os.geteuid(), 0):
        raise PermissionDenied(f"failed to trust the gateway on {gateway.socket}: it is run by user {uid}")


def check_local(gateway: Gateway) -> None:
    """Makes sure that somebody trusted listens on the gateway's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT)
        try:
            probe.connect(gateway.socket)
        except OSError as error:
            raise unreachable(gateway, error) from error
        trust(gateway, probe)


def unreachable(gateway: Gateway, error: OSError) -> Unavailable:
    """The error of a connection that was not made."""
    where = gateway.socket or host_and_port(gateway)
    return Unavailable(f"failed to reach the gateway on {where}: {error.strerror or error}")


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine's loopback."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise Unavailable(f"failed to listen on port {port}: {error.strerror or error}") from error


def tls(credentials: Credentials) -> ssl.SSLContext:
    """How tunnels speak TLS: one authority, and HTTP/1.1, which leaves nothing around the bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=credentials.ca.decode())
    context.set_alpn_protocols(["http/1.1"])
    # The library takes a client's key from a file only; this one is for this user and goes at once.
    with tempfile.NamedTemporaryFile() as both:
        both.write(credentials.certificate + b"\n" + credentials.key)
        both.flush()
        context.load_cert_chain(both.name)
    return context


def tunnel_request(path: str, sandbox_id: str, token: str, port: int | None) -> bytes:
    """The head that asks for a tunnel."""
    lines = [
        f"CONNECT {path} HTTP/1.1",
        "host: gateway",
        f"x-sandbox-id: {sandbox_id}",
        f"x-sandbox-token: {token}",
    ]
    if port is not None:
        lines.append(f"x-sandbox-port: {port}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def answer_head(head: bytes) -> tuple[int, int]:
    """Status of an answer and the length of its explanation."""
    try:
        status, *lines = head.decode("latin-1").split("\r\n")
        code = int(status.split(" ", 2)[1])
        fields = dict(line.lower().split(":", 1) for line in lines if ":" in line)
        length = int(fields.get("content-length", "0"))
    except (ValueError, IndexError):
        raise ProtocolError("the gateway does not answer in HTTP") from None
    return code, max(0, min(length, WORDS_BYTES))


def refuse(status: int, said: bytes) -> Exception:
    """The error of a tunnel that was not opened."""
    try:
        words = str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        words = ""
    return from_http(status, words)
