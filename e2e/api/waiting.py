"""Waiting for something to become true, with an end."""
import time

# Long enough for a machine that is busy with other things.
LONGEST = 20.0


def eventually(what, holds, longest=LONGEST):
    """Returns the first true value of `holds()`."""
    end = time.monotonic() + longest
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {longest} seconds: {what}")
        time.sleep(0.01)


def next_millisecond():
    """Returns when the clock, in milliseconds, is later than when it was called."""
    begin = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= begin + 1:
        pass
