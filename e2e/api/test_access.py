"""Who is let in: the gateway's own user locally, certificates of its authority remotely, nobody else."""
import datetime
import os
import pwd
import socket
import ssl

import grpc
import pytest

import wire
from certificates import Authority
from client import refused
from gateway_process import ORDINARY_USER

HOUR = datetime.timedelta(hours=1)
# What a client without a way in sees: no connection, or one on which nobody is known.
OUTSIDE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)


@pytest.fixture(scope="module")
def strangers(gateway):
    """Clients whose certificates prove nothing."""
    other = Authority("tests")
    identities = {
        "no certificate": None,
        "another authority of the same name": other.client(),
        "expired": gateway.authority.client(until=-HOUR),
        "the server's own certificate": gateway.authority.server(),
    }
    clients = {what: gateway.remote(identity) for what, identity in identities.items()}
    yield clients
    for client in clients.values():
        client.channel.close()


KINDS = ["no certificate", "another authority of the same name", "expired", "the server's own certificate"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_client_without_a_good_certificate_can_call_nothing(strangers, kind):
    codes = {method.name: strangers[kind].code(method) for method in wire.METHODS}
    assert {name: code for name, code in codes.items() if code not in OUTSIDE} == {}


def test_a_remote_client_with_a_certificate_can_call(gateway):
    with gateway.remote(gateway.authority.client("ann")) as client:
        assert client.sandboxes() == []


def test_a_certificate_whose_time_has_not_come_is_no_good(gateway):
    with gateway.remote(gateway.authority.client(since=HOUR)) as client:
        assert client.code(wire.METHODS[0]) in OUTSIDE


def test_a_client_trusts_the_gateways_authority_only(gateway):
    with gateway.remote(gateway.authority.client(), authority=Authority("tests")) as client:
        with refused(grpc.StatusCode.UNAVAILABLE):
            client.sandboxes()


def test_a_credential_alone_opens_no_remote_connection(gateway, owner):
    token = gateway.token(owner.create().id)
    with gateway.remote(token=token) as client:
        assert all(client.code(method) in OUTSIDE for method in wire.METHODS)
    assert raw_tls(gateway, f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n") == b""


def raw_tls(gateway, request):
    """What comes back over TLS without a certificate."""
    context = ssl.create_default_context(cadata=gateway.authority.certificate.decode())
    try:
        with socket.create_connection(("localhost", gateway.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall(request.encode())
                return tls.recv(1000)
    except OSError:
        return b""


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz", "/health"])
def test_nothing_is_shown_without_a_certificate(gateway, path):
    assert raw_tls(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == b""


def test_nothing_is_said_without_tls(gateway):
    with socket.create_connection(("localhost", gateway.port), 10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = received(plain)
    assert b"HTTP" not in answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_not_spoken(gateway, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("localhost", gateway.port), 10) as plain:
        with pytest.raises(OSError):
            context.wrap_socket(plain)


def test_both_protocols_are_offered(gateway, tmp_path):
    identity = gateway.authority.client()
    (tmp_path / "both.pem").write_bytes(identity.certificate + identity.key)
    for protocol in ("h2", "http/1.1"):
        context = ssl.create_default_context(cadata=gateway.authority.certificate.decode())
        context.load_cert_chain(tmp_path / "both.pem")
        context.set_alpn_protocols([protocol])
        with socket.create_connection(("localhost", gateway.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                assert tls.selected_alpn_protocol() == protocol


def received(connection):
    """Everything that comes, until the other side ends."""
    answer = b""
    try:
        while part := connection.recv(1000):
            answer += part
    except OSError:
        pass
    return answer


def ask(path):
    """What the gateway says to whoever this process is now; None when there is no way to it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(str(path))
        except PermissionError:
            return None
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        except OSError:
            return b""
        return received(connection)


def as_ordinary(act):
    """Does something as the ordinary user."""
    os.setegid(pwd.getpwnam(ORDINARY_USER).pw_gid)
    os.seteuid(pwd.getpwnam(ORDINARY_USER).pw_uid)
    try:
        return act()
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.needs_root
def test_another_user_of_the_machine_has_no_way_to_the_socket(gateway):
    assert as_ordinary(lambda: ask(gateway.socket)) is None
    assert gateway.socket.stat().st_mode & 0o077 == 0
    assert gateway.socket.parent.stat().st_mode & 0o077 == 0
    assert gateway.state.stat().st_mode & 0o077 == 0


@pytest.mark.needs_root
def test_another_user_is_refused_even_where_the_socket_is_open_to_all(gateway):
    opened = [gateway.socket, *list(gateway.socket.parents)[:3]]
    modes = [(path, path.stat().st_mode) for path in opened]
    try:
        for path in opened:
            path.chmod(0o777)
        assert b"200" in ask(gateway.socket)
        assert as_ordinary(lambda: ask(gateway.socket)) == b""
    finally:
        for path, mode in modes:
            path.chmod(mode & 0o7777)
