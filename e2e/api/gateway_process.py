"""A gateway as a child process with directories of its own, and the proof that nothing is left of it."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import grpc

import wire
from client import Client, local, options
from leftovers import leftovers
from waiting import eventually

# The ordinary user that tests become when they start as root.
ORDINARY_USER = "navigator-test"
# Is started for each sandbox: hands what a supervisor is told on to the real one, and keeps a copy under the
# supervisor's process id.
CAPTURE = """#!/bin/sh
umask 077
cat > "{launches}/$$.part" && mv "{launches}/$$.part" "{launches}/$$"
exec "{binary}" "$@" < "{launches}/$$"
"""
# In the gateway's environment; must never be in a sandbox's.
LEAK = "canary-of-the-environment"


def built():
    """The binary under test."""
    path = os.environ.get("NAVIGATOR_BIN")
    assert path, "NAVIGATOR_BIN must be the path of the built binary; run the tests by `cargo xtask test`"
    return pathlib.Path(path).resolve()


class Gateway:
    """A gateway, until `end`."""

    def __init__(self, store="", user=None, authority=None, log="info", **environment):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="nav-", dir="/tmp"))
        # Sandboxes have roots and mounts in it, and other user ids.
        self.base.chmod(0o711)
        self.user = pwd.getpwnam(user) if user else None
        self.authority = authority
        self.launches = self._directory("launches")
        self.binary = self.base / "navigator"
        self._link(self.binary)
        capture = self._write("capture", CAPTURE.format(launches=self.launches, binary=self.binary))
        capture.chmod(0o755)
        for name in ("state", "run", "config", "home"):
            self._directory(name)
        self._owned(self.base)
        self.environment = {**self._environment(store, log), "NAVIGATOR_GATEWAY_SUPERVISOR": str(capture), **environment}
        self.log = self.base / "gateway.log"
        self._arguments = self._remote_access() if authority else []
        # Names of sandboxes that several tests share.
        self.kept = set()
        self._process = None
        try:
            self.start()
        except BaseException:
            self._remove()
            raise

    @property
    def socket(self):
        """Where local clients connect."""
        return self.base / "run" / "gateway.sock"

    @property
    def state(self):
        """Where everything is kept."""
        return self.base / "state"

    def start(self):
        """Starts the gateway and waits until it answers."""
        self._mark = self.log.stat().st_size if self.log.exists() else 0
        become = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [self.binary, "gateway", "run", *self._arguments],
                env=self.environment,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **become,
            )
        eventually("the gateway answers", self._answers)

    def stop(self):
        """Asks the gateway to end, and waits until it has; sandboxes go on."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(20) == 0, self.words()

    def kill(self):
        """Ends the gateway at once."""
        self._process.kill()
        self._process.wait(20)

    def end(self):
        """Removes every sandbox, ends the gateway, and makes sure that nothing is left."""
        try:
            if self._process.poll() is not None:
                self.start()
            with self.owner() as client:
                client.clean()
            self.stop()
            eventually("nothing is left", lambda: not self.left())
        except AssertionError as error:
            raise AssertionError(f"{error}\nleft: {self.left()}\n{self.words()}") from error
        finally:
            self._remove()

    def left(self):
        """What still belongs to this gateway."""
        return leftovers(self.base, self.supervisors())

    def supervisors(self):
        """Process ids of all supervisors that were ever started."""
        return [int(path.name) for path in self.launches.iterdir() if path.name.isdigit()]

    def launched(self, sandbox_id):
        """What the supervisors of a sandbox were told, oldest first, by process id."""
        found = {}
        # What is being written still has another name, and loses it at any moment.
        whole = [self.launches / str(pid) for pid in self.supervisors()]
        for path in sorted(whole, key=lambda path: path.stat().st_mtime_ns):
            launch = wire.session.Launch.FromString(path.read_bytes())
            if launch.sandbox_id == sandbox_id:
                found[int(path.name)] = launch
        return found

    def supervisor(self, sandbox_id):
        """The process id of the newest supervisor of a sandbox."""
        return list(self.launched(sandbox_id))[-1]

    def token(self, sandbox_id):
        """The newest credential of a sandbox."""
        return self.launched(sandbox_id)[self.supervisor(sandbox_id)].token

    def owner(self):
        """A client of the user that the gateway runs as, over the unix socket."""
        channel = local(self.socket)
        if self.user:
            # Who connects is asked once, when the connection is made.
            os.seteuid(self.user.pw_uid)
            try:
                grpc.channel_ready_future(channel).result(20)
            finally:
                os.seteuid(0)
        return Client(channel)

    def remote(self, identity=None, authority=None, token=None):
        """A client over TLS, with a certificate or without, and with a sandbox's credential or without."""
        trusted = (authority or self.authority).certificate
        key, certificate = (identity.key, identity.certificate) if identity else (None, None)
        credentials = grpc.ssl_channel_credentials(trusted, key, certificate)
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return Client(grpc.secure_channel(f"localhost:{self.port}", credentials, options()), metadata)

    def sandbox(self, sandbox_id):
        """A client with the newest credential of a sandbox."""
        return self.with_token(self.token(sandbox_id))

    def with_token(self, token):
        """A client with a sandbox's credential."""
        channel = local(self.socket)
        return Client(channel, [("authorization", f"Bearer {token}")])

    def words(self):
        """What the gateway has logged since it was started."""
        return self.log.read_text(errors="replace")[self._mark :]

    def directory(self, name):
        """A directory of the gateway's user, beside the gateway's own."""
        return self._directory(name)

    def _answers(self):
        assert self._process.poll() is None, f"the gateway has ended: {self.words()}"
        if not self.socket.exists():
            return False
        with self.owner() as client:
            return client.navigator.Health(wire.api.HealthRequest(), wait_for_ready=True)

    def _environment(self, store, log):
        environment = {
            "HOME": str(self.base / "home"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "NAVIGATOR_STATE_DIR": str(self.base / "state"),
            "NAVIGATOR_RUNTIME_DIR": str(self.base / "run"),
            "NAVIGATOR_CONFIG_DIR": str(self.base / "config"),
            "NAVIGATOR_GATEWAY_LOG_LEVEL": log,
            "OWN_SECRET": LEAK,
        }
        if store:
            environment["NAVIGATOR_GATEWAY_STORE"] = store
        return environment

    def _remote_access(self):
        self._directory("config/tls")
        server = self.authority.server()
        self._write("config/tls/ca.pem", self.authority.certificate.decode())
        self._write("config/tls/server.pem", (server.certificate + server.key).decode())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        return ["--listen", f"127.0.0.1:{self.port}"]

    def _link(self, path):
        try:
            os.link(built(), path)
        except OSError:
            shutil.copy(built(), path)
        path.chmod(0o755)

    def _directory(self, name):
        path = self.base / name
        path.mkdir(mode=0o700, exist_ok=True)
        return self._owned(path)

    def _write(self, name, text):
        path = self.base / name
        path.write_text(text)
        path.chmod(0o600)
        return self._owned(path)

    def _owned(self, path):
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def _remove(self):
        if self._process and self._process.poll() is None:
            self.kill()
        for pid in {int(entry.split()[1].rstrip(":")) for entry in self.left() if entry.startswith("process ")}:
            # One takes others along.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.base)
