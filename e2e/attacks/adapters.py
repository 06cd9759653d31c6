"""Reaches for the same hosts by every adapter and in many spellings, and says what came of each."""
import json, os, random, socket, struct

PROXY = ("10.200.0.1", 3128)

def exchange(address, data, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(10)
        s.connect(address)
        s.sendall(data)
        return s.recv(4096)

def connect(authority, extra=b""):
    """CONNECT through the proxy."""
    if isinstance(authority, str):
        authority = authority.encode()
    try:
        answer = exchange(PROXY, b"CONNECT " + authority + b" HTTP/1.1\r\n" + (extra or b"Host: " + authority + b"\r\n") + b"\r\n")
    except OSError:
        return "reset"
    if answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        return "open"
    return answer.split(b"\r\n")[0].decode(errors="replace") or "closed"

def direct(host, port=443):
    """Without the proxy: a TLS hello must be answered by the server."""
    import ssl
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=10) as raw:
            with context.wrap_socket(raw, server_hostname="pypi.org"):
                return "open"
    except (OSError, ssl.SSLError) as error:
        return type(error).__name__

def absolute(url, host):
    """Absolute-form HTTP through the proxy: anything but a refusal of ours went out."""
    try:
        answer = exchange(PROXY, f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    except OSError:
        return "reset"
    status = answer.split(b" ")[1:2]
    refused = b"policy_denied" in answer or status in ([b"400"], [b"403"], [b"502"], [b"504"])
    return "denied" if refused else "open"

allowed = {"connect": connect("pypi.org:443"), "connect, case and dot": connect("PyPI.org.:443"), "direct": direct("pypi.org"),
           "absolute": absolute("http://pypi.org/", "pypi.org")}

denied = {}
for authority in ["example.com:443", "pypi.org:22", "pypi.org.evil.test:443", "127.0.0.1:443", "127.1:443", "0x7f.1:443",
                  "2130706433:443", "017700000001:443", "0:443", "localhost:443", "[::1]:443", "[::ffff:127.0.0.1]:443",
                  "[::ffff:7f00:1]:443", "169.254.169.254:80", "[fe80::1%25lo]:443", "[64:ff9b::7f00:1]:443", "10.200.0.1:3128",
                  "10.0.0.1:443", "192.168.0.1:443", "100.64.0.1:443", "0.0.0.0:443", "255.255.255.255:443", "224.0.0.1:443",
                  "198.19.255.1:443", "pypi.org", "pypi.org:0", "pypi.org:65536", "pypi.org:443:443", "pypi.org%00.evil:443",
                  "user@pypi.org:443", "pypi.org :443", "*.org:443", "p\u0443pi.org:443", "a" * 64 + ".org:443", ".pypi.org:443",
                  "pypi..org:443", ""]:
    denied["connect " + authority] = connect(authority)
denied["connect nul"] = connect(b"pypi.org\x00.evil:443")
denied["connect cr"] = connect(b"pypi.org\r.evil:443")
denied["connect lf"] = connect(b"example.com\n.pypi.org:443")
denied["connect host mismatch"] = connect("pypi.org:443", b"Host: example.com:443\r\n")
denied["connect two hosts"] = connect("pypi.org:443", b"Host: pypi.org:443\r\nHost: example.com\r\n")
denied["absolute example.com"] = absolute("http://example.com/", "example.com")
denied["absolute host mismatch"] = absolute("http://example.com/", "pypi.org")
denied["absolute loopback"] = absolute("http://127.0.0.1/", "127.0.0.1")
denied["absolute metadata"] = absolute("http://169.254.169.254/latest", "169.254.169.254")
for host in ["93.184.216.34", "127.0.0.1", "169.254.169.254", "10.0.0.1", "example.com", "198.18.77.77", "0.0.0.0"]:
    denied["direct " + host] = direct(host)

def query(name, kind, server, tcp=False):
    """A DNS question: refused when it is answered without any record."""
    header = struct.pack(">HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0)
    question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\0" + struct.pack(">HH", kind, 1)
    try:
        if tcp:
            answer = exchange((server, 53), struct.pack(">H", len(header + question)) + header + question)[2:]
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(3)
                s.sendto(header + question, (server, 53))
                answer, source = s.recvfrom(4096)
                if source[0] != server:
                    return "answered by " + source[0]
        if len(answer) < 12 or struct.unpack(">H", answer[6:8])[0]:
            return "answered"
        return "refused" if answer[3] & 15 in (0, 3, 5) else f"code {answer[3] & 15}"
    except OSError as error:
        return type(error).__name__

dns = {}
for server in ["10.200.0.1", "8.8.8.8"]:
    for name, kind in [("secret-data.evil.test", 1), ("pypi.org", 16), ("pypi.org", 255), ("pypi.org", 252), ("pypi.org", 2),
                       ("x." * 60 + "pypi.org", 1), ("pypi.org.evil.test", 28)]:
        dns[f"{name[:30]} {kind} at {server}"] = query(name, kind, server)
        dns[f"{name[:30]} {kind} at {server} by tcp"] = query(name, kind, server, True)
allowed["dns"] = "open" if query("pypi.org", 1, "10.200.0.1") == "answered" else "no answer"
allowed["dns elsewhere"] = "open" if query("pypi.org", 1, "8.8.8.8") == "answered" else "no answer"

def datagram(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect(("93.184.216.34", port))
        try:
            s.send(b"x")
            s.recv(10)
            return "answered"
        except socket.timeout:
            return "silence"
        except OSError:
            return "refused"

for port in [123, 443, 5353]:
    dns[f"udp {port}"] = datagram(port)
print(json.dumps({"allowed": allowed, "denied": denied, "dns": dns}))
