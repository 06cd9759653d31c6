"""Runs ordinary clients as they are used; prints what came of each. Arguments: `inspected` or `tunnel`, then `proxy`
(with the sandbox's proxy variables) or `transparent` (without)."""
import json, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

INSPECTED, PROXIED = sys.argv[1] == "inspected", sys.argv[2] == "proxy"
WEB, PYTHON = "https://web.example.net", "/sandbox/clients/bin/python"
TEST_CA, OWN = "/sandbox/internet/ca.pem", "/etc/navigator-tls"

env = dict(os.environ)
if not PROXIED:
    env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
if not INSPECTED:
    # Nobody stands between, so it is the test's own authority that clients must trust.
    env = {name: TEST_CA if value.startswith(OWN) and value.endswith(".pem") else value for name, value in env.items()}
    open("/sandbox/wgetrc", "w").write(f"ca_certificate = {TEST_CA}\n")
    env["SYSTEM_WGETRC"] = "/sandbox/wgetrc"
env.update({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "GRPC_VERBOSITY": "NONE"})

def run(*command, feed=None):
    done = subprocess.run(command, env=env, input=feed, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr

def expect(words, *command, code=0, feed=None):
    got, text = run(*command, feed=feed)
    missing = [word for word in words if word not in text]
    return "ok" if got == code and not missing else f"exit {got}, without {missing}: {text[-600:]}"

def python(words, program):
    return expect(words, PYTHON, "-c", program)

def git():
    found = {"git clone": expect([], "git", "clone", "-q", WEB + "/git/a.git", "/sandbox/a")}
    found["git fetch"] = expect([], "git", "-C", "/sandbox/a", "fetch", "-q", "--all")
    push = ["git", "-C", "/sandbox/a", "push", "-q", "origin", f"HEAD:refs/heads/{sys.argv[2]}"]
    found["git push"] = expect(["403"], *push, code=128) if INSPECTED else expect([], *push)
    return found

def ssh():
    run("install", "-m", "600", "/sandbox/internet/id", "/sandbox/id")
    user = open("/sandbox/internet/user").read().strip()
    options = ["-i", "/sandbox/id", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]
    return expect(["hello 42"], "ssh", *options, f"{user}@ssh.example.net", "echo hello $((6 * 7))")

GRPC = """
import grpc, time
c = grpc.secure_channel("grpc.example.net:443", grpc.ssl_channel_credentials())
def one_by_one(answers=[]):
    for n in range(5):
        yield b"message %d" % n
        # The next one is sent when this one has come back.
        while len(answers) <= n: time.sleep(0.001)
"""
CALLS = {
    "unary": 'print(c.unary_unary("/test.Echo/Unary")(b"hello", timeout=30))',
    "server stream": 'print(list(c.unary_stream("/test.Echo/Stream")(b"hello", timeout=30)).count(b"hello"), "messages")',
    "bidi": 'a = []\nfor m in c.stream_stream("/test.Echo/Chat")(one_by_one(a), timeout=30): a.append(m)\nprint(len(a), a[4])',
    "denied": 'try: c.unary_unary("/test.Echo/Other")(b"x", timeout=30)\nexcept grpc.RpcError as e: print(e.code(), e.details())',
}
HTTPX = "import httpx\nc = httpx.Client(http2=True)\n"
AIOHTTP = """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as s:
        async with s.{}("{}") as r: print(r.status, await r.text())
asyncio.run(main())
"""
WEBSOCKETS = """
from websockets.sync.client import connect
with connect("wss://ws.example.net/ws", max_size=None) as s:
    s.send("text \\u00e9"); assert s.recv() == "text \\u00e9"
    s.send(bytes(3 << 20)); assert s.recv() == bytes(3 << 20)
    s.ping().wait(10)
print("closed", s.close_code)
"""
NODE = 'fetch("{}", {{ method: "{}" }}).then(async r => console.log(r.status, await r.text())).catch(e => console.log(e, e.cause))'
S_CLIENT = ["openssl", "s_client", "-quiet", "-verify_return_error", "-connect", "web.example.net:443", "-servername", "web.example.net"]
CA = ["-CAfile", env["SSL_CERT_FILE"]] + (["-proxy", "10.200.0.1:3128"] if PROXIED else [])
NO, DENIED = WEB + "/mirror", ["403", "policy_denied"]
GET = ['"method":"GET"']

cells = {
    "curl 1.1": lambda: expect(GET, "curl", "-sS", "--http1.1", WEB + "/mirror"),
    "curl 2": lambda: expect(GET + ["HTTP/2.0"], "curl", "-sS", "--http2", WEB + "/mirror"),
    "curl, large": lambda: expect(["20000000 200"], "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download} %{http_code}", WEB + "/big?n=20000000"),
    "curl, upload": lambda: expect(['"method":"POST"'], "curl", "-sS", "-T", "/usr/bin/env", "-X", "POST", "-o", "-", WEB + "/mirror"),
    "curl, plain": lambda: expect(GET, "curl", "-sS", "http://web.example.net/mirror"),
    "curl, trailers": lambda: expect(["x-checksum: abc"], "curl", "-sS", "--http2", "-D", "-", WEB + "/trailers"),
    "wget": lambda: expect(GET, "wget", "-q", "-O", "-", WEB + "/mirror"),
    "node fetch": lambda: expect(GET, "node", "-e", NODE.format(WEB + "/mirror", "GET")),
    "urllib": lambda: python(GET, f"import urllib.request as u; print(u.urlopen('{WEB}/mirror').read().decode())"),
    "requests": lambda: python(GET, f"import requests as r; print(r.get('{WEB}/mirror').text)"),
    "httpx": lambda: python(GET + ["HTTP/2.0"], HTTPX + f"print(c.get('{WEB}/mirror').text)"),
    "aiohttp": lambda: python(GET, AIOHTTP.format("get", WEB + "/mirror")),
    "SSE": lambda: python(["events 5"], f"import requests as r; n = r.get('{WEB}/stream?n=5', stream=True); print('events', sum(l.startswith(b'data:') for l in n.iter_lines()))"),
    "websockets": lambda: python(["closed 1000"], WEBSOCKETS),
    "openssl": lambda: expect(GET, *S_CLIENT, *CA, feed="GET /mirror HTTP/1.0\r\nHost: web.example.net\r\n\r\n"),
    "ssh": ssh, "git": git,
    "grpc unary": lambda: python(["hello"], GRPC + CALLS["unary"]),
    "grpc server stream": lambda: python(["5 messages"], GRPC + CALLS["server stream"]),
    "grpc bidi": lambda: python(["5 b'message 4'"], GRPC + CALLS["bidi"]),
}
refusals = {
    "curl 1.1, denied": lambda: expect(DENIED, "curl", "-sS", "-i", "--http1.1", "-X", "DELETE", NO),
    "curl 2, denied": lambda: expect(DENIED, "curl", "-sS", "-i", "--http2", "-X", "DELETE", NO),
    "wget, denied": lambda: expect(["403"], "wget", "-O", "-", "--method=DELETE", NO, code=8),
    "node fetch, denied": lambda: expect(DENIED, "node", "-e", NODE.format(NO, "DELETE")),
    "requests, denied": lambda: python(DENIED, f"import requests as r; a = r.delete('{NO}'); print(a.status_code, a.text)"),
    "httpx, denied": lambda: python(DENIED + GET, HTTPX + f"a = c.delete('{NO}'); print(a.status_code, a.text, c.get('{NO}').text)"),
    "aiohttp, denied": lambda: python(DENIED, AIOHTTP.format("delete", NO)),
    "grpc, denied": lambda: python(["PERMISSION_DENIED", "/test.Echo/Other"], GRPC + CALLS["denied"]),
}
registries = {
    "pip": lambda: expect([], PYTHON, "-m", "pip", "install", "-q", "--no-cache-dir", "--target", "/sandbox/pip", "cowsay"),
    "uv": lambda: expect([], "/sandbox/clients/bin/uv", "pip", "install", "-q", "--no-cache", "--python", PYTHON, "--target", "/sandbox/uv", "cowsay"),
    "npm": lambda: expect([], "npm", "install", "--loglevel=http", "--no-audit", "--no-fund", "--prefix", "/sandbox/npm", "ms"),
}

def attempt(cell):
    try:
        return cell()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if sys.argv[3:] == ["registries"]:
    cells = registries
    if not INSPECTED:
        env = {name: f"{OWN}/ca-bundle.pem" if value == TEST_CA else value for name, value in env.items()}
elif INSPECTED:
    cells.update(refusals)
with ThreadPoolExecutor(6) as pool:
    results = dict(zip(cells, pool.map(attempt, cells.values())))
flat = {}
for name, result in results.items():
    flat.update(result if isinstance(result, dict) else {name: result})
print(json.dumps(flat))
