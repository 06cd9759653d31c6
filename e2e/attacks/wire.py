"""Speaks HTTP by hand: every way out of a sandbox, TLS with any name, HTTP/1.1 byte by byte, HTTP/2 frame by frame."""
import http.client, io, socket, ssl, struct

PROXY = ("10.200.0.1", 3128)
TRUST = []

def trusting():
    """A context that trusts what the environment says; reading that takes long."""
    if not TRUST: TRUST.append(ssl.create_default_context())
    return TRUST[0]

class Refused(Exception):
    """The way out was refused; holds what came back."""

def dial(host, port, adapter="connect"):
    if adapter == "transparent":
        return socket.create_connection((host, port), 15)
    s = socket.create_connection(PROXY, 15)
    if adapter == "connect":
        s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            byte = s.recv(1)
            if not byte: raise Refused("closed")
            head += byte
        if head.split(b" ")[1] != b"200": raise Refused(head.split(b"\r\n")[0].decode())
    elif adapter == "socks":
        s.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(host)]) + host.encode() + struct.pack(">H", port))
        answer = s.recv(2) + s.recv(10)
        if answer[3] != 0: raise Refused(f"socks {answer[3]}")
    return s

def tls(s, name, alpn=("http/1.1",), context=None):
    """TLS as a client that trusts what the environment says; `name` may be None."""
    context = context or trusting()
    context.check_hostname = name is not None
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(s, server_hostname=name)

def ask(s, text):
    """Sends bytes and reads one response: status, fields, body."""
    s.sendall(text if isinstance(text, bytes) else text.encode())
    response = http.client.HTTPResponse(s, method="HEAD" if text[:4] in ("HEAD", b"HEAD") else "GET")
    response.begin()
    body = b"" if response.status == 101 else response.read()
    return {"status": response.status, "fields": {k.lower(): v for k, v in response.getheaders()}, "body": body.decode("utf-8", "replace")}

def request(method, target, host, fields="", body=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n{body}"

def attempt(what, *args):
    """What came of it, as a value for JSON."""
    try:
        return what(*args)
    except Refused as refused:
        return {"status": 0, "error": str(refused)}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "error": f"{type(error).__name__}: {error}"}

def http2(s, requests):
    """Sends each list of fields as a request after the other on one HTTP/2 connection."""
    import h2.config, h2.connection
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8")
    c = h2.connection.H2Connection(config)
    c.initiate_connection()
    s.sendall(c.data_to_send())
    frames = frames_of(s)
    results = []
    for fields in requests:
        results.append({"status": 0, "fields": {}, "body": ""})
        try:
            one_stream(s, c, frames, fields, results[-1])
        except (h2.exceptions.ProtocolError, OSError, StopIteration) as error:
            results[-1]["error"] = f"{type(error).__name__}: {error}"
            break
    return results

def frames_of(s):
    """Whole frames, one by one: the library forgets what came before one that it does not take."""
    file = s.makefile("rb")
    while len(head := file.read(9)) == 9:
        yield head + file.read(int.from_bytes(head[:3], "big"))

def one_stream(s, c, frames, fields, result):
    import h2.events
    stream = c.get_next_available_stream_id()
    c.send_headers(stream, fields, end_stream=True)
    s.sendall(c.data_to_send())
    while True:
        for event in c.receive_data(next(frames)):
            if getattr(event, "stream_id", None) not in (None, stream): continue
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                result["fields"].update(dict(event.headers))
                result["status"] = int(result["fields"][":status"])
            elif isinstance(event, h2.events.DataReceived):
                result["body"] += event.data.decode()
                c.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded):
                return
            elif isinstance(event, h2.events.StreamReset):
                result["error"] = f"reset {event.error_code}"
                return
        s.sendall(c.data_to_send())

def fields2(method, path, authority, *more):
    return [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *more]
