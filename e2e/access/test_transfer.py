"""Files between this machine and a sandbox, by `cp` and `sync`."""
import hashlib
import os
import signal
import urllib.request

import pytest

from waiting import eventually

BIG = 64 << 20


@pytest.fixture
def here(anybody, request):
    path = anybody.home / f"files-{abs(hash(request.node.name))}"
    path.mkdir()
    return path


@pytest.fixture
def inside(owner, sandbox):
    """Runs a line of shell in the sandbox."""
    return lambda script: owner.shell(sandbox, script).text


def cp(person, *words, **how):
    return person.run("sandbox", "cp", *map(str, words), **how)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_comes_back_as_it_was(anybody, sandbox, here, inside):
    (here / "sent").write_bytes(os.urandom(BIG))
    done = cp(anybody, here / "sent", f"{sandbox.name}:copied")
    assert b"1 file, 64.0 MiB" in done.stderr
    assert inside("sha256sum copied").split()[0] == digest(here / "sent")
    cp(anybody, f"{sandbox.name}:copied", here / "back")
    assert digest(here / "back") == digest(here / "sent")
    assert not list(here.glob("*navigator-part*"))
    inside("rm copied")


def test_a_tree_comes_back_as_it_was(anybody, sandbox, here, inside):
    tree = here / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    for name in ("plain", "with space", "grün", "-x", "new\nline", "\x1b[31m"):
        (tree / "a" / name).write_text(name)
    (tree / "a" / "b" / "script").write_text("#!/bin/sh\n")
    (tree / "a" / "b" / "script").chmod(0o755)
    (tree / "link").symlink_to("a/plain")
    inside("mkdir -p into")
    cp(anybody, "-p", tree, f"{sandbox.name}:into")
    cp(anybody, "-p", f"{sandbox.name}:into/tree", here / "back")
    assert anybody.tool("diff", "-r", "--no-dereference", str(tree), str(here / "back")).stdout == b""
    assert (here / "back/a/b/script").stat().st_mode & 0o777 == 0o755
    assert os.readlink(here / "back/link") == "a/plain"
    inside("rm -r into")


