"""A PostgreSQL server on a unix socket in a directory of its own."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from waiting import eventually

# Where Debian puts the programs of each version.
VERSIONS = pathlib.Path("/usr/lib/postgresql")
# The server refuses to be root's; Debian's package makes this user.
USER = "postgres"
ADMINISTRATOR = "navigator"


class Postgres:
    """A server, until `end`."""

    def __init__(self):
        complete = [path.parent for path in VERSIONS.glob("*/bin/initdb")]
        assert complete, "PostgreSQL's programs are missing; run `apt-get install postgresql`"
        self._programs = max(complete, key=lambda path: int(path.parent.name))
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="nav-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, USER, USER)
        self._databases = 0
        made = ["initdb", "-D", self.directory / "data", "-U", ADMINISTRATOR, "--auth=trust"]
        self._run(*made, "--encoding=UTF8", "--locale=C", "--no-sync")
        self.start()

    def database(self):
        """Makes an empty database and returns its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self._run("createdb", "-h", self.directory, "-U", ADMINISTRATOR, name)
        host = str(self.directory).replace("/", "%2F")
        return f"postgres://{ADMINISTRATOR}@{host}/{name}"

    def stop(self):
        """Stops the server at once; its files stay."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(20)

    def end(self):
        """Stops the server and removes its files."""
        self.stop()
        shutil.rmtree(self.directory)

    def start(self):
        """Starts the server on the files that it has."""
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        options += ["-c", "dynamic_shared_memory_type=mmap"]
        command = self._command("postgres", "-D", self.directory / "data", "-k", self.directory, *options)
        log = open(self.directory / "log", "wb")
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        ready = self._command("pg_isready", "-q", "-h", self.directory)
        eventually("PostgreSQL answers", lambda: subprocess.run(ready, cwd="/").returncode == 0)

    def _command(self, program, *words):
        command = [self._programs / program, *words]
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
            command = [*become, *command]
        return [str(word) for word in command]

    def _run(self, *words):
        done = subprocess.run(self._command(*words), capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, f"{words[0]}: {done.stderr}"
