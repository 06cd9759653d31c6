"""Requests on inspected connections, by every adapter and with every trick; prints what came back of each."""
import json, os, socket, ssl, sys
from wire import *

def rules():
    """The same requests by every adapter. Each has its own mark, by which its origin is asked what it saw."""
    asks = {
        "get": ("a.example.net", "GET", "/mirror?x=1"), "head": ("a.example.net", "HEAD", "/mirror?x=1"),
        "post": ("a.example.net", "POST", "/mirror?x=1"), "trace": ("a.example.net", "TRACE", "/mirror?x=1"),
        "below": ("a.example.net", "GET", "/open/x/y?x=1"), "denied below": ("a.example.net", "GET", "/open/secret/y?x=1"),
        "encoded": ("a.example.net", "GET", "/open/%73ecret/y?x=1"), "dots": ("a.example.net", "GET", "/open/x/../secret/y?x=1"),
        "slashes": ("a.example.net", "GET", "/open//secret/y?x=1"), "parameters": ("a.example.net", "GET", "/open/secret;a=b/y?x=1"),
        "twice encoded": ("a.example.net", "GET", "/open/%2573ecret/y?x=1"), "encoded slash": ("a.example.net", "GET", "/open/x%2fy?x=1"),
        "query": ("a.example.net", "GET", "/query?q=abc&x=1"), "other query": ("a.example.net", "GET", "/query?q=xyz&x=1"),
        "two queries": ("a.example.net", "GET", "/query?q=abc&q=xyz&x=1"), "no query": ("a.example.net", "GET", "/query?x=1"),
        "ro get": ("ro.example.net", "GET", "/mirror?x=1"), "ro head": ("ro.example.net", "HEAD", "/mirror?x=1"),
        "ro options": ("ro.example.net", "OPTIONS", "/any?x=1"), "ro post": ("ro.example.net", "POST", "/mirror?x=1"),
        "ro delete": ("ro.example.net", "DELETE", "/mirror?x=1"), "ro trace": ("ro.example.net", "TRACE", "/mirror?x=1"),
        "rw patch": ("rw.example.net", "PATCH", "/mirror?x=1"), "rw delete": ("rw.example.net", "DELETE", "/mirror?x=1"),
        "full delete": ("full.example.net", "DELETE", "/mirror?x=1"), "full own": ("full.example.net", "BREW", "/mirror?x=1"),
        "audit": ("audit.example.net", "DELETE", "/mirror?x=1"),
    }
    found = {}
    for adapter in ["connect", "socks", "transparent", "absolute", "plain", "http2"]:
        for name, (host, method, target) in asks.items():
            target += f"&mark={name.replace(' ', '-')}.{adapter}"
            def one():
                if adapter == "absolute":
                    return ask(socket.create_connection(PROXY, 15), request(method, f"http://{host}{target}", host))
                if adapter == "plain":
                    return ask(dial(host, 80, "transparent"), request(method, target, host))
                if adapter == "http2":
                    return http2(tls(dial(host, 443), host, ["h2"]), [fields2(method, target, host)])[0]
                return ask(tls(dial(host, 443, adapter), host), request(method, target, host))
            found.setdefault(name, {})[adapter] = attempt(one).get("status")
    return found

def denial():
    s = tls(dial("ro.example.net", 443), "ro.example.net")
    answer = ask(s, request("POST", "/mirror", "ro.example.net"))
    answer["then"] = len(s.recv(100))
    return answer

