"""A client of the API: the generated stubs, with a time limit on every call, and the few things every test does."""
import contextlib
import uuid
from dataclasses import dataclass

import grpc
import pytest

import wire
from wire import api, data

# Seconds that a call may take. No call that works needs them.
LONGEST = 30
READY = data.SANDBOX_PHASE_READY
# What a server may say about a request that it refuses; INTERNAL is for its own faults only.
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}


def options(*more):
    """Channels of their own for each client, and answers of any size."""
    return [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *more]


def local(socket):
    """A channel over a unix socket. By itself the library would send the socket's path as the server's name."""
    return grpc.insecure_channel(f"unix:{socket}", options(("grpc.default_authority", "localhost")))


@contextlib.contextmanager
def refused(code, *words):
    """The call in the block must be refused with this status and these words."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    said = caught.value.details()
    assert caught.value.code() is code, f"{caught.value.code()}: {said}"
    for word in words:
        assert word in said, said


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self):
        """Its output as text, without the last line's end."""
        return self.out.decode().rstrip("\n")


class Client:
    """Calls over one channel."""

    def __init__(self, channel, metadata=()):
        self.channel = channel
        self._calls = grpc.intercept_channel(channel, _Limit(metadata))
        self.navigator = wire.api_stubs.NavigatorStub(self._calls)
        self.inference = wire.inference_stubs.InferenceStub(self._calls)
        self.session = wire.session_stubs.SessionStub(self._calls)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def code(self, method, request=None):
        """The status of a call of any method with this request, an empty one by default."""
        kind = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
        call = getattr(self._calls, "_".join(kind))(method.path, lambda message: message.SerializeToString(), bytes)
        message = request or method.request()
        try:
            answer = call(iter([message]) if method.client_streaming else message)
            if method.server_streaming:
                next(answer, None)
                answer.cancel()
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def begin(self, name="", **spec):
        """Makes a sandbox and does not wait for it."""
        request = api.CreateSandboxRequest(name=name, spec=data.SandboxSpec(**spec))
        return self.navigator.CreateSandbox(request).sandbox

    def create(self, name="", **spec):
        """Makes a sandbox and waits until it is ready."""
        return self.ready(self.begin(name, **spec).id)

    def ready(self, sandbox_id):
        """Waits until a sandbox is ready and returns it."""
        last = None
        request = api.WatchSandboxRequest(id=sandbox_id, follow_status=True, stop_on_terminal=True)
        try:
            for event in self.navigator.WatchSandbox(request):
                last = event.sandbox if event.HasField("sandbox") else last
        except grpc.RpcError as error:
            raise AssertionError(f"the sandbox does not become ready: {error.details()}\n{last}") from error
        assert last is not None and last.phase == READY, last
        return last

    def get(self, name):
        """Looks at a sandbox."""
        return self.navigator.GetSandbox(api.GetSandboxRequest(name=name)).sandbox

    def sandboxes(self, **page):
        """Lists sandboxes."""
        return list(self.navigator.ListSandboxes(api.ListSandboxesRequest(**page)).sandboxes)

    def delete(self, name):
        """Removes a sandbox."""
        return self.navigator.DeleteSandbox(api.DeleteSandboxRequest(name=name)).deleted

    def stop(self, name):
        """Stops a sandbox."""
        return self.navigator.StopSandbox(api.StopSandboxRequest(name=name)).sandbox

    def start(self, name):
        """Starts a sandbox and waits until it is ready."""
        return self.ready(self.navigator.StartSandbox(api.StartSandboxRequest(name=name)).sandbox.id)

    def events(self, sandbox, *command, **how):
        """Runs a command and returns what comes of it, as it comes."""
        request = api.ExecSandboxRequest(sandbox_id=sandbox.id, command=command, **how)
        return self.navigator.ExecSandbox(request)

    def run(self, sandbox, *command, **how):
        """Runs a command to its end."""
        return gathered(self.events(sandbox, *command, **how))

    def shell(self, sandbox, script, **how):
        """Runs a line of shell to its end."""
        return self.run(sandbox, "/bin/sh", "-c", script, **how)

    def update(self, name, policy, expected_version=0):
        """Gives a sandbox another policy."""
        request = api.UpdateSandboxPolicyRequest(name=name, policy=policy, expected_version=expected_version)
        return self.navigator.UpdateSandboxPolicy(request)

    def revision(self, name, version=0):
        """Looks at a revision of a policy."""
        request = api.GetSandboxPolicyStatusRequest(name=name, version=version)
        return self.navigator.GetSandboxPolicyStatus(request)

    def logs(self, sandbox, **which):
        """A sandbox's log."""
        return self.navigator.GetSandboxLogs(api.GetSandboxLogsRequest(sandbox_id=sandbox.id, **which))

    def push(self, sandbox_id, *batches):
        """Logs lines as a sandbox."""
        requests = (api.PushSandboxLogsRequest(sandbox_id=sandbox_id, logs=batch) for batch in batches)
        return self.navigator.PushSandboxLogs(requests)

    def provide(self, name, credentials, kind="generic", **more):
        """Makes a provider."""
        provider = data.Provider(name=name, type=kind, credentials=credentials, **more)
        return self.navigator.CreateProvider(api.CreateProviderRequest(provider=provider)).provider

    def clean(self, kept=()):
        """Removes every sandbox but those to be kept, every provider and every route."""
        named = {"sandboxes": api.DeleteSandboxRequest, "providers": api.DeleteProviderRequest}
        named["routes"] = wire.inference.DeleteInferenceRouteRequest
        lists = {
            "sandboxes": lambda: self.navigator.ListSandboxes(api.ListSandboxesRequest(limit=1000)),
            "providers": lambda: self.navigator.ListProviders(api.ListProvidersRequest(limit=1000)),
            "routes": lambda: self.inference.ListInferenceRoutes(wire.inference.ListInferenceRoutesRequest(limit=1000)),
        }
        delete = {"sandboxes": self.navigator.DeleteSandbox, "providers": self.navigator.DeleteProvider}
        delete["routes"] = self.inference.DeleteInferenceRoute
        for kind, list_ in lists.items():
            while names := [one.name for one in getattr(list_(), kind) if one.name not in kept]:
                at_once(delete[kind], [named[kind](name=name) for name in names])


