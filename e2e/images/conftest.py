"""What the tests are given: people with a gateway of their own, root and an ordinary user, and an image."""
import itertools
import json
import os
import pathlib
import platform
import subprocess
import sys
import tarfile

import pytest

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "api"))

import layout
import root_filesystem
from gateway_process import ORDINARY_USER, Gateway

# Seconds that a command may take. None needs them.
LONGEST = 60
PROGRAMS = "sh true cat ls mkdir rm mv ln touch id readlink env stat chmod setfattr".split()
POLICY = """
version: 1
filesystem_policy:
  read_only: [/usr, /bin, /lib, /lib64, /etc, /app]
  read_write: [/sandbox, /tmp, /srv, /srv/a/bin]
"""
_numbers = itertools.count()


class Owner:
    """A user of this machine with a gateway and a store of images."""

    def __init__(self, user):
        self.gateway = Gateway(user=user)
        self.home = self.gateway.directory("owner")
        mine = {name: value for name, value in self.gateway.environment.items() if name.endswith("_DIR")}
        self.environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TERM": "xterm", **mine}
        own = self.gateway.user
        self.become = {"user": own.pw_uid, "group": own.pw_gid, "extra_groups": []} if own else {}

    def run(self, *words, check=True, **how):
        """Runs a command of navigator to its end."""
        how = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": LONGEST, **self.become, **how}
        done = subprocess.run([self.gateway.binary, *words], env=self.environment, cwd=self.home, **how)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr.decode()}"
        return done

    def shell(self, sandbox, script, check=True):
        """What a shell in a sandbox prints."""
        done = self.run("sandbox", "exec", sandbox, "--", "sh", "-c", script, check=check)
        return done.stdout.decode() if check else done

    def create(self, *words, image="tools:1"):
        """A sandbox of an image, ready."""
        name = f"box{next(_numbers)}"
        self.run("sandbox", "create", name, "--from", image, *words, "--", "id")
        return name

    def restart(self, sandbox):
        """Ends everything in a sandbox, and starts it again."""
        self.run("sandbox", "stop", sandbox)
        done = self.run("sandbox", "start", sandbox, check=False)
        if done.returncode == 0:
            self.run("sandbox", "wait", sandbox)
        return done

    def number(self):
        """A number that nobody else has."""
        return next(_numbers)

    def layers(self):
        """Everything in the store's layers: what, when and how much."""
        found = {}
        for path in sorted((self.gateway.state / "images/layers").rglob("*")):
            stat = path.lstat()
            found[path] = (stat.st_mode, stat.st_uid, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return found

    def bring(self, directory, name):
        """Imports an image under a name."""
        self.run("image", "import", f"oci:{directory}", "--name", name)

    def image(self, layers, name, **config):
        """Makes an image and imports it."""
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        directory = layout.write(self.gateway.directory(f"layout{next(_numbers)}"), layers, machine, **config)
        subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
        self.bring(directory, name)

    def json(self, *words):
        """What a command says as JSON."""
        return json.loads(self.run(*words, "-o", "json").stdout)


def base(directory):
    """The lowest layer: a small system, and what the layer above changes."""
    root_filesystem.make(directory, POLICY, [f"/usr/bin/{name}" for name in PROGRAMS])

    def fill(archive):
        def mine(entry):
            entry.uid = entry.gid = 1000 if entry.name.startswith(("sandbox", "srv")) else 0
            return entry

        for name in sorted(path.name for path in directory.iterdir()):
            archive.add(directory / name, name, filter=mine)
        for name in ("opt", "opt/secret", "opt/secret/bin", "app", "srv", "srv/data", "etc/old"):
            layout.add(archive, name, uid=1000, gid=1000)
        layout.add(archive, "opt/secret/key", "ungranted\n")
        layout.add(archive, "etc/gone", "below\n")
        layout.add(archive, "etc/old/below", "below\n")
        layout.add(archive, "sandbox/from-image", "hello\n", uid=1000, gid=1000)
        layout.add(archive, "srv/data/kept", "data\n", uid=1000, gid=1000)
        layout.add(archive, "app/suid", "#!/bin/sh\n", mode=0o6755)

    return layout.layer(fill)


def changes():
    """The layer above: a file and what was in a directory are gone."""

    def fill(archive):
        layout.add(archive, "etc/.wh.gone", "")
        layout.add(archive, "etc/old")
        layout.add(archive, "etc/old/.wh..wh..opq", "")
        layout.add(archive, "etc/old/above", "above\n")
        layout.add(archive, "app/tool", "#!/usr/bin/sh\necho tool\n")
        layout.add(archive, "app/link", kind=tarfile.SYMTYPE, linkname="/opt/secret")

    return layout.layer(fill)


ENVIRONMENT = ["PATH=/app:/usr/bin:/bin", "FLAVOUR=vanilla", "HOME=/root", "NAVIGATOR_SANDBOX_NAME=other", "SSL_CERT_FILE=/x"]


@pytest.fixture(scope="session")
def base_layer(tmp_path_factory):
    """The lowest layer."""
    return base(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="session", params=[None, pytest.param(ORDINARY_USER, marks=pytest.mark.needs_root)], ids=["self", "user"])
def owner(request, base_layer):
    """Somebody with the image `tools:1`."""
    owner = Owner(request.param)
    owner.image([base_layer, changes()], "tools:1", Env=ENVIRONMENT)
    yield owner
    owner.gateway.end()


@pytest.fixture
def sandbox(owner):
    """A sandbox of that image with the image's own policy."""
    name = owner.create()
    yield name
    owner.run("sandbox", "delete", name, "-y")
