"""The channels an application declares, and which of them a name belongs to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

from .access import ChannelOptions, Recovery, Who
from .channel import Channel
from .errors import ChannelError
from .hub import check_public
from .stream import Retention

REMEMBERED = 10_000
"""Names whose channel need not be looked for again; clients choose names."""


class Declarations:
    """In the order they were made: the first that a name fits is its channel."""

    def __init__(self) -> None:
        self.channels: list[Channel[Any]] = []
        self.find = lru_cache(REMEMBERED)(self._find)

    def add(self, channel: Channel[Any]) -> None:
        """Raises `ChannelError`."""
        check_public(channel.pattern)
        check_retention(channel.pattern, channel.retention)
        check_options(channel.pattern, channel.options)
        if any(declared.pattern == channel.pattern for declared in self.channels):
            raise ChannelError(f"channel {channel.pattern!r} is declared already")
        self.channels.append(channel)
        self.find.cache_clear()

    def _find(self, name: str) -> Channel[Any] | None:
        return next((channel for channel in self.channels if channel.matches(name)), None)


def check_retention(pattern: str, history: Retention | None) -> None:
    """Raise `ChannelError` unless this can be kept."""
    if history is not None and (not isinstance(history.size, int) or history.size < 0 or history.seconds < 0):
        raise ChannelError(f"channel {pattern!r}: {history} is no number of publications and seconds to keep")


def check_options(pattern: str, options: ChannelOptions) -> None:
    """Raise `ChannelError` if the options cannot be meant."""

    def require(condition: bool, what: str) -> None:
        if not condition:
            raise ChannelError(f"channel {pattern!r}: {what}")

    require(options.recovery in get_args(Recovery), f"recovery is one of {get_args(Recovery)}")
    for name, value in options._asdict().items():
        if name.startswith("allow_"):
            require(value in get_args(Who), f"{name} is one of {get_args(Who)}, not {value!r}")
    require(options.allow_subscribe != "subscribers", "who may subscribe is not subscribed yet: say users or anyone")
    kept = options.history is not None and options.history.size > 0
    needed = "needs a history, for example history=Retention(100, 300), or a HISTORY_SIZE above 0"
    require(kept or options.recovery == "off", f"recovery {needed}")
    require(kept or options.allow_history == "nobody", f"allow_history {needed}")
    require(options.presence or options.allow_presence == "nobody", "allow_presence needs presence=True")
