"""The policy of a sandbox that was made without one comes from its root filesystem."""
import itertools
from pathlib import Path

import grpc
import pytest

import policies
import root_filesystem
from client import refused
from waiting import eventually
from wire import api, data

BAKED = """
version: 1
filesystem_policy:
  read_only: [/bin, /usr, /lib, /lib64, /etc]
  read_write: [/sandbox, /tmp]
network_policies:
  baked:
    endpoints: [{ host: baked.example, port: 443 }]
    binaries: [{ path: /usr/bin/curl }]
"""
# What a policy file may not say, and a part of the reason.
BAD = {
    "unknown key": ("version: 1\nnew_key: 1\n", "new_key"),
    "broad": ("version: 1\nfilesystem_policy: { read_write: [/etc] }\n", "broad"),
    "traversal": ("version: 1\nfilesystem_policy: { read_only: [/usr/../root] }\n", "traversal"),
    "root": ("version: 1\nprocess: { run_as_user: root }\n", "root"),
    "no YAML": ("{", ""),
}
_numbers = itertools.count()


@pytest.fixture
def image(gateway):
    """Makes root filesystems."""

    def make(policy=None):
        directory = gateway.directory(f"image{next(_numbers)}")
        return data.SandboxTemplate(image=str(root_filesystem.make(directory, policy)))

    return make


def test_the_policy_of_the_image_becomes_version_1(owner, image):
    sandbox = owner.create(template=image(BAKED))
    assert sandbox.current_policy_version == 1
    revision = owner.revision(sandbox.name).revision
    assert (revision.version, revision.status) == (1, api.POLICY_STATUS_LOADED)
    assert revision.policy.network_policies["baked"].endpoints[0].host == "baked.example"
    assert list(revision.policy.filesystem.read_write) == ["/sandbox", "/tmp"]
    assert owner.get(sandbox.name).spec.policy == revision.policy
    assert owner.run(sandbox, "cat", "/etc/baked").text == "baked in"


def test_a_policy_that_is_asked_for_wins_over_the_image(owner, image):
    sandbox = owner.create(template=image(BAKED), policy=policies.online("asked.example"))
    assert list(owner.revision(sandbox.name).revision.policy.network_policies) == ["asked_example"]


def test_without_any_the_built_in_one_holds(owner, image):
    for template in (image(), None):
        sandbox = owner.create(**({"template": template} if template else {}))
        policy = owner.revision(sandbox.name).revision.policy
        assert sandbox.current_policy_version == 1
        assert not policy.network_policies
        assert {"/sandbox", "/tmp"} <= set(policy.filesystem.read_write)
        assert policy.process.run_as_user == "sandbox"


def test_what_was_discovered_can_be_replaced_and_survives_a_stop(owner, image):
    sandbox = owner.create(template=image(BAKED))
    policy = owner.revision(sandbox.name).revision.policy
    policy.network_policies["baked"].endpoints[0].host = "other.example"
    assert owner.update(sandbox.name, policy).version == 2
    eventually("it is in force", lambda: owner.get(sandbox.name).current_policy_version == 2)
    owner.stop(sandbox.name)
    assert owner.start(sandbox.name).current_policy_version == 2
    policy.filesystem.read_write.append("/var")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        owner.update(sandbox.name, policy)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_policy_in_the_image_starts_nothing_and_says_why(owner, image, what):
    text, word = BAD[what]
    made = owner.begin(template=image(text))
    ready = eventually("it has failed", lambda: failed(owner, made.name))
    assert word in ready.message, ready
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        owner.run(made, "true")
    with refused(grpc.StatusCode.NOT_FOUND):
        owner.revision(made.name)


def failed(owner, name):
    """The condition of a sandbox that is in error."""
    sandbox = owner.get(name)
    conditions = {condition.type: condition for condition in sandbox.status.conditions}
    return sandbox.phase == data.SANDBOX_PHASE_ERROR and conditions["Ready"]


def test_an_image_cannot_point_to_a_policy_outside_of_it(owner, image, gateway):
    (outside := gateway.base / "outside.yaml").write_text(BAKED)
    template = image()
    (Path(template.image) / "etc/navigator/policy.yaml").symlink_to(outside)
    policy = owner.revision(owner.create(template=template).name).revision.policy
    assert not policy.network_policies
