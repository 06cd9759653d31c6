"""Ways into sandboxes over HTTP/1.1, as a client makes them that knows nothing but sockets."""
import contextlib
import socket
import ssl
import tempfile

from wire import api

# Seconds that an answer may take.
LONGEST = 30


def right(client, sandbox):
    """A new right to reach a sandbox."""
    return client.navigator.CreateSshSession(api.CreateSshSessionRequest(sandbox_id=sandbox.id)).token


@contextlib.contextmanager
def connection(gateway, client_kind, protocol="http/1.1"):
    """A connection to a gateway, over its socket or over TLS."""
    if client_kind == "unix":
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(LONGEST)
            plain.connect(str(gateway.socket))
            yield plain
        return
    context = ssl.create_default_context(cadata=gateway.authority.certificate.decode())
    identity = gateway.authority.client()
    with tempfile.NamedTemporaryFile() as both:
        both.write(identity.certificate + identity.key)
        both.flush()
        context.load_cert_chain(both.name)
    context.set_alpn_protocols([protocol])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=LONGEST) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            yield secure


def ask(stream, path="/connect/port", method="CONNECT", **headers):
    """Asks for a way in; the status, and what is said about it."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    lines += [f"x-{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    stream.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = stream.recv(1)
        if not part:
            break
        head += part
    status = int(head.split(b" ", 2)[1])
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    rest = int(length[0].split(b":")[1]) if length else 0
    said = b""
    while len(said) < rest:
        part = stream.recv(rest - len(said))
        if not part:
            break
        said += part
    return status, said.decode()


def everything(stream):
    """What comes until the end."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := stream.recv(65536):
            parts.append(part)
    return b"".join(parts)


def copy(source, target):
    """Carries bytes from one stream to another until the end."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
