"""Files in and out of sandboxes."""

import os
import stat

import pytest
from navigator import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, SandboxError


def test_what_is_written_is_read(any_client, twin):
    with twin.sandbox(any_client) as sandbox:
        for data in (b"", b"\0\xff", os.urandom(3_000_001)):
            sandbox.files.write("/tmp/file", data)
            assert sandbox.files.read("/tmp/file") == data
        sandbox.files.write("text", "ä\n", mode=0o750)
        assert sandbox.exec(["stat", "-c", "%a %s %U", "/sandbox/text"]).stdout == "750 3 sandbox\n"


def test_a_directory_is_listed(sandbox):
    sandbox.exec(["sh", "-c", "mkdir -p d/sub; printf abc >d/file; ln -s file d/link; mkfifo d/pipe; touch 'd/a b\nc'"])
    entries = sandbox.files.list("d")
    assert [(entry.name, entry.kind) for entry in entries] == [
        ("a b\nc", "file"),
        ("file", "file"),
        ("link", "symlink"),
        ("pipe", "other"),
        ("sub", "directory"),
    ]
    assert (entries[1].size, entries[1].mode) == (3, 0o644)
    assert {entry.name for entry in sandbox.files.list()} >= {"d"}


def test_failures_say_what_they_are(sandbox):
    with pytest.raises(NotFound, match="nowhere"):
        sandbox.files.read("nowhere")
    with pytest.raises(NotFound):
        sandbox.files.list("nowhere")
    with pytest.raises((PermissionDenied, SandboxError)):
        sandbox.files.write("/etc/file", "x")
    with pytest.raises(SandboxError):
        sandbox.files.read(".")
    for path in ("", "a\0b", "dir/", ".."):
        with pytest.raises(InvalidArgument):
            sandbox.files.write(path, "x")


def test_a_file_is_replaced_whole_or_not_at_all(sandbox):
    sandbox.files.write("file", "before")
    sandbox.exec(["sh", "-c", "mkdir full; echo there >full/file; chmod 500 full"])
    with pytest.raises(SandboxError):
        sandbox.files.write("full/file", "after")
    assert sandbox.files.read("full/file") == b"there\n"
    sandbox.files.write("file", "after")
    names = {entry.name for entry in sandbox.files.list()}
    assert sandbox.files.read("file") == b"after" and not any(name.endswith(".part") for name in names)


def test_what_is_read_is_bounded(sandbox):
    sandbox.exec(["sh", "-c", "head -c 1000000 /dev/zero >big"])
    with pytest.raises(ResourceExhausted, match="download"):
        sandbox.files.read("big", max_bytes=999_999)
    assert len(sandbox.files.read("big", max_bytes=1_000_000)) == 1_000_000


def test_a_tree_goes_up_and_comes_down(sandbox, tmp_path):
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "file").write_bytes(os.urandom(700_000))
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("deep/er/file")
    (source / "deep" / "up").symlink_to("../run")
    sandbox.files.upload(source, "copy")
    sandbox.files.upload(source, "copy")
    assert sandbox.exec(["sh", "-c", "test -x copy/run && readlink copy/link copy/deep/up"]).stdout == "deep/er/file\n../run\n"
    for _ in range(2):
        assert sandbox.files.download("copy", tmp_path / "back") == []
    back = tmp_path / "back"
    assert (back / "deep/er/file").read_bytes() == (source / "deep/er/file").read_bytes()
    assert (back / "link").read_bytes() == (source / "link").read_bytes()
    assert os.readlink(back / "deep/up") == "../run"
    assert stat.S_IMODE((back / "run").stat().st_mode) == 0o755
    assert sorted(path.name for path in back.rglob("*")) == sorted(path.name for path in source.rglob("*"))


def test_a_single_file_goes_up_and_comes_down(sandbox, tmp_path, monkeypatch):
    (tmp_path / "one").write_text("1")
    sandbox.files.upload(tmp_path / "one", "two")
    monkeypatch.chdir(tmp_path)
    sandbox.files.download("two", "three")
    assert (tmp_path / "three").read_text() == "1"
    with pytest.raises(InvalidArgument):
        sandbox.files.download("two", tmp_path / "nowhere" / "x")
    with pytest.raises(SandboxError, match="one"):
        sandbox.files.download(".", tmp_path / "one")
    assert (tmp_path / "one").read_text() == "1"
    with pytest.raises(InvalidArgument):
        sandbox.files.upload(tmp_path / "nothing", "x")


def test_fifty_megabytes_go_up_and_come_down(any_client, twin, tmp_path):
    data = os.urandom(1_000_003) * 50
    (tmp_path / "big").write_bytes(data)
    with twin.sandbox(any_client) as sandbox:
        sandbox.files.upload(tmp_path / "big", "big")
        sandbox.files.download("big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_links_that_lead_out_are_left_out(sandbox, tmp_path):
    script = """mkdir -p t/z t/p/q/r; cd t
ln -s /etc/passwd absolute; ln -s ../outside up; ln -s ../../../../z p/q/r/out; ln -s ../../../z p/q/r/s
ln -s p/q/r/s/../../.. through; ln -s . self; mkfifo pipe; ln -s z fine
"""
    sandbox.exec(["sh", "-c", script], check=True)
    left = sandbox.files.download("t", tmp_path / "t")
    assert sorted(left) == ["absolute", "p/q/r/out", "pipe", "through", "up"]
    for path in (tmp_path / "t").rglob("*"):
        assert path.resolve().is_relative_to(tmp_path / "t")


def test_links_of_this_machine_are_not_followed(sandbox, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "d").symlink_to(tmp_path / "precious")
    sandbox.exec(["sh", "-c", "mkdir -p t/d; echo theirs >t/d/file"])
    with pytest.raises(SandboxError):
        sandbox.files.download("t", tmp_path / "t")
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    (tmp_path / "t" / "d").unlink()
    (tmp_path / "t" / "d").mkdir()
    (tmp_path / "t" / "d" / "file").symlink_to(tmp_path / "precious" / "file")
    sandbox.files.download("t", tmp_path / "t")
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    assert (tmp_path / "t" / "d" / "file").read_text() == "theirs\n"


def test_special_permissions_do_not_come_down(sandbox, tmp_path):
    sandbox.exec(["sh", "-c", "mkdir t; touch t/f; chmod 1755 t/f"], check=True)
    sandbox.files.download("t", tmp_path / "t")
    assert stat.S_IMODE((tmp_path / "t/f").stat().st_mode) == 0o755


def test_what_is_downloaded_is_bounded_and_leaves_no_part(sandbox, tmp_path):
    sandbox.exec(["sh", "-c", "mkdir t; head -c 600000 /dev/zero >t/a; head -c 600000 /dev/zero >t/b"])
    with pytest.raises(ResourceExhausted, match="max_bytes"):
        sandbox.files.download("t", tmp_path / "t", max_bytes=1_000_000)
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["a"]
    deep = "/".join(["d"] * 80)
    sandbox.exec(["mkdir", "-p", f"e/{deep}"])
    with pytest.raises(ResourceExhausted, match="each other"):
        sandbox.files.download("e", tmp_path / "e")


def test_names_of_any_bytes_come_down(sandbox, tmp_path):
    sandbox.exec(["sh", "-c", r"mkdir t; printf x >t/$(printf 'a\377b')"], check=True)
    sandbox.files.download("t", tmp_path / "t")
    assert os.listdir(os.fsencode(tmp_path / "t")) == [b"a\xffb"]
