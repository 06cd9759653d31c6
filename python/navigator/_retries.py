"""When a call is made again, and when its time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from navigator._errors import DeadlineExceeded

# Seconds before the first and before the later repetitions, at most.
_FIRST, _LONGEST = 0.1, 2.0


class Deadline:
    """A moment by which something must have happened; never, without seconds."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self, what: str) -> float | None:
        """Seconds that are left; an error when none are."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{what}: not within {self._seconds:g} s")
        return left

    def is_over(self, after: float) -> bool:
        """Whether it is over so many seconds from now."""
        return self._at is not None and time.monotonic() + after >= self._at

    def at_most(self, seconds: float, what: str) -> float:
        """So many seconds, or those that are left."""
        left = self.left(what)
        return seconds if left is None else min(seconds, left)


def pauses() -> Iterator[float]:
    """Growing pauses without end, each a bit random, so that clients do not come all at once."""
    longest = _FIRST
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret
        longest = min(longest * 2, _LONGEST)