def at_once(call, requests):
    """Makes calls, many at the same time, and returns their answers."""
    requests, answers = list(requests), []
    for begin in range(0, len(requests), 100):
        pending = [call.future(request, timeout=2 * LONGEST) for request in requests[begin : begin + 100]]
        answers += [one.result() for one in pending]
    return answers


def gathered(events):
    """What became of a command, from all that came of it."""
    code, out, err = None, [], []
    for event in events:
        assert code is None, "something came after the end"
        match event.WhichOneof("payload"):
            case "stdout":
                out.append(event.stdout.data)
            case "stderr":
                err.append(event.stderr.data)
            case "exit":
                code = event.exit.exit_code
            case other:
                raise AssertionError(f"an event of kind {other}")
    assert code is not None, f"it ended without an exit code: {b''.join(err)!r}"
    return Ran(code, b"".join(out), b"".join(err))


def unique(word):
    """A name that nothing else has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


class _Limit(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Puts a time limit on calls that have none, and says who calls."""

    def __init__(self, metadata):
        self._metadata = list(metadata)

    def _call(self, proceed, details, request):
        metadata = [*(details.metadata or ()), *self._metadata]
        timeout = LONGEST if details.timeout is None else details.timeout
        return proceed(_Details(details.method, timeout, metadata, details.credentials, details.wait_for_ready), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _call


@dataclass
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float
    metadata: list
    credentials: object
    wait_for_ready: bool
    compression: object = None
