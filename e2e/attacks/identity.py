"""Pretends to be an allowed program in every way there is, and says whether the proxy believed it."""
import ctypes, json, os, shutil, socket, subprocess, sys, time

CONNECT = b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n"
CODE = f"""
import socket, sys
s = socket.create_connection(("10.200.0.1", 3128), 10)
s.sendall({CONNECT!r})
sys.stdout.write("open" if b" 200" in s.recv(100)[:15] else "denied")
"""

def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, **options)
    return done.stdout.strip() or "denied"

def curl(program="/usr/bin/curl", **options):
    """curl says 0 when the tunnel stands and 56 when the proxy refuses."""
    done = subprocess.run([program, "-sS", "-o", "/dev/null", "--proxy", "http://10.200.0.1:3128", "https://pypi.org/"],
                          capture_output=True, text=True, timeout=30, **options)
    return "open" if done.returncode == 0 else "denied"

result = {"curl itself": curl()}
open("/sandbox/allowed.py", "w").write("#!/usr/bin/python3\n" + CODE)
os.chmod("/sandbox/allowed.py", 0o755)
time.sleep(0.2)  # a script earns its right by having been left alone for a moment
result["the allowed script"] = run(["/sandbox/allowed.py"])
shutil.copy("/usr/bin/curl", "/sandbox/tool")
result["first use of the tool"] = curl("/sandbox/tool")

attacks = {}
attacks["python itself"] = run([sys.executable, "-c", CODE])
attacks["another script with the allowed name as argument"] = run([sys.executable, "-c", CODE, "/sandbox/allowed.py"])
open("/sandbox/other.py", "w").write(CODE)
attacks["a script without its interpreter line"] = run([sys.executable, "/sandbox/other.py", "/sandbox/allowed.py"])
attacks["argv zero"] = run(["/usr/bin/curl", "-c", CODE], executable=sys.executable)
shutil.copy("/usr/bin/curl", "/sandbox/copy")
attacks["a copy under another name"] = curl("/sandbox/copy")
attacks["the loader"] = (lambda d: "open" if d.returncode == 0 else "denied")(subprocess.run(
    ["/lib64/ld-linux-x86-64.so.2", "/usr/bin/curl", "-sS", "-o", "/dev/null", "--proxy", "http://10.200.0.1:3128",
     "https://pypi.org/"], capture_output=True, timeout=30))
fd = os.memfd_create("curl", 0)
os.write(fd, open("/usr/bin/curl", "rb").read())
attacks["a memory file"] = curl(f"/proc/self/fd/{fd}", pass_fds=[fd])
shutil.copy("/usr/bin/curl", "/sandbox/gone")
gone = subprocess.Popen(["sh", "-c", "sleep 0.3; exec /proc/self/fd/9 -sS -o /dev/null --proxy http://10.200.0.1:3128 https://pypi.org/ 9</dev/null"],
                        pass_fds=[], preexec_fn=lambda: os.dup2(os.open("/sandbox/gone", os.O_RDONLY), 9), close_fds=False,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.unlink("/sandbox/gone")
attacks["a deleted file"] = "open" if gone.wait(30) == 0 else "denied"
# A replaced binary: same path, other content.
shutil.copy("/usr/bin/curl", "/sandbox/new")
with open("/sandbox/new", "ab") as f:
    f.write(b"\0changed")
os.rename("/sandbox/new", "/sandbox/tool")
attacks["a replaced binary"] = curl("/sandbox/tool")
# A preloaded library: any shared object that can be written.
for name in os.listdir("/usr/lib/x86_64-linux-gnu"):
    if name.startswith("libz.so.1."):
        shutil.copy("/usr/lib/x86_64-linux-gnu/" + name, "/sandbox/libevil.so")
attacks["a preloaded library"] = curl(env={**os.environ, "LD_PRELOAD": "/sandbox/libevil.so"})
# A socket that python also holds.
shared = socket.create_connection(("10.200.0.1", 3128), 10)
child = subprocess.Popen(["/usr/bin/curl", "--version"], stdout=subprocess.DEVNULL, pass_fds=[shared.fileno()])
shared.sendall(CONNECT)
attacks["a socket of another program"] = "open" if b" 200" in shared.recv(100)[:15] else "denied"
child.wait()
result["attacks"] = attacks
print(json.dumps(result))
