"""Policies between what people write and what the wire carries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from navigator._errors import InvalidArgument
from navigator._proto import sandbox_pb2 as wire

# A path of a YAML file, its text (which has more than one line), or what it would hold.
Policy = str | Path | Mapping[str, Any]

# The one key that is called otherwise on the wire.
_FILE_KEY, _WIRE_KEY = "filesystem_policy", "filesystem"


def to_wire(policy: Policy) -> wire.SandboxPolicy:
    """The message of a policy. Keys that the language does not have are refused."""
    if isinstance(policy, Mapping):
        return _parse(policy)
    if isinstance(policy, str) and "\n" in policy:
        return _parse(_load(policy, "the policy"))
    try:
        text = Path(policy).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"failed to read the policy {policy}: {error}") from error
    return _parse(_load(text, str(policy)))


def from_wire(policy: wire.SandboxPolicy) -> dict[str, Any]:
    """A policy as its file would have it."""
    keys: dict[str, Any] = json_format.MessageToDict(policy, preserving_proto_field_name=True)
    return {_FILE_KEY if key == _WIRE_KEY else key: value for key, value in keys.items()}


def _parse(policy: Mapping[str, Any]) -> wire.SandboxPolicy:
    if _WIRE_KEY in policy:
        raise InvalidArgument(f"a policy has no `{_WIRE_KEY}`; write `{_FILE_KEY}`")
    keys = {_WIRE_KEY if key == _FILE_KEY else key: _plain(value) for key, value in policy.items()}
    if isinstance(files := keys.get(_WIRE_KEY), dict):
        # In a file this is true unless it is said, on the wire it is false.
        files.setdefault("include_workdir", True)
    try:
        return json_format.ParseDict(keys, wire.SandboxPolicy())
    except (json_format.ParseError, TypeError) as error:
        raise InvalidArgument(f"failed to understand the policy: {error}") from error


def _plain(value: Any) -> Any:
    """Copies, with an absent value in place of what YAML calls null, and lists for sequences."""
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items() if below is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(below) for below in value]
    return value


def _load(text: str, name: str) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise InvalidArgument(
            "policies in YAML need PyYAML: run `pip install navigator[yaml]`, or give the policy as a dict"
        ) from None

    class Once(yaml.SafeLoader):
        """Refuses a key that is there twice: the later one would win, unseen."""

    def mapping(loader: Once, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise InvalidArgument(f"failed to understand {name}: {', '.join(sorted(twice))} is there twice")
        return dict(loader.construct_pairs(node, deep=True))

    Once.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        loaded = yaml.load(text, Loader=Once)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidArgument(f"failed to understand {name}: {error}") from error
    if not isinstance(loaded, dict):
        raise InvalidArgument(f"failed to understand {name}: it is no mapping of keys")
    return loaded
