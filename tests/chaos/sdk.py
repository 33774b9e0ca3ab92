"""A subscriber that speaks the Centrifugo client protocol, as the SDKs do: JSON, one WebSocket, resubscribing."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from websockets.asyncio.client import ClientConnection

from .checker import Delivery
from .client import Subscriber

RESUBSCRIBE = 2500
"""Code of an unsubscribe push from which on a client subscribes again."""


class SdkSubscriber(Subscriber):
    """Follows one channel over `/connection/websocket`."""

    def __init__(self, url: str, channel: str, jitter: random.Random, *, forgetful: bool = False) -> None:
        super().__init__(url, channel, jitter, forgetful=forgetful)
        self.url = f"{url}/connection/websocket"
        self._ids = itertools.count(1)
        self._asked = 0

    def address(self) -> str:
        return self.url

    async def use(self, socket: ClientConnection) -> None:
        await socket.send(f"{json.dumps({'id': next(self._ids), 'connect': {}})}\n{self._subscribe()}")
        async for frame in socket:
            for line in str(frame).split("\n"):
                answer = self._take_reply(json.loads(line))
                if answer is not None:
                    await socket.send(answer)

    def _subscribe(self) -> str:
        self._asked = next(self._ids)
        request: dict[str, Any] = {"channel": self.record.channel}
        if self._position is not None and not self._forgetful:
            request |= {"recover": True, "epoch": self._position[0], "offset": self._position[1]}
        return json.dumps({"id": self._asked, "subscribe": request})

    def _take_reply(self, reply: dict[str, Any]) -> str | None:
        """Note what the server says; what to answer."""
        if not reply:
            return "{}"
        if "error" in reply:
            # A command that failed for now: begin anew, as after a lost connection.
            raise TimeoutError(str(reply["error"]))
        if reply.get("id") == self._asked:
            self._take_place(reply["subscribe"])
        push = reply.get("push", {})
        if "pub" in push:
            self._take_publication(push["pub"])
        if push.get("unsubscribe", {}).get("code", 0) >= RESUBSCRIBE:
            return self._subscribe()
        return None

    def _take_place(self, result: dict[str, Any]) -> None:
        """Note where the subscription starts, and what was missed."""
        if result.get("recovered"):
            self.recoveries += 1
        elif result.get("was_recovering"):
            self.record.told_losses += 1
        self._position = (result["epoch"], result.get("offset", 0))
        if self.record.start is None:
            self.record.start = self._position
        for publication in result.get("publications", []):
            self._take_publication(publication)

    def _take_publication(self, publication: dict[str, Any]) -> None:
        assert self._position is not None, "publications follow the answer to a subscribe"
        self._hear()
        self._position = (self._position[0], publication["offset"])
        self.record.deliveries.append(Delivery(*self._position, publication["data"]["id"]))
