"""Which gateway is meant, and the way to it: the same files and variables as the `navigator` program's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from navigator._errors import InvalidArgument, NotFound, Unavailable, shortened
from navigator._values import TlsConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCAL = "local"
# Seconds that a start may take: twice what the program itself waits.
_START = 40.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[^:/\[\]@\s]+):([0-9]{1,5})/?")
_INSTALL = (
    "the program `navigator` is not in PATH; install it, or name it by NAVIGATOR_BIN,"
    " or choose a gateway that runs by NAVIGATOR_GATEWAY"
)


@dataclass(frozen=True)
class Credentials:
    """What proves both sides to each other, as PEM."""

    ca: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Gateway:
    """A gateway and the way to it: a unix socket, or a host and its credentials."""

    name: str
    socket: str = ""
    host: str = ""
    port: int = 0
    credentials: Credentials | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is this user's on this machine, which is started when it does not run."""
        return self.name == LOCAL


def parse(target: str, tls: TlsConfig | None) -> Gateway:
    """A gateway by its address: `unix:PATH`, or `https://HOST:PORT` with files for TLS."""
    if target.startswith("unix:"):
        path = target.removeprefix("unix:")
        if not path.startswith("/"):
            raise InvalidArgument(f"failed to understand the address {target!r}: its path must be absolute")
        return Gateway(target, socket=path)
    if tls is None:
        raise InvalidArgument(f"a remote gateway needs tls=TlsConfig(...): {target!r}")
    host, port = _address(target)
    files = (Path(tls.ca_path), Path(tls.cert_path), Path(tls.key_path))
    try:
        credentials = Credentials(*(file.read_bytes() for file in files))
    except OSError as error:
        raise InvalidArgument(f"failed to read the credentials of the gateway: {error}") from error
    return Gateway(target, host=host, port=port, credentials=credentials)


def active() -> Gateway:
    """What NAVIGATOR_GATEWAY says, else the gateway that `navigator gateway use` chose, else the local one."""
    chosen = os.environ.get("NAVIGATOR_GATEWAY", "")
    config = _place("CONFIG", "/etc/navigator", "XDG_CONFIG_HOME", ".config")
    if chosen.startswith("unix:"):
        return parse(chosen, None)
    if "://" in chosen:
        return _by_address(config, chosen)
    return _named(config, chosen or _active_name(config))


def start() -> None:
    """Starts the local gateway, unless it runs."""
    program = os.environ.get("NAVIGATOR_BIN") or shutil.which("navigator")
    if not program:
        raise NotFound(f"failed to start the local gateway: {_INSTALL}")
    command = [program, "gateway", "start"]
    try:
        # What it says goes into a file: the gateway could keep a pipe open after its starter has ended.
        with tempfile.TemporaryFile() as said:
            started = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=_START, check=False)
            said.seek(0)
            words = said.read(8192).decode(errors="replace").strip()
    except OSError as error:
        raise NotFound(f"failed to start the local gateway by {program}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"failed to start the local gateway within {_START:.0f} s") from error
    if started.returncode != 0:
        raise Unavailable(f"failed to start the local gateway: {shortened(words)}")


def _place(kind: str, of_root: str, xdg: str, below_home: str) -> Path:
    named = _absolute(f"NAVIGATOR_{kind}_DIR")
    if named:
        return named
    if os.geteuid() == 0:
        return Path(of_root)
    home = _absolute("HOME")
    base = _absolute(xdg) or (home / below_home if home else Path(tempfile.gettempdir()))
    return base / "navigator"


def _absolute(variable: str) -> Path | None:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else None


def _socket() -> str:
    runtime = _absolute("NAVIGATOR_RUNTIME_DIR")
    if runtime is None and os.geteuid() == 0:
        runtime = Path("/run/navigator")
    if runtime is None:
        base = _absolute("XDG_RUNTIME_DIR")
        state = _place("STATE", "/var/lib/navigator", "XDG_STATE_HOME", ".local/state")
        runtime = base / "navigator" if base else state / "run"
    return str(runtime / "gateway.sock")


def _active_name(config: Path) -> str:
    try:
        return (config / "active").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return LOCAL
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"failed to read which gateway is active: {error}") from error


def _named(config: Path, name: str) -> Gateway:
    if name == LOCAL:
        return Gateway(LOCAL, socket=_socket())
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"failed to use the name {name!r} of a gateway")
    path = config / "gateways" / f"{name}.toml"
    try:
        file: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        host, port = _address(file["address"])
        texts = [str(file[key]).encode() for key in ("ca", "certificate", "key")]
    except FileNotFoundError:
        raise NotFound(f"failed to find the gateway `{name}`; `navigator gateway list` shows all") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"failed to read {path}: {error}") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        # The text around the fault may be a key.
        raise InvalidArgument(f"failed to understand {path}") from None
    return Gateway(name, host=host, port=port, credentials=Credentials(*texts))


def _by_address(config: Path, address: str) -> Gateway:
    wanted = _address(address)
    for path in sorted((config / "gateways").glob("*.toml")):
        if _NAME.fullmatch(path.stem) and path.stem != LOCAL:
            gateway = _named(config, path.stem)
            if (gateway.host, gateway.port) == wanted:
                return gateway
    raise NotFound(f"failed to find a gateway with the address {address}, and so its certificates")


def _address(text: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text)
    port = int(found[2]) if found else 0
    if not found or not 0 < port < 65536:
        raise InvalidArgument(f"failed to understand the address {text!r}; write https://HOST:PORT")
    return found[1].strip("[]"), port
