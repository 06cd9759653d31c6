"""Files by OpenSSH's sftp and scp, and by rsync."""
import hashlib
import os

import pytest

from shell import Ssh

BIG = 20 << 20


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


@pytest.fixture
def here(person, request):
    path = person.home / request.node.name.replace("/", "-")
    path.mkdir()
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sftp_does_what_people_ask_of_it(ssh, here):
    (here / "one").write_bytes(os.urandom(BIG))
    done = ssh.sftp(
        "pwd",
        "mkdir s",
        f"put {here}/one s/one",
        f"get s/one {here}/two",
        "rename s/one s/three",
        "symlink three s/link",
        "ln s/three s/hard",
        "chmod 640 s/three",
        "ls -la s",
        f"get s/link {here}/four",
        "rm s/link",
        "rm s/three",
        "rm s/hard",
        "rmdir s",
        "df /sandbox",
    )
    assert b"Remote working directory: /sandbox" in done.stdout
    assert b"-rw-r-----" in done.stdout
    assert digest(here / "one") == digest(here / "two") == digest(here / "four")


@pytest.mark.parametrize("path", ["/etc/shadow", "/root/x", "/proc/1/mem", "../../etc/shadow", "/.navigator/canary"])
def test_sftp_reads_what_the_sandbox_may_read(ssh, here, path):
    done = ssh.sftp(f"get {path} {here}/taken", check=False)
    assert done.returncode != 0 and not (here / "taken").exists()


@pytest.mark.parametrize("path", ["/etc/x", "/usr/bin/x", "/x", "/proc/self/x", "/sys/x"])
def test_sftp_writes_where_the_sandbox_may_write(ssh, here, path):
    (here / "x").write_text("x")
    assert ssh.sftp(f"put {here}/x {path}", check=False).returncode != 0


@pytest.mark.parametrize("mode", [["-s"], ["-O"]])
def test_scp_copies_trees_both_ways(ssh, here, mode):
    tree = here / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file with spaces").write_bytes(os.urandom(1 << 20))
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o755)
    ssh.run("rm -rf copied")
    ssh.scp(*mode, "-rp", str(tree), "HOST:copied")
    ssh.scp(*mode, "-rp", "HOST:copied", str(here / "back"))
    assert digest(here / "back" / "below" / "file with spaces") == digest(tree / "below" / "file with spaces")
    assert (here / "back" / "script").stat().st_mode & 0o777 == 0o755
    assert int((here / "back" / "script").stat().st_mtime) == int((tree / "script").stat().st_mtime)


def test_rsync_of_ten_thousand_files(ssh, here, person):
    tree = here / "tree"
    for number in range(100):
        directory = tree / str(number)
        directory.mkdir(parents=True)
        for name in range(100):
            (directory / f"{name}").write_text(f"{number}/{name}\n")
    words = ["rsync", "-a", "--delete", "-e", f"ssh -F {ssh.config}"]
    person.tool(*words, f"{tree}/", f"{ssh.host}:many/", longest=120)
    assert ssh.text("find many -type f | wc -l") == "10000"
    (tree / "0" / "0").unlink()
    (tree / "0" / "1").write_text("changed\n")
    person.tool(*words, f"{tree}/", f"{ssh.host}:many/", longest=120)
    assert ssh.text("find many -type f | wc -l; cat many/0/1") == "9999\nchanged"
    person.tool(*words, f"{ssh.host}:many/", f"{here}/back/", longest=120)
    assert person.tool("diff", "-r", str(tree), str(here / "back")).stdout == b""
    ssh.run("rm -rf many")
