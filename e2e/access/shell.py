"""OpenSSH and its relatives, as somebody uses them on a sandbox."""
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from leftovers import PROC, processes_with

# Seconds that anything may take. Nothing needs them.
LONGEST = 60


def sleeping(marker):
    """Processes of sandboxes that sleep for so long, as this machine sees them: from inside they are hidden from others."""
    return [pid for pid in processes_with(f"sleep {marker}") if is_sleep(pid)]


def is_sleep(pid):
    try:
        return (PROC / str(pid) / "comm").read_text() == "sleep\n"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Ssh:
    """The programs of OpenSSH with the way to one sandbox."""

    def __init__(self, person, sandbox):
        self.person = person
        self.config = person.ssh_config()
        self.host = f"{sandbox.name}.navigator"

    def words(self, *options):
        """A command of ssh up to the host."""
        return ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", *options, self.host]

    def run(self, *command, options=(), check=True, **how):
        """Runs a command line in the sandbox."""
        return self.person.tool(*self.words(*options), *command, check=check, **how)

    def text(self, command, options=()):
        """What a command line prints, without the last line's end."""
        return self.run(command, options=options).stdout.decode().rstrip("\n")

    def start(self, *command, options=(), **how):
        """Starts a command line in the sandbox."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how, **self.person.become}
        return subprocess.Popen(self.words(*options) + list(command), env=self.person.environment, cwd=self.person.home, **pipes)

    def sftp(self, *lines, check=True):
        """Carries out lines of an sftp batch."""
        words = ["sftp", "-F", str(self.config), "-o", "BatchMode=yes", "-b", "-", self.host]
        return self.person.tool(*words, input="\n".join(lines).encode() + b"\n", check=check)

    def scp(self, *words, check=True, **how):
        """Copies with scp; `HOST:` stands for the sandbox."""
        words = [word.replace("HOST:", f"{self.host}:") for word in words]
        return self.person.tool("scp", "-F", str(self.config), "-o", "BatchMode=yes", *words, check=check, **how)

    @contextlib.contextmanager
    def terminal(self, *command, options=("-tt",), rows=24, columns=80):
        """Runs a command line on a terminal of this machine."""
        master, slave = pty.openpty()
        resize(master, rows, columns)
        process = subprocess.Popen(
            self.words(*options) + list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.person.environment,
            cwd=self.person.home,
            start_new_session=True,
            **self.person.become,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        screen = Screen(master, process)
        try:
            yield screen
        finally:
            process.kill()
            process.wait(20)
            os.close(master)


def resize(master, rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Screen:
    """What a terminal shows, and the keys that are typed on it."""

    def __init__(self, master, process):
        self.master, self.process, self.shown = master, process, b""

    def type(self, keys):
        """Types, as fast as it is taken; what is shown meanwhile is kept."""
        keys = keys.encode() if isinstance(keys, str) else keys
        os.set_blocking(self.master, False)
        while keys:
            readable, writable, _ = select.select([self.master], [self.master], [], LONGEST)
            assert readable or writable, "the terminal takes nothing"
            if readable:
                self._read()
            if writable:
                with contextlib.suppress(BlockingIOError):
                    keys = keys[os.write(self.master, keys[:4096]) :]

    def until(self, wanted, longest=LONGEST):
        """Waits until this is shown, and forgets everything up to it."""
        wanted = wanted.encode() if isinstance(wanted, str) else wanted
        end = time.monotonic() + longest
        while wanted not in self.shown:
            left = end - time.monotonic()
            assert left > 0, f"{wanted!r} is not shown but {self.shown[-2000:]!r}"
            readable, _, _ = select.select([self.master], [], [], left)
            if readable and not self._read():
                assert wanted in self.shown, f"{wanted!r} was not shown but {self.shown[-2000:]!r}"
        before, _, self.shown = self.shown.partition(wanted)
        return before

    def resize(self, rows, columns):
        resize(self.master, rows, columns)

    def end(self):
        """Waits for the end; the exit code."""
        end = time.monotonic() + LONGEST
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(20)

    def _read(self, longest=0.0):
        readable, _, _ = select.select([self.master], [], [], max(longest, 0))
        if not readable:
            return False
        try:
            part = os.read(self.master, 65536)
        except OSError:
            part = b""
        self.shown += part
        return bool(part)
