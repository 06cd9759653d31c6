"""What goes wrong beside images: killed gateways and supervisors, a full disk, no Landlock, no network."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from waiting import eventually
from wire import api

WITHOUT_LANDLOCK = pathlib.Path(__file__).parent.parent / "attacks" / "without_landlock.py"
BEST_EFFORT = """
version: 1
filesystem_policy: {{ read_only: [/usr, /lib, /lib64, /etc, /app], read_write: [/sandbox, /srv] }}
landlock: {{ compatibility: {} }}
"""


def ready(owner, box):
    return owner.json("sandbox", "get", box)["phase"] == "ready"


def mounts():
    """Overlays that this machine sees."""
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if " - overlay " in line]


def test_a_killed_supervisor_loses_no_change_and_leaves_no_mount(owner, sandbox):
    before = mounts()
    owner.shell(sandbox, "echo mine > mine; rm from-image")
    shown = owner.json("sandbox", "get", sandbox)
    os.kill(owner.gateway.supervisor(shown["id"]), signal.SIGKILL)
    eventually("it is back", lambda: owner.json("sandbox", "get", sandbox)["restarts"] == 1 and ready(owner, sandbox))
    assert owner.shell(sandbox, "cat mine; ls") == "mine\nmine\n"
    assert mounts() == before


def test_a_gateway_that_is_killed_while_it_copies_starts_no_half_of_a_fork(owner, sandbox):
    owner.shell(sandbox, "i=0; while [ $i -lt 3000 ]; do echo $i > f$i; i=$((i+1)); done; echo whole > last")
    before = {box["name"] for box in owner.json("sandbox", "list")}
    # Anywhere before, in and after the copy; what is asked afterwards holds for all.
    for after in (0.0, 0.02, 0.05, 0.1, 0.2):
        # Not by the command line, which would start another gateway.
        with owner.gateway.owner() as client:
            call = client.navigator.ForkSandbox.future(api.ForkSandboxRequest(name=sandbox))
            time.sleep(after)
            owner.gateway.kill()
            call.exception()
        owner.gateway.start()
        for name in {box["name"] for box in owner.json("sandbox", "list")} - before:
            owner.run("sandbox", "wait", name)
            assert owner.shell(name, "cat last; cat f2999") == "whole\n2999\n"
            owner.run("sandbox", "delete", name, "-y")
        known = {box["id"] for box in owner.json("sandbox", "list")}
        places = owner.gateway.state / "sandboxes"
        eventually("no copy is left", lambda: {path.name for path in places.iterdir() if "-" in path.name} <= known)
    assert owner.shell(sandbox, "cat last") == "whole\n"


@pytest.mark.needs_root
def test_a_full_disk_leaves_no_half_image(owner):
    small = owner.gateway.directory("small")
    user = owner.gateway.user
    own = f",uid={user.pw_uid},gid={user.pw_gid}" if user else ""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=2m,mode=0700{own}", "tmpfs", small], check=True)
    try:
        environment = {**owner.environment, "NAVIGATOR_STATE_DIR": str(small)}
        source = next(path.parent for path in owner.gateway.base.rglob("oci-layout"))
        words = [owner.gateway.binary, "image", "import", f"oci:{source}", "--name", "full:1"]
        done = subprocess.run(words, env=environment, cwd=owner.home, capture_output=True, timeout=60, **owner.become)
        assert done.returncode in (1, 125) and b"next:" in done.stderr and b"of the disk would be free" in done.stderr, done
        listed = subprocess.run(
            [owner.gateway.binary, "image", "list", "-o", "json"], env=environment, capture_output=True, timeout=60, **owner.become
        )
        assert listed.stdout.strip() == b"[]" and not list((small / "images/layers").iterdir())
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("compatibility", ["hard_requirement", "best_effort"])
def test_without_landlock_an_image_starts_only_if_the_policy_accepts_it_and_mounts_hold(owner, compatibility):
    policy = owner.home / f"{compatibility}.yaml"
    policy.write_text(BEST_EFFORT.format(compatibility))
    launcher = owner.home / "without_landlock.py"
    launcher.write_text(WITHOUT_LANDLOCK.read_text())
    script = "for at in /usr/x /etc/x /app/x /x /.navigator/x /.navigator/changes/x /.navigator/layers/x; do echo x > $at; done 2>/dev/null; " \
        "cat /opt/secret/key /.navigator/root/opt/secret/key 2>/dev/null; ls -R /.navigator 2>/dev/null; cat from-image"
    run = ["run", "--policy", str(policy), "--from", "tools:1", "--", "sh", "-c", script]
    words = ["/usr/bin/python3", launcher, owner.gateway.binary, *run]
    done = subprocess.run(words, env=owner.environment, cwd=owner.home, capture_output=True, timeout=60, **owner.become)
    if compatibility == "hard_requirement":
        assert done.returncode == 125 and b"Landlock" in done.stderr and done.stdout == b"", done
        return
    assert done.returncode == 0 and b"landlock is degraded" in done.stderr, done
    # Neither the content nor the names of what is not granted.
    assert b"ungranted" not in done.stdout and b"secret" not in done.stdout and done.stdout.endswith(b"hello\n"), done


def test_without_a_network_a_pull_says_so_and_leaves_nothing(owner):
    before = owner.run("image", "list").stdout
    alone = [owner.gateway.binary, "image", "pull", "registry.example/team/tools:1"]
    done = subprocess.run(
        ["unshare", "-Urn", *alone], env=owner.environment, cwd=owner.home, capture_output=True, timeout=120, **owner.become
    )
    assert done.returncode == 1 and b"check its name and the network" in done.stderr, done
    assert owner.run("image", "list").stdout == before
