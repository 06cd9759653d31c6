"""Tries what the kernel must refuse, and prints the error number of each attempt (0: it worked)."""
import ctypes, errno, json, os, platform, signal, socket, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
results = {}

def call(name, number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    results[name] = ctypes.get_errno() if result == -1 else 0

assert platform.machine() == "x86_64"
call("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
call("umount2", 166, b"/tmp", 0)
call("pivot_root", 155, b"/tmp", b"/tmp")
call("chroot", 161, b"/tmp")
call("unshare_user", 272, 0x10000000)
call("unshare_net", 272, 0x40000000)
call("clone_user", 56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
call("clone3", 435, 0, 0)
call("setns", 308, 0, 0)
call("ptrace", 101, 16, 1, 0, 0)
call("process_vm_readv", 310, os.getpid(), 0, 0, 0, 0, 0)
call("process_vm_writev", 311, os.getpid(), 0, 0, 0, 0, 0)
call("pidfd_getfd", 438, 0, 0, 0)
call("kcmp", 312, 1, 1, 0, 0, 0)
call("open_by_handle_at", 304, 0, 0, 0)
call("io_uring_setup", 425, 1, 0)
call("userfaultfd", 323, 0)
call("bpf", 321, 0, 0, 0)
call("perf_event_open", 298, 0, 0, 0, 0, 0)
call("keyctl", 250, 0, 0, 0, 0, 0)
call("add_key", 248, b"user", b"a", b"b", 1, -3)
call("request_key", 249, b"user", b"a", 0, -3)
call("fsopen", 430, b"tmpfs", 0)
call("open_tree", 428, -100, b"/", 1)
call("move_mount", 429, -1, b"", -1, b"", 0)
call("mount_setattr", 442, -100, b"/", 0, 0, 0)
call("init_module", 175, 0, 0, b"")
call("kexec_load", 246, 0, 0, 0, 0)
call("reboot", 169, 0, 0, 0, 0)
call("setuid0", 105, 0)
call("setgid0", 106, 0)
call("setgroups", 116, 0, 0)
call("sethostname", 170, b"x", 1)
call("iopl", 172, 3)
call("chmod_setuid", 90, b"/tmp", 0o4755)
call("fchmodat_setuid", 268, -100, b"/tmp", 0o4755)
call("fchmodat2_setuid", 452, -100, b"/tmp", 0o4755, 0)
call("open_setuid", 2, b"/tmp/setuid", os.O_CREAT | os.O_WRONLY, 0o4755)
call("openat_setuid", 257, -100, b"/tmp/setuid", os.O_CREAT | os.O_WRONLY, 0o4755)
call("tmpfile_setuid", 257, -100, b"/tmp", os.O_TMPFILE | os.O_WRONLY, 0o4755)
call("creat_setuid", 85, b"/tmp/setuid", 0o4755)
call("mknodat_setuid", 259, -100, b"/tmp/setuid", 0o104755, 0)
call("openat2", 437, -100, b"/tmp", 0, 0)
call("lease", 72, 0, 1024, 1)
call("TIOCSTI", 16, 0, 0x5412, b"x")
call("TIOCLINUX", 16, 0, 0x541C, b"\x02")

for number in range(1, 65):
    call(f"signal_{number}_to_init", 62, 1, number)
call("limit_init", 302, 1, 7, struct.pack("QQ", 3, 3), 0)
call("limit_other", 302, os.getppid(), 7, 0, ctypes.create_string_buffer(16))
init = open("/proc/1/stat").read().rsplit(")", 1)[1].split()[0]

def dies(code):
    """How a program ends that makes a call of another architecture."""
    return subprocess.run([sys.executable, "-c", code]).returncode

results["x32"] = dies("import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)")
# mov eax, 20 (getpid of i386); int 0x80; ret
results["int80"] = dies(
    "import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3');"
    "a = ctypes.addressof(ctypes.c_char.from_buffer(m)); ctypes.CFUNCTYPE(ctypes.c_int)(a)()")

sockets = {}
for name, family, kind, protocol in [
    ("inet_stream", 2, 1, 0), ("inet_dgram", 2, 2, 0), ("inet6_stream", 10, 1, 0),
    ("inet_raw", 2, 3, 1), ("inet_icmp", 2, 2, 1), ("inet6_raw", 10, 3, 58), ("sctp", 2, 1, 132),
    ("udplite", 2, 2, 136), ("mptcp", 2, 1, 262), ("seqpacket_sctp", 2, 5, 132),
    ("packet", 17, 3, 0x300), ("netlink", 16, 3, 0), ("vsock", 40, 1, 0), ("bluetooth", 31, 5, 0),
    ("alg", 38, 5, 0), ("can", 29, 3, 1), ("key", 15, 3, 2), ("xdp", 44, 3, 0), ("unix", 1, 1, 0),
]:
    try:
        socket.socket(family, kind, protocol).close()
        sockets[name] = 0
    except OSError as error:
        sockets[name] = error.errno

status = {line.split(":")[0]: line.split(":", 1)[1].strip() for line in open("/proc/self/status")}
print(json.dumps({"calls": results, "sockets": sockets, "status": status, "EPERM": errno.EPERM, "uid": os.getuid(), "init": init}))