def names():
    """Names that differ from the one that was authorised."""
    a, b, plain = "a.example.net", "ro.example.net", "full.example.net"
    def second(host):
        s = tls(dial(a, 443), a)
        assert ask(s, request("GET", "/mirror?good", a))["status"] == 200
        return ask(s, request("GET", "/mirror?mark", host))
    def second2(*fields):
        good, bad = fields2("GET", "/mirror?good", a), list(fields)
        return http2(tls(dial(a, 443), a, ["h2"]), [good, bad])[-1]
    get = lambda host: request("GET", "/mirror?mark", host)
    attempts = {
        "another name in TLS": lambda: ask(tls(dial(a, 443), b), get(b)),
        "another name in TLS, transparent": lambda: ask(tls(dial(a, 443, "transparent"), b), get(b)),
        "another name in TLS, SOCKS": lambda: ask(tls(dial(a, 443, "socks"), b), get(b)),
        "no name in TLS": lambda: ask(tls(dial(a, 443), None), get(a)),
        "another Host": lambda: ask(tls(dial(a, 443), a), get(b)),
        "another Host, later": lambda: second(b),
        "another Host, unknown": lambda: second("evil.example"),
        "another port in Host": lambda: second(a + ":80"),
        "no Host": lambda: ask(tls(dial(a, 443), a), "GET /mirror?mark HTTP/1.1\r\n\r\n"),
        "two Hosts": lambda: ask(tls(dial(a, 443), a), f"GET /mirror?mark HTTP/1.1\r\nHost: {a}\r\nHost: {b}\r\n\r\n"),
        "another target": lambda: ask(tls(dial(a, 443), a), request("GET", f"https://{b}/mirror?mark", a)),
        "another :authority, later": lambda: second2(*fields2("GET", "/mirror?mark", b)),
        "Host beside :authority": lambda: second2(*fields2("GET", "/mirror?mark", a, ("host", b))),
        "another Host without TLS": lambda: ask(dial(plain, 80), get(b)),
        "another Host, absolute": lambda: ask(socket.create_connection(PROXY, 15), request("GET", f"http://{plain}/mirror?mark", b)),
    }
    return {name: attempt(what) for name, what in attempts.items()}

