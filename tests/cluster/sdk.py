"""A client of the published Python SDK that writes down what happens to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import centrifuge
import jwt
from centrifuge import (
    Client,
    ClientEventHandler,
    ConnectedContext,
    DisconnectedContext,
    JoinContext,
    LeaveContext,
    PublicationContext,
    ServerSubscribedContext,
    ServerUnsubscribedContext,
    Subscription,
    SubscriptionEventHandler,
    UnsubscribedContext,
)

from tests.waiting import PATIENCE

SECRET = "a secret of the tests that is long enough"

Told = tuple[str, str, object]
"""What happened, where, and to whom or with which code."""


class _ClientEvents(ClientEventHandler):  # type: ignore[misc]
    def __init__(self, person: Person) -> None:
        self._person = person

    async def on_connected(self, ctx: ConnectedContext) -> None:
        self._person.client_id = ctx.client

    async def on_disconnected(self, ctx: DisconnectedContext) -> None:
        self._person.told.append(("disconnected", ctx.reason, ctx.code))

    async def on_subscribed(self, ctx: ServerSubscribedContext) -> None:
        self._person.told.append(("subscribed by the server", ctx.channel, ctx.data))

    async def on_unsubscribed(self, ctx: ServerUnsubscribedContext) -> None:
        self._person.told.append(("unsubscribed by the server", ctx.channel, None))


class _SubscriptionEvents(SubscriptionEventHandler):  # type: ignore[misc]
    def __init__(self, person: Person, channel: str) -> None:
        self._told = person.told
        self._channel = channel

    async def on_join(self, ctx: JoinContext) -> None:
        self._told.append(("joined", self._channel, ctx.info.client))

    async def on_leave(self, ctx: LeaveContext) -> None:
        self._told.append(("left", self._channel, ctx.info.client))

    async def on_publication(self, ctx: PublicationContext) -> None:
        self._told.append(("published", self._channel, ctx.pub.data))

    async def on_unsubscribed(self, ctx: UnsubscribedContext) -> None:
        self._told.append(("unsubscribed", self._channel, ctx.code))


class Person:
    """A user's connection. `told` is what happened, in order."""

    def __init__(self, port: int, user: str, host: str = "127.0.0.1") -> None:
        self.user = user
        self.told: list[Told] = []
        self.client_id = ""
        self.client = Client(
            f"ws://{host}:{port}/connection/websocket",
            events=_ClientEvents(self),
            token=jwt.encode({"sub": user}, SECRET),
            timeout=PATIENCE,
            proxy=None,
        )

    async def subscribe(self, channel: str) -> Subscription:
        """The subscription, which is there when this returns."""
        try:
            subscription = self.client.new_subscription(channel, _SubscriptionEvents(self, channel))
        except centrifuge.DuplicateSubscriptionError:
            known = self.client.get_subscription(channel)
            assert known is not None
            subscription = known
        await subscription.subscribe()
        await subscription.ready(PATIENCE)
        return subscription

    async def present(self, channel: str) -> set[str]:
        """Ids of the clients in `channel`, as the worker says that this one is connected to."""
        return set((await self.client.presence(channel, timeout=PATIENCE)).clients)


@asynccontextmanager
async def people(*users: tuple[int, str]) -> AsyncIterator[list[Person]]:
    """These users, each connected to a port."""
    found = [Person(port, user) for port, user in users]
    try:
        for person in found:
            await person.client.connect()
        for person in found:
            await person.client.ready(PATIENCE)
        yield found
    finally:
        await _disconnect(found)


async def _disconnect(people: Iterable[Person]) -> None:
    for person in people:
        await person.client.disconnect()
