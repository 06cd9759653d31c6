"""Sandboxes of images: what they have, what they keep, and what an agent leaves behind for its next start."""
import pytest

import layout
from waiting import eventually


def test_layers_lie_over_each_other_as_their_maker_meant(owner, sandbox):
    seen = owner.shell(sandbox, "ls /etc/gone /etc/old; cat /etc/old/above from-image; tool; ls /srv/data", check=False)
    assert seen.stdout.decode().split() == ["/etc/old:", "above", "above", "hello", "tool", "kept"], seen.stderr.decode()
    assert b"/etc/gone" in seen.stderr


def test_a_run_has_the_image_and_leaves_nothing(owner):
    before = owner.layers()
    ran = owner.run("run", "--from", "tools:1", "--", "sh", "-c", "echo x >> from-image; cat from-image; id -un; echo $FLAVOUR")
    assert ran.stdout.split() == [b"hello", b"x", b"sandbox", b"vanilla"]
    again = owner.run("run", "--from", "tools:1", "--", "cat", "from-image")
    assert again.stdout == b"hello\n" and owner.layers() == before


def test_the_images_environment_is_there_and_loses_against_the_sandboxes(owner, sandbox):
    said = dict(line.split("=", 1) for line in owner.shell(sandbox, "env").splitlines())
    assert said["PATH"] == "/app:/usr/bin:/bin" and said["FLAVOUR"] == "vanilla"
    assert said["HOME"] == "/sandbox" and said["NAVIGATOR_SANDBOX_NAME"] == sandbox


def test_the_images_policy_is_version_1(owner, sandbox):
    shown = owner.json("sandbox", "get", sandbox)
    assert shown["policy_version"] == 1, shown
    assert "/srv/a/bin" in owner.run("sandbox", "policy", "get", sandbox).stdout.decode()


def test_what_the_policy_does_not_grant_is_not_there(owner, sandbox):
    for path in ("/opt", "/opt/secret/key", "/app/link/key", "/root", "/.navigator/layers/0", "/.navigator/root/opt"):
        assert owner.shell(sandbox, f"cat {path}", check=False).returncode != 0, path
    for path in ("/usr/x", "/app/x", "/etc/x", "/etc/navigator/policy.yaml", "/etc/passwd", "/x", "/.navigator/x"):
        assert owner.shell(sandbox, f"echo x > {path}", check=False).returncode != 0, path
    assert owner.shell(sandbox, "stat -c %a /app/suid").strip() == "755"


def test_changes_are_the_sandboxes_own_and_stay_until_it_is_deleted(owner, sandbox):
    before, other = owner.layers(), owner.create()
    owner.shell(sandbox, "echo mine > mine; rm from-image; mkdir d; mv d e; mv /srv/a /srv/moved; echo x >> /srv/data/kept")
    assert owner.restart(sandbox).returncode == 0
    assert owner.shell(sandbox, "cat mine /srv/data/kept; ls").split() == ["mine", "data", "x", "e", "mine"]
    assert owner.shell(other, "cat from-image /srv/data/kept").split() == ["hello", "data"]
    assert owner.layers() == before
    owner.run("sandbox", "delete", other, "-y")


@pytest.mark.parametrize("target", ["/opt/secret", "/usr", "/app", "/", "../usr", "/.navigator"])
def test_a_link_that_the_agent_turned_grants_nothing_at_the_next_start(owner, sandbox, target):
    owner.shell(sandbox, f"mv /srv/a /srv/old && ln -s {target} /srv/a")
    assert owner.restart(sandbox).returncode == 0
    assert owner.shell(sandbox, "readlink /srv/a").strip() == target
    assert owner.shell(sandbox, "cat /srv/a/key /srv/a/secret/key /srv/a/bin/key", check=False).returncode != 0
    for path in ("/srv/a/bin/x", "/usr/bin/x", "/usr/x", "/etc/x"):
        assert owner.shell(sandbox, f"echo x > {path}", check=False).returncode != 0, path


