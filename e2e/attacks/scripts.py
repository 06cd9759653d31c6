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

os.mkdir("/sandbox/dir")
for path in (ALLOWED, "/sandbox/dir/allowed.py"):
    write(path, SCRIPT)
os.symlink("dir/allowed.py", "/sandbox/link.py")
SETTLE = 0.2  # a script earns its right by having been left alone for a moment
time.sleep(SETTLE)
result = {"first": run([ALLOWED])}
attacks = {}

# A program that was started as another file, while the allowed one is away. It says what it wants when it is told to.
EVIL = SCRIPT.replace("import socket, sys\n", "import socket, sys\nsys.stdout.write('up ')\nsys.stdout.flush()\nsys.stdin.read()\n")

def other(path):
    started = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout.read(3) == "up "
    return started

def word(started):
    time.sleep(SETTLE)
    return started.communicate("")[0].strip() or "denied"

os.rename(ALLOWED, "/sandbox/kept")
write(ALLOWED, EVIL)
time.sleep(SETTLE)
evil = other(ALLOWED)
os.rename("/sandbox/kept", ALLOWED)
attacks["the allowed script put back after the start of another"] = word(evil)
time.sleep(SETTLE)
result["the allowed script that was put back"] = run([ALLOWED])

write("/sandbox/evil.py", EVIL)
os.rename(ALLOWED, "/sandbox/kept")
os.rename("/sandbox/evil.py", ALLOWED)
time.sleep(SETTLE)
evil = other(ALLOWED)
os.unlink(ALLOWED)
os.link("/sandbox/kept", ALLOWED)
os.utime(ALLOWED, (1, 1))
attacks["the allowed script linked back, with an old date"] = word(evil)

time.sleep(SETTLE)
result["the script in a directory"] = run(["/sandbox/dir/allowed.py"])
os.rename("/sandbox/dir", "/sandbox/away")
os.mkdir("/sandbox/dir")
write("/sandbox/dir/allowed.py", EVIL)
time.sleep(SETTLE)
evil = other("/sandbox/dir/allowed.py")
os.rename("/sandbox/dir", "/sandbox/evil")
os.rename("/sandbox/away", "/sandbox/dir")
attacks["the directory of the allowed script put back"] = word(evil)

time.sleep(SETTLE)
result["the script by a link"] = run(["/sandbox/link.py"])
write("/sandbox/evil.py", EVIL)
os.unlink("/sandbox/link.py")
os.symlink("evil.py", "/sandbox/link.py")
time.sleep(SETTLE)
evil = other("/sandbox/link.py")
os.unlink("/sandbox/link.py")
os.symlink("dir/allowed.py", "/sandbox/link.py")
attacks["the link to the allowed script turned back"] = word(evil)

# The same at once: nothing about the moment helps.
def at_once():
    write("/sandbox/evil.py", EVIL)
    os.rename(ALLOWED, "/sandbox/kept")
    os.rename("/sandbox/evil.py", ALLOWED)
    evil = subprocess.Popen([ALLOWED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.rename("/sandbox/kept", ALLOWED)
    return evil.communicate("")[0].removeprefix("up ").strip() or "denied"

result["put back at once"] = sorted({at_once() for _ in range(int(sys.argv[1]))})

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
time.sleep(SETTLE)
attacks["a script with other content"] = run([ALLOWED])
result["attacks"] = attacks
print(json.dumps(result))
