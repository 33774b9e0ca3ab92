"""How often something may happen. Pure: time is passed in."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` events per second in the long run and `burst` at once."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more event is allowed at `now` (seconds)."""
        if self.empty(now):
            return False
        self._left -= 1
        return True

    def empty(self, now: float) -> bool:
        """Whether no event is allowed at `now`."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left < 1
