"""What may be asked for in a sandbox, and what is refused before anything is made."""
import grpc
import pytest
from google.protobuf import struct_pb2

import policies
from client import refused, unique
from wire import data

BAD_ENVIRONMENT_NAMES = ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A\0"]


@pytest.fixture
def nothing_is_made(client):
    """What the test does must leave no record."""
    before = {sandbox.name for sandbox in client.sandboxes()}
    yield
    assert {sandbox.name for sandbox in client.sandboxes()} == before


@pytest.mark.parametrize("name", BAD_ENVIRONMENT_NAMES)
def test_environment_names_are_names(client, nothing_is_made, name):
    for spec in ({"environment": {name: "x"}}, {"template": data.SandboxTemplate(environment={name: "x"})}):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "environment"):
            client.begin(**spec)


@pytest.mark.parametrize("environment", [{"A": "a\0b"}, {"A": "x" * 2_000_000}, {f"A{n}": "" for n in range(10_000)}])
def test_environments_that_no_program_can_have_are_refused(client, nothing_is_made, environment):
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "environment"):
        client.begin(environment=environment)


def test_a_large_environment_reaches_the_programs(client):
    environment = {f"NAME_{number}": "x" * 1000 for number in range(100)}
    sandbox = client.create(environment=environment)
    shown = client.run(sandbox, "/usr/bin/env").text.splitlines()
    assert {f"{name}={value}" for name, value in environment.items()} <= set(shown)


@pytest.mark.parametrize("level", ["loud", "info\n", "0", "off"])
def test_log_levels_that_do_not_exist_are_refused(client, nothing_is_made, level):
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "log_level"):
        client.begin(log_level=level)


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug", "trace"])
def test_every_log_level_is_taken(client, level):
    assert client.begin(log_level=level).spec.log_level == level


def test_an_unknown_provider_leaves_nothing(client, nothing_is_made):
    client.provide("known", {"A": "1"})
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "unknown"):
        client.begin(unique("orphan"), providers=["known", "unknown"])


def test_a_provider_that_is_no_name_is_malformed(client, nothing_is_made):
    for name in ("", "../x", "A", "x" * 64):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            client.begin(providers=[name])


def test_there_are_bounds_to_lists_and_maps(client, nothing_is_made):
    many = {f"key{number}": "" for number in range(10_000)}
    for spec in (
        {"providers": ["same"] * 10_000},
        {"mounts": [data.Mount(source="/usr", destination="/x", read_only=True)] * 10_000},
        {"template": data.SandboxTemplate(labels=many)},
        {"template": data.SandboxTemplate(annotations=many)},
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            client.begin(**spec)


def nested(depth):
    inner = struct_pb2.Struct()
    inner.update({"end": 1})
    for _ in range(depth):
        outer = struct_pb2.Struct()
        outer.fields["in"].struct_value.CopyFrom(inner)
        inner = outer
    return inner


def limits(**values):
    resources = struct_pb2.Struct()
    resources.update({"limits": values})
    return resources


@pytest.mark.parametrize("part", ["resources", "pod_template", "volume_claim_templates"])
def test_free_parts_are_bounded(client, nothing_is_made, part):
    large = struct_pb2.Struct()
    large.update({"a": "x" * 1_000_000})
    for value in (nested(20), large):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, part):
            client.begin(template=data.SandboxTemplate(**{part: value}))


@pytest.mark.parametrize("values", [{"memory": "lots"}, {"cpu": "-1"}, {"pids": "x"}, {"ephemeral-storage": "1Qi"}])
def test_limits_that_mean_nothing_are_refused(client, nothing_is_made, values):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.begin(template=data.SandboxTemplate(resources=limits(**values)))


@pytest.mark.parametrize("image", ["/not/here", "/etc/passwd", "/usr/../etc", "a\nb", "x" * 10_000])
def test_images_that_are_no_directory_are_refused(owner, gateway, image):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        owner.begin(template=data.SandboxTemplate(image=image))
    assert owner.sandboxes() == []


@pytest.mark.parametrize("image", ["relative/root", "debian:12", "../../etc", "sha256:" + "0" * 64, "a b", "@", "UPPER"])
def test_images_that_are_not_in_the_store_make_no_sandbox(client, nothing_is_made, image):
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "image"):
        client.begin(template=data.SandboxTemplate(image=image))


@pytest.mark.parametrize(
    ("source", "destination", "word"),
    [
        ("relative", "/x", "absolute"),
        ("/usr", "relative", "absolute"),
        ("/usr/../etc", "/x", "traversal"),
        ("/usr", "/x/../etc", "traversal"),
        ("/not/here", "/x", "/not/here"),
        ("", "", ""),
    ],
)
def test_mounts_that_are_no_paths_are_refused(owner, gateway, source, destination, word):
    with refused(grpc.StatusCode.INVALID_ARGUMENT, word):
        owner.begin(mounts=[data.Mount(source=source, destination=destination)])
    assert owner.sandboxes() == []


def test_a_directory_of_the_machine_is_mounted_as_asked(owner, gateway):
    (shared := gateway.directory("shared")).chmod(0o777)
    (shared / "in").write_text("from outside")
    (kept := gateway.directory("kept")).chmod(0o777)
    (kept / "in").write_text("only to read")
    mounts = [
        data.Mount(source=str(shared), destination="/sandbox/shared"),
        data.Mount(source=str(kept), destination="/sandbox/kept", read_only=True),
    ]
    sandbox = owner.create(mounts=mounts, policy=policies.offline())
    assert owner.run(sandbox, "cat", "/sandbox/shared/in", "/sandbox/kept/in").text == "from outsideonly to read"
    assert owner.shell(sandbox, "echo hi > /sandbox/shared/out").code == 0
    assert (shared / "out").read_text() == "hi\n"
    assert owner.shell(sandbox, "echo hi > /sandbox/kept/out").code != 0
    assert not (kept / "out").exists()


def test_the_gateways_own_files_are_never_in_a_sandbox(owner, gateway):
    (gateway.base / "link").unlink(missing_ok=True)
    (gateway.base / "link").symlink_to(gateway.state)
    own = [gateway.state, gateway.socket.parent, gateway.base / "state", gateway.base / "link", "/", "/tmp"]
    for source in map(str, own):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            owner.begin(mounts=[data.Mount(source=source, destination="/sandbox/x", read_only=True)])
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            owner.begin(template=data.SandboxTemplate(image=source))
    assert owner.sandboxes() == []


def test_directories_of_the_machine_are_not_for_remote_clients(gateway):
    with gateway.remote(gateway.authority.client()) as remote:
        mount = data.Mount(source="/usr", destination="/sandbox/x", read_only=True)
        for spec in ({"mounts": [mount]}, {"template": data.SandboxTemplate(image="/usr")}):
            with refused(grpc.StatusCode.PERMISSION_DENIED):
                remote.begin(**spec)
        assert remote.sandboxes() == []
