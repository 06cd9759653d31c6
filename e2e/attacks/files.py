"""Tries to read and write what was not granted, and prints the error number of each attempt (0: it worked)."""
import ctypes, errno, glob, json, os, socket

def attempt(function):
    try:
        function()
        return 0
    except OSError as error:
        return error.errno

results = {}
for path in ["/.navigator/canary", "/etc/shadow", "/proc/1/environ", "/proc/1/root/etc/passwd", "/proc/1/mem",
             "/proc/1/maps", "/proc/kcore", "/root", "/home", "/run", "/var", "/sys", "/boot", "/srv", "/mnt",
             "/proc/self/root/root", "/proc/self/cwd/../../root", "/proc/1/cwd", "/proc/1/fd"]:
    results["read " + path] = attempt(lambda: os.listdir(path) if not os.path.isfile(path) else open(path, "rb").read(1))
for path in ["/x", "/usr/x", "/etc/x", "/etc/passwd", "/etc/resolv.conf", "/bin/x", "/lib/x", "/dev/x",
             "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/.navigator/x", "/usr/bin/python3"]:
    results["write " + path] = attempt(lambda: open(path, "ab").close())
for path in ["/sandbox/x", "/tmp/x", "/dev/shm/x", "/dev/null"]:
    results["granted " + path] = attempt(lambda: open(path, "ab").close())
# Whose memory can be written can be made to do anything. This must not rest on Landlock alone.
memory = attempt(lambda: open("/proc/self/mem", "r+b", buffering=0).close())
results["rename across"] = attempt(lambda: (os.mkdir("/sandbox/d"), os.rename("/sandbox/x", "/sandbox/d/x")))
results["mknod"] = attempt(lambda: os.mknod("/sandbox/dev", 0o600 | 0o060000, os.makedev(8, 0)))
results["chmod setuid"] = attempt(lambda: os.chmod("/sandbox/d/x", 0o4755))
results["link from read only"] = attempt(lambda: os.link("/etc/passwd", "/sandbox/l"))

open_fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
links = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in open_fds if os.path.exists(f"/proc/self/fd/{fd}")}
sockets = {}
for path in ["/run/dbus/system_bus_socket", "/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock",
             "/run/systemd/private", "/run/user/0/bus", "/tmp/.X11-unix/X0"]:
    s = socket.socket(socket.AF_UNIX)
    sockets[path] = attempt(lambda: s.connect(path))
abstract = socket.socket(socket.AF_UNIX)
sockets["abstract"] = attempt(lambda: abstract.connect("\0navigator-e2e-abstract"))
pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
cgroups = [p for p in ["/sys/fs/cgroup"] if os.path.exists(p)]
print(json.dumps({"results": results, "memory": memory, "fds": links, "sockets": sockets, "pids": pids, "own": os.getpid(), "cgroups": cgroups,
                  "top": sorted(os.listdir("/")), "env": dict(os.environ)}))
