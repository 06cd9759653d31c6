"""Somebody who uses the command line."""
import json
import pathlib
import subprocess

# Seconds that a command may take. None needs them.
LONGEST = 60


class Person:
    """A user of a gateway: its own, or one with a certificate."""

    def __init__(self, gateway, own=False):
        self.gateway = gateway
        user = gateway.user if own else None
        # What makes a child process that user's.
        self.become = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        self.home = gateway.directory("home" if own else "elsewhere")
        self.environment = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "xterm-256color"}
        if own:
            mine = {name: value for name, value in gateway.environment.items() if name.endswith("_DIR")}
            self.environment.update(mine)
        else:
            for name in ("state", "run", "config"):
                variable = {"state": "STATE", "run": "RUNTIME", "config": "CONFIG"}[name]
                path = self.home / name
                path.mkdir(mode=0o700, exist_ok=True)
                self.environment[f"NAVIGATOR_{variable}_DIR"] = str(path)
            self._join()

    def run(self, *words, check=True, longest=LONGEST, **how):
        """Runs a command of navigator to its end."""
        how.setdefault("stdin", subprocess.DEVNULL if "input" not in how else None)
        if how["stdin"] is None:
            del how["stdin"]
        how.update(self.become)
        done = subprocess.run(
            [self.gateway.binary, *words], env=self.environment, cwd=self.home, capture_output=True, timeout=longest, **how
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr.decode()}"
        return done

    def json(self, *words):
        """What a command says as JSON."""
        return json.loads(self.run(*words, "-o", "json").stdout)

    def start(self, *words, **how):
        """Starts a command of navigator."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how, **self.become}
        return subprocess.Popen([self.gateway.binary, *words], env=self.environment, cwd=self.home, **pipes)

    def tool(self, *words, check=True, longest=LONGEST, **how):
        """Runs a program of this machine, as this user would."""
        how.update(self.become)
        done = subprocess.run(words, env=self.environment, cwd=self.home, capture_output=True, timeout=longest, **how)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr.decode()}"
        return done

    def ssh_config(self, name="*"):
        """A file by which ssh reaches sandboxes."""
        path = pathlib.Path(self.home) / "ssh.conf"
        path.write_bytes(self.run("sandbox", "ssh-config", *(["--all"] if name == "*" else [name])).stdout)
        return path

    def _join(self):
        identity = self.gateway.authority.client()
        files = {"ca": self.gateway.authority.certificate, "cert": identity.certificate, "key": identity.key}
        words = []
        for name, text in files.items():
            path = self.home / f"{name}.pem"
            path.write_bytes(text)
            path.chmod(0o600)
            words += [f"--{name}", str(path)]
        self.run("gateway", "add", "team", f"https://localhost:{self.gateway.port}", *words)
        self.run("gateway", "use", "team")
