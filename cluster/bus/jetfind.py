"""Which stream a prefix has, or its creation by one worker while the others wait.

NATS takes two streams of the same subjects if they are created at the same moment. Two of one name it never takes: so a
stream without any use but its name is the lock.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..errors import BusUnavailable
from .natslink import Target

logger = logging.getLogger(__name__)

LONGEST = 86_400 * 10**9
"""Nanoseconds anything is kept at most."""
SAME_ID = 240 * 10**9
"""Nanoseconds an id is known."""
OVERLAP, NAME_IN_USE = 10065, 10058
TRY_AGAIN = 0.1
"""Seconds between two looks at what another worker creates."""
ABANDONED = 2.0
"""Seconds after which who holds the lock is taken for dead."""

Api = Callable[..., Awaitable[dict[str, Any]]]
"""Asks the server one thing of its JetStream API. Raises `BusUnavailable`."""


def stream_name(target: Target, epoch: str) -> str:
    return f"{target.prefix}-{epoch}"


def epoch_of(target: Target, stream: str) -> str:
    """The epoch that a stream's name ends with; the whole name when it is none of ours."""
    return stream.removeprefix(f"{target.prefix}-")


async def find(api: Api, target: Target, known: str, seen: int) -> tuple[str, int]:
    """The stream's name and its last sequence number. `seen`: the highest known of the stream `known`.

    Raises `BusUnavailable`.
    """
    lock = _Lock(api, target)
    while True:
        names = await _names(api, target)
        # Should there be several all the same, everyone keeps the first.
        for name in names[1:]:
            await api(f"STREAM.DELETE.{name}")
        for name in names[:1]:
            last: int = (await api(f"STREAM.INFO.{name}")).get("state", {}).get("last_seq", 0)
            if name != known or last >= seen:
                return name, last
            # It is not what it was, and an offset must not mean two publications.
            logger.error("the stream %r ends at %d, it had %d: beginning anew", name, last, seen)
            await api(f"STREAM.DELETE.{name}")
        if await lock.taken():
            try:
                if not await _names(api, target):
                    await _create(api, target)
            finally:
                with suppress(BusUnavailable):
                    await lock.release()
        else:
            await asyncio.sleep(TRY_AGAIN)


async def _names(api: Api, target: Target) -> list[str]:
    subjects = _subjects(target)
    names = sorted((await api("STREAM.NAMES", subject=subjects)).get("streams") or ())
    for name in names:
        if epoch_of(target, name) == name:
            raise BusUnavailable(f"the subjects {subjects!r} belong to another stream, {name!r}")
    return names


async def _create(api: Api, target: Target) -> None:
    name = stream_name(target, secrets.token_hex(4))
    subjects = _subjects(target)
    created = await api(
        f"STREAM.CREATE.{name}", name=name, subjects=[subjects], storage="file", retention="limits", discard="old",
        num_replicas=target.replicas, max_bytes=target.max_bytes, max_age=LONGEST, duplicate_window=SAME_ID,
        allow_direct=True, republish={"src": subjects, "dest": target.prefix + ".out.{{wildcard(1)}}"},
    )  # fmt: skip
    if (error := created.get("error")) and error["err_code"] != OVERLAP:
        raise BusUnavailable(f"cannot create the stream {name!r}: {error['description']}")


def _subjects(target: Target) -> str:
    return f"{target.prefix}.in.*"


class _Lock:
    """Held by who created the stream of this name; the description says who that is."""

    def __init__(self, api: Api, target: Target) -> None:
        self._api = api
        self._name = f"{target.prefix}-lock"
        self._subject = f"{target.prefix}.lock"
        self._me = secrets.token_hex(8)
        self._other = ("", 0.0)

    async def taken(self) -> bool:
        """Take it if nobody has it. One that is not given back is taken away."""
        created = await self._api(
            f"STREAM.CREATE.{self._name}", name=self._name, subjects=[self._subject], storage="file",
            description=self._me, max_bytes=1024,
        )  # fmt: skip
        error = created.get("error")
        if error is None:
            return True
        if error["err_code"] != NAME_IN_USE:
            raise BusUnavailable(f"cannot create the stream {self._name!r}: {error['description']}")
        holder = await self._holder()
        if holder != self._other[0]:
            self._other = (holder, time.monotonic())
        elif holder and time.monotonic() - self._other[1] > ABANDONED:
            await self._take_from(holder)
        return False

    async def release(self) -> None:
        """Give it back, unless it was taken away."""
        await self._take_from(self._me)

    async def _holder(self) -> str:
        found: str = (await self._api(f"STREAM.INFO.{self._name}")).get("config", {}).get("description", "")
        return found

    async def _take_from(self, holder: str) -> None:
        if await self._holder() == holder:
            await self._api(f"STREAM.DELETE.{self._name}")
