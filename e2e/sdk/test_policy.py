"""Policies from Python."""

import pathlib

import pytest
from navigator import FailedPrecondition, InvalidArgument, PolicyStatus
from test_exec import online

YAML = """\
version: 1
filesystem_policy:
  read_only: [/usr, /bin, /lib, /lib64, /etc, /proc, /dev/urandom]
  read_write: [/sandbox, /tmp, /dev/null]
network_policies:
  one:
    endpoints:
      - {host: api.example, port: 443, protocol: rest, tls: terminate, enforcement: enforce, access: read-only}
    binaries:
      - {path: /usr/bin/curl}
"""


def test_a_policy_is_a_dict_yaml_or_a_file(twin, client, tmp_path, machine):
    file = tmp_path / "policy.yaml"
    file.write_text(YAML)
    seen = []
    for policy in (YAML, file, str(file)):
        with twin.sandbox(client, policy=policy) as sandbox:
            revision = sandbox.policy.get()
            seen.append((revision.hash, revision.policy))
            # What the program makes of the same file.
            machine.navigator("sandbox", "policy", "set", sandbox.name, str(file))
            assert [one.version for one in sandbox.policy.history()] == [1]
    with twin.sandbox(client, policy=seen[0][1]) as sandbox:
        seen.append((sandbox.policy.get().hash, sandbox.policy.get().policy))
    assert all(one == seen[0] for one in seen)
    policy = seen[0][1]
    assert policy["filesystem_policy"]["include_workdir"] is True
    assert policy["network_policies"]["one"]["endpoints"][0]["access"] == "read-only"


def test_an_update_is_in_force_when_it_returns(twin, client):
    with twin.sandbox(client, policy=online("one.example")) as sandbox:
        revision = sandbox.policy.update(online("two.example"))
        assert (revision.version, revision.status) == (2, PolicyStatus.LOADED)
        assert sandbox.policy.get().version == 2
        assert sandbox.policy.get(1).status is PolicyStatus.SUPERSEDED or sandbox.policy.get(1).version == 1
        assert [one.version for one in sandbox.policy.history()] == [2, 1]
        assert sandbox.refresh().policy_version == 2
        with pytest.raises(FailedPrecondition):
            sandbox.policy.update(online("three.example"), expected_version=1)


def test_a_refused_policy_says_why(twin, client):
    with twin.sandbox(client, policy=online("one.example")) as sandbox:
        broad = online("one.example")
        broad["filesystem_policy"]["read_write"] = ["/etc"]
        with pytest.raises((InvalidArgument, FailedPrecondition), match="broad|cannot be changed"):
            sandbox.policy.update(broad)
        assert sandbox.policy.get().version == 1


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"filesystem": {}}, "filesystem_policy"),
        ({"unknown_key": 1}, "unknown_key"),
        ({"network_policies": {"a": {"endpoints": [{"host": 7}]}}}, "policy"),
        ("version: 1\nversion: 1\n", "twice"),
        ("- a\n- b\n", "mapping"),
        ("version: [\n", "policy"),
        ("version: !!python/object/apply:os.system [id]\n", "policy"),
        (pathlib.Path("/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_what_is_no_policy_is_refused_here(client, policy, words):
    from navigator import SandboxSpec

    with pytest.raises(InvalidArgument, match=words):
        client.create(spec=SandboxSpec(policy=policy))


def test_yaml_without_a_parser_is_refused_clearly(client, monkeypatch):
    import sys

    from navigator import SandboxSpec

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InvalidArgument, match=r"navigator\[yaml\]"):
        client.create(spec=SandboxSpec(policy=YAML))
