"""Takes the name of an allowed script or program at the wrong moment, and says whether the proxy believed it."""
import json, os, socket, subprocess, sys, time

CONNECT = b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n"
SCRIPT = f"""#!/usr/bin/python3
import socket, sys
s = socket.create_connection(("10.200.0.1", 3128), 10)
s.sendall({CONNECT!r})
sys.stdout.write("open" if b" 200" in s.recv(100)[:15] else "denied")
"""
ALLOWED = "/sandbox/allowed.py"

def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)

def run(argv, **options):
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, **options).stdout.strip() or "denied"

def tunnel(program, **options):
    argv = [program, "-sS", "-o", "/dev/null", "--proxy", "http://10.200.0.1:3128", "https://pypi.org/"]
    return "open" if subprocess.run(argv, capture_output=True, timeout=30, **options).returncode == 0 else "denied"

write(ALLOWED, SCRIPT)
result = {"first": run([ALLOWED])}
attacks = {}

# A program that was started as another file, while the allowed one is away.
os.rename(ALLOWED, "/sandbox/kept")
write(ALLOWED, SCRIPT.replace("import socket, sys\n", "import socket, sys\nsys.stdin.read()\n"))
other = subprocess.Popen([ALLOWED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
time.sleep(0.5)
os.rename("/sandbox/kept", ALLOWED)
attacks["the allowed script put back after the start of another"] = other.communicate("")[0].strip() or "denied"

# A socket that was connected and used before the process became an allowed program. What the proxy
# says is written to a file by curl, which reads the socket as its standard input.
def exec_after_connect():
    out = "/sandbox/answer"
    if os.path.exists(out):
        os.unlink(out)
    pid = os.fork()
    if pid == 0:
        s = socket.create_connection(("10.200.0.1", 3128), 10)
        os.dup2(s.fileno(), 0)
        s.sendall(CONNECT)
        s.close()
        os.execv("/usr/bin/curl", ["curl", "-sS", "-m", "3", "-T", "-", "file://" + out])
    deadline = time.time() + 4
    while time.time() < deadline and os.waitpid(pid, os.WNOHANG) == (0, 0):
        if os.path.exists(out) and os.path.getsize(out) > 12:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            break
        time.sleep(0.01)
    answer = open(out, "rb").read(20) if os.path.exists(out) else b""
    return "open" if b" 200" in answer else "denied"

results = [exec_after_connect() for _ in range(int(sys.argv[1]))]
result["exec after connect"] = {word: results.count(word) for word in set(results)}

os.link("/usr/bin/curl", "/sandbox/hard") if os.stat("/usr/bin").st_dev == os.stat("/sandbox").st_dev else None
with open("/sandbox/tool", "wb") as tool:
    tool.write(open("/usr/bin/curl", "rb").read())
os.chmod("/sandbox/tool", 0o755)
result["tool"] = tunnel("/sandbox/tool")
os.link("/sandbox/tool", "/sandbox/hard")
attacks["a hard link under another name"] = tunnel("/sandbox/hard")
os.symlink("/usr/bin/python3", "/sandbox/curl")
attacks["a symbolic link with an allowed name"] = run(["/sandbox/curl", "-c", SCRIPT])
attacks["a name set by the program itself"] = run([sys.executable, "-c",
    "import ctypes; ctypes.CDLL(None).prctl(15, b'curl', 0, 0, 0)\n" + SCRIPT])
attacks["an audit library"] = tunnel("/usr/bin/curl", env={**os.environ, "LD_AUDIT": "/sandbox/libevil.so"}) \
    if subprocess.call(["cp", "/usr/lib/x86_64-linux-gnu/libz.so.1", "/sandbox/libevil.so"]) == 0 else "denied"
attacks["another library path"] = tunnel("/usr/bin/curl", env={**os.environ, "LD_LIBRARY_PATH": "/sandbox/lib"}) \
    if os.mkdir("/sandbox/lib") is None and subprocess.call(
        ["cp", "/usr/lib/x86_64-linux-gnu/libz.so.1", "/sandbox/lib/libz.so.1"]) == 0 else "denied"

# Last, because what was pinned stays refused: other content under the allowed name.
write(ALLOWED, SCRIPT + "# changed\n")
attacks["a script with other content"] = run([ALLOWED])
result["attacks"] = attacks
print(json.dumps(result))
