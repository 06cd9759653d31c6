# Generated from navigator/_aio/policy.py by python/tools/generate.py.
"""The policy of a sandbox and its revisions."""

from __future__ import annotations

from navigator import _conversions, _methods, _policies
from navigator._blocking.connection import Connection
from navigator._errors import PolicyRejected
from navigator._policies import Policy
from navigator._proto import navigator_pb2 as api
from navigator._retries import Deadline, pauses
from navigator._transport import blocking as transport
from navigator._values import PolicyRevision, PolicyStatus


class SandboxPolicy:
    """The policy of one sandbox."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def update(
        self, policy: Policy, *, wait: bool = True, timeout_seconds: float = 30, expected_version: int = 0
    ) -> PolicyRevision:
        """Gives the sandbox another policy and waits until it is in force.

        Raises `InvalidArgument` or `FailedPrecondition` for a policy that the gateway refuses, and `PolicyRejected` for one that
        the sandbox cannot load; the one before stays in force then. `expected_version` refuses it unless that is the newest.
        """
        request = api.UpdateSandboxPolicyRequest(
            name=self._name, policy=_policies.to_wire(policy), expected_version=expected_version
        )
        version = (self._connection.call(_methods.UPDATE_POLICY, request)).version
        deadline, what = Deadline(timeout_seconds), f"policy version {version} is not in force"
        for pause in pauses():
            revision = self.get(version)
            if revision.status is PolicyStatus.FAILED:
                raise PolicyRejected(f"policy version {version} was not loaded: {revision.error}")
            if revision.status is not PolicyStatus.PENDING or not wait:
                return revision
            transport.sleep(deadline.at_most(pause, what))
        raise AssertionError("pauses have no end")

    def get(self, version: int = 0) -> PolicyRevision:
        """A revision; the newest by default."""
        request = api.GetSandboxPolicyStatusRequest(name=self._name, version=version)
        return _conversions.revision((self._connection.call(_methods.POLICY, request)).revision)

    def history(self, *, limit: int = 100, offset: int = 0) -> list[PolicyRevision]:
        """Revisions, newest first."""
        request = api.ListSandboxPoliciesRequest(name=self._name, limit=limit, offset=offset)
        answer = self._connection.call(_methods.POLICIES, request)
        return [_conversions.revision(revision) for revision in answer.revisions]
