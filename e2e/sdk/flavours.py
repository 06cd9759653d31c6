"""The asyncio twin as if it were the blocking one, so that every test runs with both."""

import asyncio
import contextlib
import inspect
import threading

import navigator
import navigator.aio

# Seconds that one call of a test may take.
LONGEST = 120


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work):
        """What comes of an awaitable."""

        async def awaited():
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(LONGEST)

    def call(self, function, args, kwargs):
        """What comes of a call that needs the loop."""

        async def called():
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return self.shown(self.run(called()))

    def shown(self, value):
        """A value as the blocking twin would have it."""
        if inspect.isasyncgen(value):
            return self._generated(value)
        if type(value).__module__.startswith("navigator._aio"):
            return Shown(self, value)
        if hasattr(value, "__aenter__"):
            return self._entered(value)
        return value

    def _generated(self, values):
        try:
            while True:
                try:
                    yield self.run(anext(values))
                except StopAsyncIteration:
                    return
        finally:
            self.run(values.aclose())

    @contextlib.contextmanager
    def _entered(self, manager):
        value = self.run(manager.__aenter__())
        try:
            yield self.shown(value)
        finally:
            self.run(manager.__aexit__(None, None, None))

    def end(self):
        """Ends the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Shown:
    """An object of the asyncio twin."""

    def __init__(self, loop, own):
        self._loop, self._own = loop, own

    def __getattr__(self, name):
        value = getattr(self._own, name)
        if not callable(value):
            return self._loop.shown(value)
        return lambda *args, **kwargs: self._loop.call(value, args, kwargs)

    def __enter__(self):
        self._loop.run(self._own.__aenter__())
        return self

    def __exit__(self, *error):
        self._loop.run(self._own.__aexit__(*error))


class Blocking:
    """The blocking twin."""

    name = "blocking"

    def client(self, target, **how):
        """A client."""
        return navigator.SandboxClient(target, **how)

    def active(self, **how):
        """A client of the active gateway."""
        return navigator.SandboxClient.from_active_gateway(**how)

    def sandbox(self, client=None, **how):
        """A sandbox for a block."""
        return navigator.Sandbox(client=client, **how)

    def routes(self, client):
        """Routes to models."""
        return navigator.InferenceRouteClient(client)

    def end(self):
        """Nothing is open."""


class Asyncio:
    """The asyncio twin."""

    name = "asyncio"

    def __init__(self):
        self._loop = Loop()

    def client(self, target, **how):
        """A client."""
        return self._loop.call(navigator.aio.SandboxClient, (target,), how)

    def active(self, **how):
        """A client of the active gateway."""
        return self._loop.call(navigator.aio.SandboxClient.from_active_gateway, (), how)

    def sandbox(self, client=None, **how):
        """A sandbox for a block."""
        return self._loop.call(navigator.aio.Sandbox, (), {"client": client and client._own, **how})

    def routes(self, client):
        """Routes to models."""
        return self._loop.call(navigator.aio.InferenceRouteClient, (client._own,), {})

    def end(self):
        """Ends the loop."""
        self._loop.end()
