"""The JetStream stream that holds the channels of one prefix.

A channel is a subject of the stream. The server republishes what it has stored, together with its sequence number and
the one before it in the channel: so plain subscriptions receive it, and no consumer is kept for any channel. The
stream's name ends with the epoch: each acknowledgement and each message says by itself to which epoch it belongs.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

import msgspec
from nats.aio.msg import Msg

from ..errors import BusUnavailable
from ..stream import Position
from .jetfind import epoch_of, find
from .natslink import NatsLink, Request, Target
from .natsmessage import Stored, from_headers, item_of, mark, stored, token
from .outbox import Outgoing

API = "$JS.API."
UNAVAILABLE, NOT_LAST = 503, 10071
PAGE_BYTES = 1024 * 1024


class JetStream:
    """The stream as it is over one connection. Its verbs raise `BusUnavailable`."""

    def __init__(self, link: NatsLink, target: Target) -> None:
        self.link = link
        self.name = ""
        self.seen = 0
        self.replicated = target.replicas > 1
        self._target = target

    def outgoing(self, channel: str) -> str:
        """The subject on which what is stored in `channel` comes out."""
        return f"{self._target.prefix}.out.{token(channel)}"

    def epoch(self, stream: str) -> str:
        return epoch_of(self._target, stream)

    def saw(self, stream: str, seq: int) -> None:
        """Remember the highest sequence number there was."""
        if stream == self.name and seq > self.seen:
            self.seen = seq

    async def find(self, known: str, seen: int) -> None:
        """Find the stream, or create it. `seen`: the highest sequence number known of the stream `known`."""
        self.name, self.seen = await find(self._api, self._target, known, seen)

    async def publish(self, batch: Sequence[Outgoing[msgspec.Raw]], seconds: float) -> None:
        """Settle each of `batch`, in this order. Raises unless all are within `seconds`."""
        requests, waiting = [], []
        for outgoing in batch:
            item = item_of(outgoing.item)
            key = blake2b(f"{item.channel}\0{item.id}".encode(), digest_size=16).hexdigest()
            if outgoing.size > self.link.max_payload:
                outgoing.refused(f"the server takes up to {self.link.max_payload} bytes")
            if not outgoing.place.done():
                waiting.append(outgoing)
                requests.append(Request(self._subject(item.channel), bytes(outgoing.item), {"Nats-Msg-Id": key}))
        left = len(waiting)

        def take(index: int, message: Msg) -> bool:
            nonlocal left
            answer = msgspec.json.decode(message.data)
            error = answer.get("error")
            if error is None and answer["stream"] != self.name:
                # There are two, or another one: the next connection settles which.
                self.link.closed.set()
                raise BusUnavailable(f"{answer['stream']!r} has taken what was for {self.name!r}")
            if error is None:
                self.saw(answer["stream"], answer["seq"])
                waiting[index].accepted(Position(self.epoch(answer["stream"]), answer["seq"]))
            elif error["code"] == UNAVAILABLE:
                raise BusUnavailable(error["description"])
            else:
                waiting[index].refused(error["description"])
            left -= 1
            return not left

        if requests:
            await self.link.exchange(requests, take, seconds)

    async def mark(self, channel: str, after: int, place: int) -> int:
        """Have `channel` begin at `place`, or if 0 right there. Returns where the mark stands.

        That is 0 if something was stored since `after`: then there is none.
        """
        expected = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        answer = await self._ask(Request(self._subject(channel), mark(place), expected))
        if (error := answer.get("error")) and error["err_code"] != NOT_LAST:
            raise BusUnavailable(error["description"])
        return 0 if error else int(answer["seq"])

    async def purge(self, channel: str, **what: int) -> None:
        """Let go of messages of `channel`: `keep` so many, or all before the one at `seq`."""
        answer = await self._api(f"STREAM.PURGE.{self.name}", filter=self._subject(channel), **what)
        if error := answer.get("error"):
            raise BusUnavailable(error["description"])

    async def last(self, channels: Sequence[str]) -> dict[str, Stored]:
        """The last message of each channel that has any."""
        subjects = {channel: self._subject(channel) for channel in channels}
        if not self.replicated:
            return dict(await self._get(multi_last=list(subjects.values()), batch=len(subjects)))
        found = {}
        for channel, subject in subjects.items():  # any replica may answer the other way, the leader knows the last one
            message = (await self._api(f"STREAM.MSG.GET.{self.name}", last_by_subj=subject)).get("message")
            if message is not None:
                data = base64.b64decode(message.get("data", ""))
                found[channel] = stored(self.name, message["seq"], data, message["time"])
        return found

    async def page(self, channel: str, seq: int, count: int) -> list[Stored]:
        """At most `count` messages of `channel` from `seq` on."""
        subject = self._subject(channel)
        found = await self._get(seq=max(1, seq), next_by_subj=subject, batch=count, max_bytes=PAGE_BYTES)
        return [each for _, each in found]

    async def _get(self, **request: object) -> list[tuple[str, Stored]]:
        found: list[tuple[str, Stored]] = []

        def take(_: int, message: Msg) -> bool:
            headers: dict[str, str] = message.headers or {}
            status = headers.get("Status")
            if status is None:
                channel = unquote(headers["Nats-Subject"].rpartition(".")[2])
                found.append((channel, from_headers(headers, message.data)))
            elif status not in ("204", "404"):  # the end; nothing there
                raise BusUnavailable(f"the stream answers {status} {headers.get('Description', '')}")
            return status is not None

        await self.link.exchange([Request(f"{API}DIRECT.GET.{self.name}", msgspec.json.encode(request))], take)
        return found

    async def _api(self, verb: str, **request: object) -> dict[str, Any]:
        return await self._ask(Request(API + verb, msgspec.json.encode(request)))

    async def _ask(self, request: Request) -> dict[str, Any]:
        answer: dict[str, Any] = {}

        def take(_: int, message: Msg) -> bool:
            answer.update(msgspec.json.decode(message.data))
            return True

        await self.link.exchange([request], take)
        return answer

    def _subject(self, channel: str) -> str:
        return f"{self._target.prefix}.in.{token(channel)}"
