"""Policies for tests."""
from wire import policy

READ_ONLY = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/proc", "/dev/urandom"]
READ_WRITE = ["/sandbox", "/tmp", "/dev/null"]


def endpoint(host="example.com", port=443, **more):
    """One place that may be reached."""
    return policy.NetworkEndpoint(host=host, port=port, **more)


def rule(*endpoints, binaries=("/usr/bin/curl",)):
    """Who may reach which places."""
    return policy.NetworkPolicyRule(endpoints=endpoints, binaries=[policy.NetworkBinary(path=path) for path in binaries])


def files(read_only=READ_ONLY, read_write=READ_WRITE):
    """What may be read and written."""
    return policy.FilesystemPolicy(include_workdir=True, read_only=read_only, read_write=read_write)


def offline(**more):
    """A policy without any network."""
    return policy.SandboxPolicy(**{"version": 1, "filesystem": files(), **more})


def online(*hosts, routes=(), **more):
    """A policy with network: these hosts, and these inference routes."""
    rules = {host.replace(".", "_"): rule(endpoint(host)) for host in hosts or ["example.com"]}
    return offline(network_policies=rules, inference=policy.InferencePolicy(allowed_routes=routes), **more)
