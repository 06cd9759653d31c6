"""Policies that are unsafe or malformed are refused, when a sandbox is made and when its policy is replaced."""
import grpc
import pytest

import policies
from client import refused, unique
from policies import endpoint, files, offline, online, rule
from wire import policy as messages

BROAD = ["/", "/etc", "/usr", "/bin", "/lib", "/lib64", "/proc", "/sys", "/dev", "/var", "/boot", "/root", "/home"]
SPELLINGS = ["//", "/.", "/./usr/", "//etc//", "/etc/.", "/usr/./"]


def process(**fields):
    return offline(process=messages.ProcessPolicy(**fields))


def network(*endpoints, binaries=("/usr/bin/curl",)):
    return offline(network_policies={"a": rule(*endpoints, binaries=binaries)})


def l7(method="GET", path="/**"):
    return messages.L7Rule(allow=messages.L7Allow(method=method, path=path))


CASES = [
    *[(f"user {name}", process(run_as_user=name), "root") for name in ("root", "0")],
    *[(f"group {name}", process(run_as_group=name), "root") for name in ("root", "0")],
    *[(f"user {name}", process(run_as_user=name), "") for name in ("a b", "x" * 100, "-x", "a\n", "a:b")],
    *[(f"write {path}", offline(filesystem=files(read_write=[path])), "broad") for path in BROAD + SPELLINGS],
    *[
        (f"{kind} {path}", offline(filesystem=files(**{kind: [path]})), "traversal")
        for kind in ("read_only", "read_write")
        for path in ("/sandbox/../etc", "/..", "/a/..", "/../..")
    ],
    *[
        (f"{kind} {path[:20]!r}", offline(filesystem=files(**{kind: [path]})), "")
        for kind in ("read_only", "read_write")
        for path in ("relative", "", ".", "~", "/a\0b", "/a\nb", "/a\x1bb", "/" + "a" * 4096)
    ],
    ("257 paths", offline(filesystem=files(read_only=[f"/usr/{number}" for number in range(257)])), ""),
    ("landlock", offline(landlock=messages.LandlockPolicy(compatibility="maybe")), ""),
    ("version", offline(version=2), ""),
    ("no endpoint host", network(messages.NetworkEndpoint(port=443)), "host"),
    ("no binaries", network(endpoint(), binaries=[]), "binaries"),
    ("relative binary", network(endpoint(), binaries=["curl"]), ""),
    ("port 0", network(endpoint(port=0)), "port"),
    ("port 65536", network(endpoint(port=65536)), "port"),
    *[(f"host {host!r}", network(endpoint(host)), "") for host in ("*", "*.com", "a*.example.com", "a b", "a\0b", "a/b")],
    *[(f"address {host}", network(endpoint(host)), "") for host in ("127.0.0.1", "169.254.169.254", "::1", "0.0.0.0")],
    ("allowed loopback", network(endpoint("", allowed_ips=["127.0.0.0/8"])), ""),
    ("allowed link-local", network(endpoint("", allowed_ips=["169.254.0.0/16"])), ""),
    ("rules and access", network(endpoint(protocol="rest", access="full", rules=[l7()])), ""),
    ("protocol alone", network(endpoint(protocol="rest")), ""),
    ("terminate alone", network(endpoint(tls="terminate")), ""),
    ("sql enforced", network(endpoint(protocol="sql", enforcement="enforce", access="full")), ""),
    *[
        (f"odd {field}", network(endpoint(**{"protocol": "rest", "access": "full", field: "odd"})), "")
        for field in ("protocol", "tls", "enforcement", "access")
    ],
]
named = pytest.mark.parametrize(("policy", "word"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])


@named
def test_no_sandbox_is_made_with_it(client, policy, word):
    name = unique("unsafe")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, word):
        client.begin(name, policy=policy)
    with refused(grpc.StatusCode.NOT_FOUND):
        client.get(name)


@named
def test_no_sandbox_gets_it_later(client, sandbox, policy, word):
    before = client.revision(sandbox.name).revision.version
    with refused(grpc.StatusCode.INVALID_ARGUMENT, word):
        client.update(sandbox.name, policy)
    assert client.revision(sandbox.name).revision.version == before


def test_the_most_that_is_allowed_is_taken(client):
    paths = [f"/usr/{number}" for number in range(255)] + ["/" + "/".join(["a" * 200] * 20)]
    assert client.begin(policy=offline(filesystem=files(read_only=paths))).id


def change_files(policy):
    policy.filesystem.read_write.append("/sandbox/more")


def change_workdir(policy):
    policy.filesystem.include_workdir = False


def change_landlock(policy):
    policy.landlock.compatibility = "best_effort"


def change_user(policy):
    policy.process.run_as_user = "daemon"


def change_mode(policy):
    policy.network_policies.clear()


@pytest.mark.parametrize("change", [change_files, change_workdir, change_landlock, change_user, change_mode])
def test_what_is_fixed_at_the_start_cannot_be_changed(client, sandbox, change):
    policy = online()
    change(policy)
    before = client.revision(sandbox.name).revision.version
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cannot be changed"):
        client.update(sandbox.name, policy)
    assert client.revision(sandbox.name).revision.version == before


def test_a_sandbox_without_network_does_not_get_one(client):
    offline_sandbox = client.create(policy=offline())
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cannot be changed"):
        client.update(offline_sandbox.name, online())
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cannot be changed"):
        client.update(offline_sandbox.name, offline(inference=messages.InferencePolicy(allowed_routes=["local"])))


def test_another_spelling_of_what_is_fixed_is_no_change(client, sandbox):
    policy = online("changed.example")
    policy.filesystem.read_only[:] = [f"/.{path}/" for path in policies.READ_ONLY]
    assert client.update(sandbox.name, policy).version
