"""A gateway of one test process, with directories of its own, and the proof that nothing is left of it."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from certificates import Authority
from leftovers import leftovers
from navigator import SandboxClient, TlsConfig, Unavailable
from waiting import eventually


def built():
    """The binary under test."""
    path = os.environ.get("NAVIGATOR_BIN")
    assert path, "NAVIGATOR_BIN must be the path of the built binary; run the tests by `cargo xtask test`"
    return pathlib.Path(path).resolve()


class Machine:
    """Directories that a user has, and a gateway in them, until `end`."""

    def __init__(self, runs=True):
        program = built()
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="nav-", dir="/tmp"))
        # Sandboxes have roots and mounts in it, and other user ids.
        self.base.chmod(0o711)
        self.authority = Authority()
        for name in ("state", "run", "config", "config/tls", "home", "bin"):
            (self.base / name).mkdir(mode=0o700)
        self.binary = self.base / "bin" / "navigator"
        try:
            os.link(program, self.binary)
        except OSError:
            shutil.copy(program, self.binary)
        self._certificates()
        self._process = None
        try:
            if runs:
                self.start()
        except BaseException:
            self.end()
            raise

    def _certificates(self):
        server, user = self.authority.server(), self.authority.client()
        self._write("config/tls/ca.pem", self.authority.certificate)
        self._write("config/tls/server.pem", server.certificate + server.key)
        paths = [self._write("ca.pem", self.authority.certificate)]
        paths += [self._write("user.pem", user.certificate), self._write("user.key", user.key)]
        self.tls = TlsConfig(*paths)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def _write(self, name, data):
        path = self.base / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    @property
    def socket(self):
        """Where local clients connect."""
        return self.base / "run" / "gateway.sock"

    @property
    def places(self):
        """Variables that lead programs of this user to these directories."""
        names = {"STATE": "state", "RUNTIME": "run", "CONFIG": "config"}
        return {f"NAVIGATOR_{name}_DIR": str(self.base / directory) for name, directory in names.items()}

    @property
    def environment(self):
        """The environment of a program on this machine."""
        path = f"{self.base / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        return {"HOME": str(self.base / "home"), "PATH": path, **self.places}

    def navigator(self, *words):
        """Runs the program and returns what it prints."""
        command = [self.binary, *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        """Starts the gateway and waits until it answers."""
        with open(self.base / "gateway.log", "ab") as log:
            self._process = subprocess.Popen(
                [self.binary, "gateway", "run", "--listen", f"127.0.0.1:{self.port}"],
                env=self.environment,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually("the gateway answers", self._answers)

    def _answers(self):
        assert self._process.poll() is None, f"the gateway has ended: {self.words()}"
        try:
            with self.client() as client:
                return client.health()
        except Unavailable:
            return None

    def words(self):
        """What the gateway has logged."""
        return (self.base / "gateway.log").read_text(errors="replace")

    def stop(self):
        """Ends the gateway; sandboxes go on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(20) == 0, self.words()

    def client(self, **how):
        """A client over the unix socket."""
        return SandboxClient(f"unix:{self.socket}", **how)

    def end(self):
        """Removes every sandbox, ends the gateway, and makes sure that nothing is left."""
        try:
            if self._process is None or self._process.poll() is not None:
                self.navigator("gateway", "start")
            with self.client() as client:
                for sandbox in client.list(limit=1000):
                    client.delete(sandbox.name)
                for sandbox in client.list(limit=1000):
                    client.wait_deleted(sandbox.name)
            self.stop()
            self.navigator("gateway", "stop")
            eventually("nothing is left", lambda: not leftovers(self.base, []))
        except AssertionError as error:
            raise AssertionError(f"{error}\nleft: {leftovers(self.base, [])}") from error
        finally:
            shutil.rmtree(self.base, ignore_errors=True)
