"""Links that an agent or an image's maker put in the way: no mount, no rule and no file of ours follows them."""
import pytest

import layout

POLICY = """
version: 1
filesystem_policy:
  read_only: [/usr, /lib, /lib64, /etc, /app, /sandbox/ref]
  read_write: [/sandbox, /tmp, /srv, /sandbox/work/deep, /srv/x/y]
"""
TURNED = [("/srv/q", "/usr/bin"), ("/sandbox/a", "/.navigator/root"), ("/sandbox/a", "../etc")]


@pytest.fixture
def policy(owner):
    path = owner.home / "links.yaml"
    path.write_text(POLICY)
    path.chmod(0o644)
    return str(path)


@pytest.fixture
def project(owner):
    """A directory of this machine with a program that is none of the image's."""
    directory = owner.gateway.directory(f"project{owner.number()}")
    (directory / "cat").write_text("#!/usr/bin/sh\necho turned\n")
    (directory / "cat").chmod(0o755)
    return directory


def nothing_is_gained(owner, box):
    """What the policy does not grant is not there, and what is read-only stays so."""
    for path in ("/opt/secret/key", "/root/x", "/.navigator/root/etc/passwd"):
        assert owner.shell(box, f"cat {path}", check=False).returncode != 0, path
    for path in ("/usr/x", "/usr/bin/x", "/etc/x", "/app/x", "/.navigator/x", "/.navigator/root/usr/x"):
        assert owner.shell(box, f"echo x > {path}", check=False).returncode != 0, path
    assert owner.shell(box, "ls /usr/bin/README.md /etc/README.md", check=False).stdout == b""
    assert owner.shell(box, "/usr/bin/cat /sandbox/from-image") == "hello\n"


def starts_or_says_why(owner, box):
    """Starts again, or fails with words about the link and nothing running; then nothing can be gained."""
    started = owner.restart(box).returncode == 0
    if started and owner.json("sandbox", "get", box)["phase"] == "ready":
        nothing_is_gained(owner, box)
    else:
        assert "link" in str(owner.json("sandbox", "get", box))


@pytest.mark.parametrize("place, target", TURNED)
def test_no_mount_follows_a_link_of_the_agent(owner, policy, project, place, target):
    box = owner.create("--policy", policy, "--mount", f"{project}:{place}/bin")
    owner.shell(box, f"mv {place} {place}.gone && mkdir {place} && ln -s {target} {place}/bin")
    starts_or_says_why(owner, box)
    owner.run("sandbox", "delete", box, "-y")


@pytest.mark.parametrize("image", ["tools:1", "host"])
def test_no_mount_in_a_mount_follows_a_link(owner, project, image):
    outer = owner.gateway.directory(f"outer{owner.number()}")
    (outer / "a/b").mkdir(parents=True)
    if owner.become:
        for path in (outer, outer / "a", outer / "a/b"):
            path.chmod(0o777)
    box = owner.create("--mount", f"{outer}:/work", "--mount", f"{project}:/work/a/b", image=image)
    owner.shell(box, "mv /work/a /work/gone; mkdir /work/a; ln -s /usr/bin /work/a/b")
    owner.restart(box)
    seen = owner.shell(box, "cat /dev/null", check=False)
    assert b"turned" not in seen.stdout
    if seen.returncode != 0:
        assert "link" in str(owner.json("sandbox", "get", box))
    owner.run("sandbox", "delete", box, "-y")


@pytest.mark.parametrize("script", [
    "mv .navigator q; ln -s /usr/bin .navigator",
    "mv .navigator q; ln -s /.navigator/root/usr/bin .navigator",
    "mv work w2; ln -s /usr work",
    "mv work w2; echo x > work",
    "mv /srv/x /srv/z; echo x > /srv/x",
    "mv /srv/x /srv/z; ln -s /usr /srv/x",
    "ln -s / ref",
    "ln -s /proc ref",
    "ln -s /opt/secret ref",
])
def test_what_the_agent_leaves_keeps_nobody_from_starting_and_gains_nothing(owner, policy, script):
    box = owner.create("--policy", policy)
    owner.shell(box, script)
    assert owner.restart(box).returncode == 0, owner.json("sandbox", "get", box)
    nothing_is_gained(owner, box)
    assert owner.shell(box, "cat /proc/1/status /sandbox/ref/1/status", check=False).stdout == b""
    owner.run("sandbox", "delete", box, "-y")


@pytest.mark.parametrize("link, target", [
    ("opt/data", "/.navigator/root"), ("opt/data", "/usr/bin"), ("app", "/etc/navigator-tls"), ("srv", "/etc"), ("srv", "/usr/bin"),
    ("srv", "/tmp"), ("sandbox", "/etc"), ("sandbox", "/usr/bin"), ("srv", "/"), ("srv", "/.navigator/root"), ("tmp", "/etc"),
])
def test_no_link_of_an_image_covers_what_is_ours_or_makes_the_system_writable(owner, policy, project, base_layer, link, target):
    def fill(archive):
        layout.add(archive, f"{link.rpartition('/')[0]}/.wh.{link.rpartition('/')[2]}".lstrip("/"), "")

    def again(archive):
        layout.add(archive, link, kind=b"2", linkname=target)

    name = f"links:{owner.number()}"
    owner.image([base_layer, layout.layer(fill), layout.layer(again)], name)
    run = ["run", "--policy", policy, "--mount", f"{project}:/opt/data", "--from", name, "--", "/usr/bin/sh", "-c"]
    script = "for at in /usr/x /usr/bin/x /etc/x /etc/passwd /srv/passwd; do echo x > $at && echo gained $at; done; " \
        "cat /etc/shadow /.navigator/root/etc/shadow /opt/secret/key; cat /etc/passwd; ls /etc/navigator-tls; exit 0"
    done = owner.run(*run, script, check=False)
    if done.returncode == 0:
        assert b"gained" not in done.stdout.replace(b"gained /srv/passwd", b"") and b"ungranted" not in done.stdout, done
        assert b"sandbox:x:1000" in done.stdout
    else:
        assert b"link" in done.stderr or b"image's home" in done.stderr, done
    owner.run("image", "rm", name)
