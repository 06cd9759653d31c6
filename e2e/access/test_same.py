"""Every way into a sandbox is the same: who one is there, what one sees, and what one may not."""
import json
import os
import subprocess

import pytest

from leftovers import PROC
from shell import Ssh, sleeping
from waiting import eventually

KEEP = (
    "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"
)
# What a process says of itself, from /proc alone and without starting anything.
LOOK = """
import json, os
def lines(path): return open(path).read().split("\\n")
keep = %r
status = dict(line.split(":", 1) for line in lines("/proc/self/status") if ":" in line)
limits = [line for line in lines("/proc/self/limits") if line.startswith(("Max core", "Max processes", "Max open"))]
names = {name: os.readlink("/proc/self/ns/" + name) for name in os.listdir("/proc/self/ns")}
def refused(path):
    try: open(path, "w").close(); return False
    except OSError as error: return error.errno
print(json.dumps({
    "status": {name: status[name].strip() for name in keep}, "limits": limits, "namespaces": names,
    "path": os.environ["PATH"], "home": os.environ["HOME"], "cwd": os.getcwd(), "user": os.environ["USER"],
    "refused": [refused(path) for path in ("/etc/x", "/usr/x", "/x", "/proc/sys/x")],
    "mounts": sorted(line.split(" - ")[0].split(" ", 3)[3] for line in lines("/proc/self/mountinfo") if line),
    "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:3], "umask": oct(os.umask(0o22)),
}))
""" % (KEEP,)


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


def test_all_ways_in_are_equal(ssh, owner, person, sandbox):
    owner.run(sandbox, "sh", "-c", "cat > look.py", stdin=LOOK.encode())
    ways = {
        "exec": owner.run(sandbox, "python3", "look.py").out,
        "command": person.run("sandbox", "exec", sandbox.name, "--", "python3", "look.py").stdout,
        "ssh exec": ssh.run("python3 look.py").stdout,
    }
    with ssh.terminal() as screen:
        screen.type("stty cols 30000; python3 look.py; exit\n")
        screen.until("exit\r\n")
        screen.end()
        ways["ssh shell"] = next(line for line in screen.shown.splitlines() if line.startswith(b"{"))
    found = {way: json.loads(text) for way, text in ways.items()}
    first = found.pop("exec")
    assert first["status"]["Seccomp"] == "2" and first["status"]["NoNewPrivs"] == "1" and all(first["refused"])
    for way, other in found.items():
        assert other == first, way


def outside(pid):
    """What this machine sees of a process, but for what is its own."""
    lines = (line.split(":", 1) for line in (PROC / str(pid) / "status").read_text().splitlines())
    return {name: value.strip() for name, value in lines}


def test_the_file_server_is_confined_like_every_process(ssh, owner, gateway, sandbox, marker):
    words = ["sftp", "-F", str(ssh.config), "-o", "BatchMode=yes", ssh.host]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, env=ssh.person.environment, **pipes)
    other = owner.events(sandbox, "sleep", marker)
    try:
        process.stdin.write(b"pwd\n")
        process.stdin.flush()
        while b"/sandbox" not in process.stdout.readline():
            pass
        eventually("the other runs", lambda: sleeping(marker))
        init = children(gateway.supervisor(sandbox.id))[0]
        servers = [pid for pid in children(init) if (PROC / str(pid) / "comm").read_text() == "navigator\n"]
        assert len(servers) == 1
        server, plain = outside(servers[0]), outside(sleeping(marker)[0])
        for name in (*KEEP, "Umask"):
            assert server[name] == plain[name], name
        # It is a copy of what started the sandbox: nobody inside may look into it, nor touch it.
        inner = server["NSpid"].split()[-1]
        for number in (inner, 1):
            script = "cat /proc/$0/environ /proc/$0/maps; ls /proc/$0/cwd/; cat /proc/$0/fd/0; cat /proc/$0/mem"
            done = owner.run(sandbox, "/bin/sh", "-c", script, str(number))
            assert done.out.strip() == b"" and done.err.count(b"enied") == 5, done
            assert owner.run(sandbox, "cat", f"/proc/{number}/cmdline").out.strip(b"\0") == b"", number
        held = {fd: os.readlink(f"/proc/{servers[0]}/fd/{fd}") for fd in os.listdir(f"/proc/{servers[0]}/fd")}
        assert sorted(held) == ["0", "1", "2", "3"] and held["3"].endswith("/sandbox"), held
        assert all(held[fd].startswith(("pipe:", "socket:", "/dev/null")) for fd in "012"), held
    finally:
        process.stdin.close()
        process.wait(20)
        other.cancel()


def children(pid):
    text = (PROC / str(pid) / "task" / str(pid) / "children").read_text()
    return [int(child) for child in text.split()]


def test_people_see_what_others_started_and_leave_it_alone(ssh, owner, sandbox, marker):
    events = owner.events(sandbox, "sleep", marker)
    eventually("it runs", lambda: sleeping(marker))
    assert marker in ssh.text("ps -eo args")
    assert b"not permitted" in ssh.run(f"pkill -xf 'sleep {marker}'", check=False).stderr
    assert ssh.run("kill -9 1; kill -STOP 1; kill -TERM 1; sleep 0.1; echo still here").stdout == b"still here\n"
    assert owner.run(sandbox, "true").code == 0 and sleeping(marker)
    events.cancel()


def test_a_process_that_stops_everything_stops_no_start(owner):
    """Whoever is being started is not yet confined, and must not be in reach of those who are."""
    sandbox = owner.create()
    script = "import os, signal\nprint(flush=True)\nwhile True:\n  try: os.kill(-1, signal.SIGSTOP)\n  except OSError: pass"
    events = owner.events(sandbox, "python3", "-c", script)
    next(events)
    for _ in range(20):
        assert owner.run(sandbox, "true").code == 0
    events.cancel()
    owner.delete(sandbox.name)