@pytest.mark.parametrize("script", [
    "rm -rf .navigator; ln -s /usr .navigator",
    "rm -rf .navigator; echo x > .navigator",
    "rm -rf .navigator; ln -s .navigator .navigator",
    "rm -f .navigator/README.md; mkdir -p .navigator/README.md/x",
    "rm -rf .navigator; ln -s /etc/passwd from; mv from .navigator",
    "mkdir deep; chmod 0 deep",
    "chmod 0 /sandbox",
])
def test_what_the_agent_leaves_at_home_does_not_keep_it_from_starting(owner, sandbox, script):
    owner.shell(sandbox, script, check=False)
    assert owner.restart(sandbox).returncode == 0
    assert owner.shell(sandbox, "id -un").strip() == "sandbox"
    assert owner.shell(sandbox, "echo x > /usr/x || echo x > /etc/passwd", check=False).returncode != 0


def test_a_mount_at_home_is_not_led_elsewhere(owner):
    project = owner.gateway.directory("project")
    (project / "cat").write_text("#!/bin/sh\necho turned\n")
    (project / "cat").chmod(0o755)
    name = owner.create("--mount", f"{project}:/sandbox/a/bin")
    owner.shell(name, "mv /sandbox/a /sandbox/z && ln -s /usr /sandbox/a")
    owner.restart(name)
    seen = owner.shell(name, "cat /dev/null; ls /usr/bin", check=False)
    assert b"turned" not in seen.stdout
    if seen.returncode != 0:
        assert "link" in str(owner.json("sandbox", "get", name))
    owner.run("sandbox", "delete", name, "-y")


def test_an_image_that_is_used_stays_until_the_sandbox_is_gone(owner):
    owner.image([layout.layer(lambda archive: layout.add(archive, "sandbox/extra", "extra\n"))], "small:1")
    name = "holds"
    owner.run("sandbox", "create", name, "--from", "small:1", "-d")
    owner.run("image", "rm", "small:1")
    owner.run("image", "prune")
    digest = owner.json("sandbox", "get", name)["root"].rpartition("@")[2]
    assert owner.json("image", "inspect", digest)["digest"] == digest
    owner.run("sandbox", "delete", name, "-y")
    owner.run("image", "prune")
    assert owner.run("image", "inspect", digest, check=False).returncode == 1


@pytest.mark.parametrize("image", ["localhost/none:1", "sha256:" + "0" * 64, "snapshot:none"])
def test_an_image_that_is_not_there_makes_no_sandbox(owner, image):
    before = owner.run("sandbox", "list").stdout
    done = owner.run("sandbox", "create", "never", "--from", image, "-d", check=False)
    assert done.returncode == 125 and b"next:" in done.stderr, done.stderr
    assert owner.run("sandbox", "list").stdout == before


@pytest.mark.parametrize("word", ["", "UPPER", "a b", "../x", "x" * 5000, "oci:", "\x1b[31m", "a@sha256:1"])
def test_words_that_name_no_source_are_refused(owner, word):
    done = owner.run("run", "--from", word, "--", "true", check=False)
    assert done.returncode == 2 and b"\x1b" not in done.stderr, done


def changed(owner, sandbox):
    """What a sandbox changed, but for what is always there."""
    every = owner.json("sandbox", "diff", sandbox)
    return {change["path"]: change["kind"] for change in every if ".navigator" not in change["path"]}


