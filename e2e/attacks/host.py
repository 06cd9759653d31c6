"""Reaches for a listener on the host's loopback in every spelling; the test looks at what the listener saw."""
import json, os, socket, struct, sys

PORT = int(sys.argv[1])
PAYLOAD = b"from-inside"
results = {}

def attempt(name, function):
    try:
        results[name] = function() or "sent"
    except OSError as error:
        results[name] = type(error).__name__

def talk(s, request=b""):
    s.sendall(request + PAYLOAD)
    return s.recv(200).decode(errors="replace")[:40]

def direct(family, host, port=PORT):
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect((host, port))
        return talk(s)

def fast_open(host):
    with socket.socket() as s:
        s.settimeout(3)
        s.sendto(PAYLOAD, socket.MSG_FASTOPEN, (host, PORT))
        return s.recv(200).decode(errors="replace")[:40]

def proxied(request):
    with socket.create_connection(("10.200.0.1", 3128), 5) as s:
        return talk(s, request.encode())

def datagram(family, host):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.sendto(PAYLOAD, (host, PORT))
        return s.recv(200).decode(errors="replace")

four = ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.200.0.1", "169.254.169.254"] + sys.argv[2:]
six = ["::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "fd00:ec2::254", "fe80::1"]
for host in four:
    attempt("direct " + host, lambda: direct(socket.AF_INET, host))
    attempt("fast open " + host, lambda: fast_open(host))
    attempt("udp " + host, lambda: datagram(socket.AF_INET, host))
for host in six:
    attempt("direct " + host, lambda: direct(socket.AF_INET6, host))
    attempt("udp " + host, lambda: datagram(socket.AF_INET6, host))
names = four + [f"[{host}]" for host in six] + ["localhost", "LOCALHOST.", "127.1", "0x7f000001", "017700000001", "2130706433",
                                                 "127.0.0.1.", "0", "0177.0.0.01", "[::ffff:0:127.0.0.1]", "[::1%25lo]", "ip6-localhost"]
for name in names:
    attempt("connect " + name, lambda: proxied(f"CONNECT {name}:{PORT} HTTP/1.1\r\nHost: {name}:{PORT}\r\n\r\n"))
    attempt("absolute " + name, lambda: proxied(f"GET http://{name}:{PORT}/ HTTP/1.1\r\nHost: {name}:{PORT}\r\n\r\n"))
print(json.dumps(results))