def protocols():
    """Something else than the endpoint declares."""
    host = "full.example.net"
    inner = lambda: tls(dial(host, 443), host)
    upgrade = "Connection: Upgrade\r\nUpgrade: {}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    def raw(s, data):
        s.sendall(data)
        got = s.recv(4096)
        return {"status": 0, "error": got.decode("latin-1")}
    extended = [(":method", "CONNECT"), (":protocol", "websocket"), *fields2("", "/mirror?mark", host)[1:]]
    attempts = {
        "plain HTTP where TLS ends": lambda: ask(dial(host, 443), request("GET", "/mirror?mark", host)),
        "absolute form where TLS ends": lambda: ask(socket.create_connection(PROXY, 15), request("GET", f"http://{host}:443/mirror?mark", host + ":443")),
        "TLS where there is none": lambda: ask(tls(dial(host, 80), host), request("GET", "/mirror?mark", host)),
        "SSH": lambda: raw(dial(host, 80), b"SSH-2.0-x\r\n\x00\x01\r\n\r\n"),
        "SSH where TLS ends": lambda: raw(dial(host, 443), b"SSH-2.0-x\r\n"),
        "bytes": lambda: raw(dial(host, 80, "transparent"), b"\x00\xff\x00\xff\x00\xff"),
        "HTTP/0.9": lambda: raw(dial(host, 80), b"GET /mirror?mark\r\n"),
        "WebSocket": lambda: ask(inner(), request("GET", "/mirror?mark", host, upgrade.format("websocket"))),
        "WebSocket, absolute": lambda: ask(socket.create_connection(PROXY, 15), request("GET", f"http://{host}/mirror?mark", host, upgrade.format("websocket"))),
        "h2c upgrade": lambda: ask(dial(host, 80), request("GET", "/mirror?h2c", host, h2c)),
        "another upgrade": lambda: ask(inner(), request("GET", "/mirror?other", host, "Connection: Upgrade\r\nUpgrade: tcp\r\n")),
        "CONNECT inside CONNECT": lambda: ask(inner(), f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
        "CONNECT inside CONNECT, plain": lambda: ask(dial(host, 80), f"CONNECT ro.example.net:443 HTTP/1.1\r\nHost: ro.example.net:443\r\n\r\n"),
        "CONNECT inside HTTP/2": lambda: http2(tls(dial(host, 443), host, ["h2"]), [[(":method", "CONNECT"), (":authority", host + ":443")]])[0],
        "extended CONNECT": lambda: http2(tls(dial(host, 443), host, ["h2"]), [extended])[0],
        "HTTP at a gRPC endpoint": lambda: ask(tls(dial("grpc.example.net", 443), "grpc.example.net"), request("GET", "/mirror?mark", "grpc.example.net")),
        "HTTP/2 at a gRPC endpoint": lambda: http2(tls(dial("grpc.example.net", 443), "grpc.example.net", ["h2"]), [fields2("GET", "/mirror?mark", "grpc.example.net")])[0],
    }
    return {name: attempt(what) for name, what in attempts.items()}

def calls():
    """gRPC calls without messages."""
    host = "grpc.example.net"
    call = lambda path: fields2("POST", path, host, ("content-type", "application/grpc"), ("te", "trailers"))
    return http2(tls(dial(host, 443), host, ["h2"]), [call("/test.Echo/Unary"), call("/test.Echo/Other")])

def smuggled():
    """Requests with another one hidden in them; only the first of each may be seen, and only if it is clear."""
    host = "full.example.net"
    hidden = f"GET /mirror?smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
    start = f"POST /mirror?outer HTTP/1.1\r\nHost: {host}\r\n"
    texts = {
        "CL.TE": f"{start}Content-Length: {5 + len(hidden)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        "TE.CL": f"{start}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n",
        "CL.CL": f"{start}Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
        "CL list": f"{start}Content-Length: 0, {len(hidden)}\r\n\r\n{hidden}",
        "CL with sign": f"{start}Content-Length: +{len(hidden)}\r\n\r\n{hidden}",
        "TE unknown": f"{start}Transfer-Encoding: xchunked\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
        "TE twice": f"{start}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n",
        "space before colon": f"{start}Content-Length : {len(hidden)}\r\n\r\n{hidden}",
        "folded": f"{start}X: y\r\n Content-Length: {len(hidden)}\r\n\r\n{hidden}",
        "bare CR": f"{start}X: y\rContent-Length: {len(hidden)}\r\n\r\n{hidden}",
        "NUL": f"{start}X: y\0\r\n\r\n",
        "bad chunk size": f"{start}Transfer-Encoding: chunked\r\n\r\n0x{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n",
        "chunk size too large": f"{start}Transfer-Encoding: chunked\r\n\r\n{'f' * 17}\r\n{hidden}\r\n0\r\n\r\n",
        "chunk without end": f"{start}Transfer-Encoding: chunked\r\n\r\n1\r\nx{hidden}",
    }
    def one(text):
        s = dial(host, 80)
        s.settimeout(10)
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        got = b""
        while data := s.recv(65536): got += data
        return {"status": got.count(b"HTTP/1.1 "), "error": got[:300].decode("latin-1")}
    return {name: attempt(one, text) for name, text in texts.items()}

def bad_origins():
    """What comes back from each, by its port; a second response must never be taken for one."""
    def one(name, port, secure):
        s = dial(name, port)
        return ask(tls(s, name) if secure else s, request("GET", "/mirror", name))
    found = {str(port): attempt(one, "tls.example.net", port, True) for port in range(1, 5)}
    raw = json.loads(sys.argv[2])
    found.update({name: attempt(one, "raw.example.net", port, False) for name, port in raw.items()})
    return found

def trust():
    """The trust files, and whether they can be changed."""
    found = {}
    for path in ["/etc/navigator-tls/ca.pem", "/etc/navigator-tls/ca-bundle.pem"]:
        text = open(path).read()
        def writable():
            for what in (lambda: open(path, "a"), lambda: os.unlink(path), lambda: os.chmod(path, 0o666), lambda: os.rename(path, path + "x")):
                try:
                    what()
                    return True
                except OSError:
                    pass
            return False
        found[path] = {"certificates": text.count("BEGIN CERTIFICATE"), "keys": text.count("PRIVATE"), "writable": writable()}
    found["variables"] = sorted(name for name, value in os.environ.items() if value in found)
    found["own"] = open("/etc/navigator-tls/ca.pem").read()
    return found

def other_authority():
    """TLS to an allowed host, trusting only the authority in an argument."""
    context = ssl.create_default_context(cadata=sys.argv[2])
    own = ssl.create_default_context(cafile="/etc/navigator-tls/ca.pem")
    get = request("GET", "/mirror?mark", "a.example.net")
    return {"other": attempt(lambda: ask(tls(dial("a.example.net", 443), "a.example.net", context=context), get)),
            "own": attempt(lambda: ask(tls(dial("a.example.net", 443), "a.example.net", context=own), get))}

def quic():
    found = {}
    for host in ["203.0.113.10", socket.gethostbyname("a.example.net")]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.connect((host, 443))
            try:
                s.send(b"\xc3\0\0\0\1")
                s.recv(100)
                found[host] = "answered"
            except OSError as error:
                found[host] = type(error).__name__
    return found

def redirects():
    """A redirect passes as it is; following it is a new request, with a new decision."""
    import requests
    first = requests.get("https://full.example.net/redirect?to=https://ro.example.net/mirror?mark", headers={"Authorization": "secret"})
    second = requests.post("https://full.example.net/redirect?to=https://ro.example.net/mirror?mark", allow_redirects=False)
    third = requests.request("DELETE", second.headers["location"])
    return {"followed": first.status_code, "saw": first.text, "denied": third.status_code}

print(json.dumps(globals()[sys.argv[1]]()))
