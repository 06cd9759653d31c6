"""What is left of a gateway and its sandboxes on this machine: processes, mounts, cgroups."""
import os
import pathlib

PROC = pathlib.Path("/proc")
CGROUPS = "/sys/fs/cgroup"


def processes_with(text):
    """Processes whose command line has this text, as the host sees them."""
    return [pid for pid in _processes() if text in _read(pid, "cmdline").replace("\0", " ")]


def leftovers(base, supervisors):
    """What still belongs to the directory `base`, or to supervisors that had these process ids."""
    needle = base.name
    found = [f"process {pid}: {why}" for pid in _processes() for why in _belongs(pid, needle)]
    names = tuple(f"navigator-{pid}-" for pid in supervisors)
    for directory, below, _ in os.walk(CGROUPS):
        found += [f"cgroup {directory}/{name}" for name in below if names and name.startswith(names)]
    return found


def _processes():
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]


def _belongs(pid, needle):
    for file in ("cmdline", "environ", "mountinfo"):
        if needle in _read(pid, file):
            yield file
    for link in ("cwd", "root", "exe"):
        if needle in _target(PROC / str(pid) / link):
            yield link
    try:
        descriptors = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return  # It has ended, or is somebody else's.
    if any(needle in _target(descriptor) for descriptor in descriptors):
        yield "an open file"


def _read(pid, file):
    try:
        return (PROC / str(pid) / file).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _target(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""