def test_what_changed_is_listed_and_kept_in_snapshots_and_forks(owner, sandbox):
    owner.shell(sandbox, "echo mine > mine; rm /srv/data/kept; echo more >> from-image; ln -s mine link; mkdir -p d/e; chmod 700 d")
    found = changed(owner, sandbox)
    assert found.pop("/sandbox/from-image") == "changed" and found.pop("/srv/data/kept") == "deleted"
    added = {"/sandbox/mine", "/sandbox/link", "/sandbox/d", "/sandbox/d/e"}
    assert {path for path, kind in found.items() if kind == "added"} == added | {"/srv/a", "/srv/a/bin"}
    text = owner.run("sandbox", "diff", sandbox).stdout.decode().splitlines()
    assert "D /srv/data/kept" in text and "A /sandbox/mine" in text
    see = "cat mine from-image link; ls /srv/data; stat -c %a d; echo $FLAVOUR"
    seen = owner.shell(sandbox, see)

    tag = f"t{sandbox}"
    owner.run("sandbox", "snapshot", sandbox, tag)
    copy = owner.create(image=f"snapshot:{tag}")
    fork = owner.run("sandbox", "fork", sandbox).stdout.decode().strip()
    for other in (copy, fork):
        assert owner.shell(other, see) == seen
        owner.shell(other, "echo theirs > mine")
    assert owner.shell(sandbox, see) == seen and owner.shell(fork, "cat mine") == "theirs\n"
    assert set(changed(owner, copy)) == {"/sandbox/mine"}
    policies = {owner.run("sandbox", "policy", "get", name).stdout for name in (sandbox, fork)}
    assert len(policies) == 1
    for other in (copy, fork):
        owner.run("sandbox", "delete", other, "-y")
    assert owner.run("sandbox", "snapshot", sandbox, tag, check=False).returncode == 1
    owner.run("image", "rm", f"localhost/snapshot:{tag}")


def test_a_snapshot_takes_no_pipes_or_links_out_of_the_sandbox(owner, sandbox):
    owner.shell(sandbox, "ln -s /etc/shadow out; ln -s ../../../../../../../etc up; chmod 0 from-image")
    owner.run("sandbox", "snapshot", sandbox, f"x{sandbox}")
    other = owner.create(image=f"snapshot:x{sandbox}")
    assert owner.shell(other, "readlink out; cat out up/shadow", check=False).stdout == b"/etc/shadow\n"
    owner.run("sandbox", "delete", other, "-y")


@pytest.mark.parametrize("tag", ["", "a/b", "a b", "../x", "x@sha256:0", "x" * 200, "-x", "a:b"])
def test_what_is_no_tag_names_no_snapshot(owner, sandbox, tag):
    before = owner.run("image", "list").stdout
    done = owner.run("sandbox", "snapshot", sandbox, "--", tag, check=False)
    assert done.returncode == 2, done
    assert owner.run("image", "list").stdout == before


def test_a_sandbox_of_the_host_has_no_changes_to_keep(owner):
    owner.run("sandbox", "create", "hosted", "--", "true")
    for words in (["diff", "hosted"], ["snapshot", "hosted", "x"], ["fork", "hosted"]):
        done = owner.run("sandbox", *words, check=False)
        assert done.returncode == 1 and b"image" in done.stderr, done
    owner.run("sandbox", "delete", "hosted", "-y")


def test_a_fork_has_the_policy_that_was_asked_for_even_before_that_is_in_force(owner):
    policy = owner.home / "waits.yaml"
    policy.write_text("version: 1\nfilesystem_policy: { read_only: [/usr] }\nprocess: { run_as_user: nobody-such }\n")
    owner.run("sandbox", "create", "waits", "--policy", str(policy), "--from", "tools:1", "-d")
    owner.run("sandbox", "fork", "waits", "forked", "-d")
    for name in ("waits", "forked"):
        assert "nobody-such" in owner.run("sandbox", "policy", "get", name).stdout.decode()
        owner.run("sandbox", "delete", name, "-y")


def test_a_fork_that_gets_no_name_leaves_no_copy(owner, sandbox):
    owner.shell(sandbox, "echo mine > mine")
    places = owner.gateway.state / "sandboxes"
    before = {path.name for path in places.iterdir()}
    done = owner.run("sandbox", "fork", sandbox, sandbox, check=False)
    assert done.returncode == 1 and b"already" in done.stderr, done
    eventually("the copy is gone", lambda: {path.name for path in places.iterdir() if "-" in path.name} <= before)


def test_files_of_ours_are_there_whatever_the_policy_lists(owner):
    policy = owner.home / "ours.yaml"
    policy.write_text("version: 1\nfilesystem_policy: { read_only: [/usr, /lib, /lib64, /etc/hosts, /etc/passwd] }\n")
    for source in ("tools:1", "host"):
        done = owner.run("run", "--policy", str(policy), "--from", source, "--", "cat", "/etc/hosts", "/etc/passwd")
        assert b"navigator" in done.stdout and b"sandbox:x:1000" in done.stdout and b"not available" not in done.stderr