def test_several_files_go_into_a_directory(anybody, sandbox, here, inside):
    (here / "one").write_text("1")
    (here / "two").write_text("2")
    cp(anybody, here / "one", here / "two", f"{sandbox.name}:")
    assert inside("cat one two; rm one two") == "12"
    done = cp(anybody, here / "one", here / "two", f"{sandbox.name}:name", check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("words", [["a", "b"], ["x:a", "x:b"], ["x:a", "y:b", "."], ["x:a", "b", "."]])
def test_what_has_no_direction_is_refused(person, words):
    done = cp(person, *words, check=False)
    assert done.returncode == 2 and b"sandbox" in done.stderr


def test_what_is_not_there_is_said(anybody, sandbox, here):
    done = cp(anybody, here / "nothing", f"{sandbox.name}:x", check=False)
    assert done.returncode == 125 and b"nothing" in done.stderr
    done = cp(anybody, f"{sandbox.name}:/etc/shadow", here / "x", check=False)
    assert done.returncode == 125 and not (here / "x").exists()
    done = cp(anybody, here, f"{sandbox.name}:/usr/x", check=False)
    assert done.returncode == 125


def test_an_interrupted_copy_goes_on(anybody, sandbox, here, inside):
    (here / "sent").write_bytes(os.urandom(4 * BIG))
    process = anybody.start("sandbox", "cp", str(here / "sent"), f"{sandbox.name}:resumed")
    eventually("it has begun", lambda: inside("ls *navigator-part* 2>/dev/null; ls resumed 2>/dev/null") != "", 10)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    cp(anybody, here / "sent", f"{sandbox.name}:resumed")
    assert inside("sha256sum resumed").split()[0] == digest(here / "sent")
    assert inside("ls; rm resumed").count("navigator-part") == 0


def test_a_sync_moves_what_differs(anybody, sandbox, here, inside):
    tree = here / "project"
    (tree / "src").mkdir(parents=True)
    for number in range(50):
        (tree / "src" / str(number)).write_text(str(number))
    (tree / ".gitignore").write_text("build/\n*.log\n")
    (tree / "build").mkdir()
    (tree / "build" / "out").write_text("not this")
    (tree / "x.log").write_text("nor this")

    def sync(*more):
        return anybody.run("sandbox", "sync", str(tree), f"{sandbox.name}:project", *more).stderr.decode()

    assert "51 files" in sync()
    assert inside("ls project project/src | grep -c .") and inside("ls project") == "src"
    assert "0 files" in sync()
    (tree / "src" / "7").write_text("changed")
    (tree / "src" / "8").unlink()
    assert "1 file," in sync()
    assert inside("cat project/src/7; ls project/src/8") == "changedproject/src/8"
    inside("mkdir project/build; touch project/build/mine")
    assert "1 deleted" in sync("--delete")
    assert inside("ls project/src/8 project/build 2>/dev/null") == "project/build:\nmine"
    inside("echo result > project/result; rm -r project/build")
    anybody.run("sandbox", "sync", f"{sandbox.name}:project", str(here / "down"))
    assert (here / "down" / "result").read_text() == "result\n"
    inside("rm -r project")


def test_a_watched_directory_is_followed(anybody, sandbox, here, inside):
    tree = here / "watched"
    tree.mkdir()
    (tree / "first").write_text("1")
    process = anybody.start("sandbox", "sync", str(tree), f"{sandbox.name}:watched", "--watch")
    eventually("it is there", lambda: inside("cat watched/first 2>/dev/null") == "1")
    (tree / "second").write_text("2")
    eventually("the second is there", lambda: inside("cat watched/second 2>/dev/null") == "2")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    inside("rm -r watched")


def test_links_of_the_sandbox_lead_nowhere_here(anybody, sandbox, here, inside):
    (here / "secret").write_text("mine")
    inside(f"mkdir evil; ln -s {here} evil/out; ln -s /etc/passwd evil/passwd; ln -s ../../.. evil/up")
    cp(anybody, f"{sandbox.name}:evil", here / "got", check=False)
    inside("rm evil/out; mkdir evil/out; echo theirs > evil/out/secret")
    cp(anybody, f"{sandbox.name}:evil", here / "got", check=False)
    assert (here / "secret").read_text() == "mine"
    for link in (here / "got").rglob("*"):
        assert not link.is_symlink() or (here / "got").resolve() in link.resolve().parents, link
    inside("rm -r evil")


def test_names_of_the_sandbox_command_no_terminal(anybody, sandbox, here, inside):
    inside("mkdir names; mkfifo \"names/$(printf 'a\\033[31mb\\nc')\"")
    done = cp(anybody, f"{sandbox.name}:names", here / "names")
    assert b"left out" in done.stderr and b"\x1b" not in done.stderr, done.stderr
    inside("rm -r names")


def test_create_uploads_and_forwards(person, owner):
    (person.home / "upload").mkdir(exist_ok=True)
    (person.home / "upload" / "page").write_text("hello")
    policy = person.home / "policy.yaml"
    policy.write_text(
        "version: 1\nfilesystem_policy: {read_only: [/usr, /bin, /lib, /lib64, /etc, /proc], read_write: [/sandbox, /tmp]}\n"
        "network_policies:\n  x: {endpoints: [{host: a.example, port: 443}], binaries: [{path: /usr/bin/curl}]}\n"
    )
    words = ["--upload", "upload", "--forward", "0:8000", "--policy", str(policy), "-T"]
    serve = "cat upload/page; exec python3 -m http.server --bind 127.0.0.1 8000 -d upload 2>&1"
    process = person.start("sandbox", "create", "furnished", *words, "--", "timeout", "20", "sh", "-c", serve)
    forwarded = eventually("it is forwarded", lambda: person.json("sandbox", "forwards"))
    address = forwarded[0]["local"]
    def page():
        try:
            return urllib.request.urlopen(f"http://{address}/page", timeout=5).read()
        except OSError:
            return None

    assert eventually("the page is there", page) == b"hello"
    process.send_signal(signal.SIGTERM)
    assert b"hello" in process.communicate(timeout=20)[0]
    owner.delete("furnished")
    eventually("nothing is forwarded", lambda: not person.json("sandbox", "forwards"))
