"""When a client is pinged, and whether it has answered."""

from __future__ import annotations

from math import inf


class Pings:
    """Pings every `interval` seconds, each to be answered within `timeout` seconds.

    0 for `timeout`: no answer is wanted. 0 for `interval`: there are no pings.
    """

    __slots__ = ("_due", "_interval", "_overdue", "_timeout", "_unanswered")

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._unanswered = False
        self.stop()

    @property
    def deadline(self) -> float:
        """When the next ping is due or an answer overdue."""
        return min(self._due, self._overdue)

    def start(self, now: float, jitter: float) -> None:
        """`jitter`, 0 to 1, says where in the second half of the interval the first ping is."""
        self._due = now + self._interval * (1 + jitter) / 2 if self._interval else inf

    def stop(self) -> None:
        self._due = self._overdue = inf

    def answer(self) -> bool:
        """Take a pong. False if no ping waits for one."""
        expected, self._unanswered = self._unanswered, False
        self._overdue = inf
        return expected

    def overdue(self, now: float) -> bool:
        return self._overdue <= now

    def take(self, now: float) -> bool:
        """Whether to ping now."""
        if now < self._due:
            return False
        self._unanswered = True
        self._due = now + self._interval
        if self._timeout:
            self._overdue = now + self._timeout
        return True
