"""Starts a program on a kernel that seems to have no Landlock: its system calls answer ENOSYS."""
import ctypes, os, struct, sys

LANDLOCK = (444, 445, 446)
ENOSYS, ALLOW, ERRNO = 38, 0x7FFF0000, 0x00050000
steps = [struct.pack("HBBI", 0x20, 0, 0, 0)]
for place, number in enumerate(LANDLOCK):
    steps.append(struct.pack("HBBI", 0x15, len(LANDLOCK) - place, 0, number))
steps += [struct.pack("HBBI", 0x06, 0, 0, ALLOW), struct.pack("HBBI", 0x06, 0, 0, ERRNO | ENOSYS)]
program = ctypes.create_string_buffer(b"".join(steps))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0, "no new privileges"
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(filter)), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
