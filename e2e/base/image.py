"""The base image, built as everybody builds it but from a debootstrap layer, and kept until what goes into it changes."""
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile

CLONE = pathlib.Path(__file__).parents[2]
CONTEXT = CLONE / "deploy/docker"
# The SDK, which the image is given as a wheel.
SDK = CLONE / "python"
# What a clone may have besides: wheels that somebody has built, and what Python has compiled.
UNTRACKED = ("*.whl", "*.pyc", "__pycache__")
DEBIAN = "bookworm"
OFFICIAL = "http://deb.debian.org/debian"
# One agent stands for all: each is a few hundred megabytes.
AGENTS = "@anthropic-ai/claude-code"
TAG = "base"
# Seconds that a step may take; registries may be slow.
LONGEST = 900


def layout():
    """The directory with the image as an OCI layout. Only root can make it."""
    kept = pathlib.Path(os.environ["NAVIGATOR_TEST_IMAGES"])
    kept.mkdir(parents=True, exist_ok=True)
    with open(kept / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = kept / f"base-{_key()}"
        if not wanted.exists():
            for old in kept.glob("base-*"):
                shutil.rmtree(old)
            _build(_debian(kept), wanted)
    return wanted


def _key():
    """Changes with everything that goes into the image but the registries' packages."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for path in _inputs():
        digest.update(f"{path.relative_to(CLONE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _inputs():
    found = [*CONTEXT.rglob("*"), SDK / "pyproject.toml", *(SDK / "navigator").rglob("*")]
    return sorted(path for path in found if path.is_file() and not any(path.match(pattern) for pattern in UNTRACKED))


def _debian(kept):
    """An archive of the smallest Debian, without a trace of where it came from."""
    archive = kept / f"{DEBIAN}.tar"
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=kept) as directory:
        root = pathlib.Path(directory) / "root"
        _run("debootstrap", "--variant=minbase", DEBIAN, root, _mirror())
        (root / "etc/apt/sources.list").write_text(f"deb {OFFICIAL} {DEBIAN} main\n")
        for name in ("etc/resolv.conf", "etc/hostname", "var/log/bootstrap.log"):
            (root / name).unlink(missing_ok=True)
        for name in ("var/lib/apt/lists", "var/cache/apt/archives"):
            shutil.rmtree(root / name)
            (root / name / "partial").mkdir(parents=True)
        part = pathlib.Path(directory) / "part"
        _run("tar", "-C", root, "--numeric-owner", "-cf", part, ".")
        part.rename(archive)
    return archive


def _build(debian, to):
    with tempfile.TemporaryDirectory(dir=to.parent) as directory:
        here = pathlib.Path(directory)
        first = here / "first"
        first.mkdir()
        os.link(debian, first / "debian.tar")
        (first / "Dockerfile").write_text("FROM scratch\nADD debian.tar /\n")
        store = ["buildah", "--storage-driver", "vfs", "--root", here / "store", "--runroot", here / "run"]
        _run(*store, "bud", "--quiet", "--tag", "localhost/debian", first)
        context = here / "context"
        shutil.copytree(CONTEXT, context, ignore=shutil.ignore_patterns(*UNTRACKED))
        shutil.copytree(SDK, here / "sdk", ignore=shutil.ignore_patterns(*UNTRACKED))
        _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", context / "packages", here / "sdk")
        words = ["--build-arg", "BASE=localhost/debian", "--build-arg", f"AGENTS={AGENTS}", *_secrets(here)]
        part = here / "layout"
        _run(*store, "bud", "--isolation", "chroot", *words, "--file", context / "Dockerfile.base", "--tag", "made", context)
        _run(*store, "push", "--quiet", "localhost/made", f"oci:{part}:{TAG}")
        part.rename(to)


def _secrets(here):
    """Where this machine takes packages from, and whom it trusts: for the time of the build."""
    texts = {"apt": f"deb {_mirror()} {DEBIAN} main\n", "settings": _settings()}
    texts["roots"] = pathlib.Path(_roots()).read_text()
    for name, text in texts.items():
        (here / name).write_text(text)
        yield from ("--secret", f"id={name},src={here / name}")


def _settings():
    """This machine's registries, as variables of a shell."""
    pip = [sys.executable, "-m", "pip", "config", "get"]
    asked = {
        "PIP_INDEX_URL": [*pip, "global.index-url"],
        "PIP_EXTRA_INDEX_URL": [*pip, "global.extra-index-url"],
        "PIP_TRUSTED_HOST": [*pip, "global.trusted-host"],
        "NPM_CONFIG_REGISTRY": ["npm", "config", "get", "registry"],
    }
    answers = {name: os.environ.get(name) or _answer(words) for name, words in asked.items()}
    return "".join(f"export {name}='{answer}'\n" for name, answer in answers.items() if answer)


def _answer(words):
    """What a program says, or nothing when it knows nothing."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST)
    return done.stdout.strip() if done.returncode == 0 else ""


def _roots():
    return os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"


def _mirror():
    """The mirror that this machine uses when it is a Debian itself."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        return OFFICIAL
    listed = _answer(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"])
    sources = [line.split() for line in listed.splitlines()]
    own = [uri for suite, uri in sources if suite == release.get("VERSION_CODENAME")]
    return own[0].rstrip("/") if own else OFFICIAL


def _run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 0, f"{words[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
