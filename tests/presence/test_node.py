"""A worker among the others: what one of them says or asks, and what each does for its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from cluster.audience import Subscriber
from cluster.errors import PublishError
from cluster.node import KEPT, PART_BYTES
from cluster.peers import (
    Cleared,
    DisconnectClients,
    Message,
    MessageClients,
    SubscribeClients,
    Target,
    UnsubscribeClients,
)
from cluster.session.commands import Disconnect, Unsubscribe

from ..waiting import until
from .workers import Worker, workers


class Client:
    """A connected client that writes down what is done to it."""

    def __init__(self, client_id: str, user: str = "ann", session_id: str = "", channels: Collection[str] = ()) -> None:
        self.client_id = client_id
        self.user = user
        self.session_id = session_id
        self.channels = channels
        self.frames: list[bytes] = []
        self.closed: list[Disconnect] = []
        self.subscribed: list[SubscribeClients] = []
        self.unsubscribed: list[tuple[str, Unsubscribe]] = []
        self.messages: list[bytes] = []

    def received(self, frame: bytes) -> None:
        self.frames.append(frame)

    def close(self, why: Disconnect) -> None:
        self.closed.append(why)

    def subscribe(self, order: SubscribeClients) -> None:
        self.subscribed.append(order)

    def unsubscribe(self, channel: str, why: Unsubscribe) -> None:
        self.unsubscribed.append((channel, why))

    def message(self, data: bytes) -> None:
        self.messages.append(data)


class Reader(Subscriber):
    """Subscribed to a channel, whatever comes."""

    def deliver(self, frame: object) -> None:
        pass


async def carried_out(order: Message, by: Worker, *everywhere: Worker) -> None:
    """Have `by` say it and all of them hear it."""
    await by.node.say(order)
    for worker in everywhere:
        await worker.node.fence()


async def test_an_order_that_fails_for_one_client_reaches_the_others() -> None:
    class Broken(Client):
        def close(self, why: Disconnect) -> None:
            raise RuntimeError("as it is in this test")

    async with workers(1) as (one,):
        before, after = Client("x"), Client("z")
        for client in (before, Broken("y"), after):
            one.node.clients.add(client)
        await carried_out(DisconnectClients(Target("ann"), 4000, "enough"), one, one)
        assert before.closed == after.closed == [Disconnect(4000, "enough")]


async def test_a_message_reaches_a_user_wherever_she_is_and_nobody_else() -> None:
    async with workers(2) as (one, two):
        here, there, other = Client("x"), Client("y"), Client("z", user="bob")
        one.node.clients.add(here)
        two.node.clients.add(there)
        two.node.clients.add(other)
        await carried_out(MessageClients(Target("ann"), b'"hello"'), one, one, two)
        await carried_out(MessageClients(Target("ann", client="y"), b'"again"'), one, one, two)
        assert (here.messages, there.messages, other.messages) == ([b'"hello"'], [b'"hello"', b'"again"'], [])


async def test_a_user_is_disconnected_wherever_she_is() -> None:
    async with workers(2) as (one, two):
        here, there, other = Client("x"), Client("y"), Client("z", user="bob")
        one.node.clients.add(here)
        two.node.clients.add(there)
        two.node.clients.add(other)
        await carried_out(DisconnectClients(Target("ann"), 4000, "enough"), one, one, two)
        assert here.closed == there.closed == [Disconnect(4000, "enough")]
        assert other.closed == []


async def test_one_of_a_user_s_connections_can_be_meant_or_be_kept() -> None:
    async with workers(2) as (one, two):
        clients = [Client("x"), Client("y", session_id="s"), Client("z")]
        for client in clients:
            two.node.clients.add(client)
        await carried_out(DisconnectClients(Target("ann", client="x"), 4000, "enough"), one, two)
        assert [len(client.closed) for client in clients] == [1, 0, 0]
        await carried_out(DisconnectClients(Target("ann", session="s"), 4000, "enough"), one, two)
        assert [len(client.closed) for client in clients] == [1, 1, 0]
        await carried_out(DisconnectClients(Target("ann"), 4000, "enough", ["z"]), one, two)
        assert [len(client.closed) for client in clients] == [2, 2, 0]
        await carried_out(DisconnectClients(Target("bob", client="x"), 4000, "enough"), one, two)
        assert [len(client.closed) for client in clients] == [2, 2, 0]


async def test_a_user_is_subscribed_and_unsubscribed_wherever_she_is() -> None:
    async with workers(2) as (one, two):
        client = Client("x")
        two.node.clients.add(client)
        order = SubscribeClients(Target("ann"), "room", info=b"{}")
        await carried_out(order, one, two)
        assert client.subscribed == [order]
        await carried_out(UnsubscribeClients(Target("ann"), "room"), one, two)
        assert [channel for channel, _ in client.unsubscribed] == ["room"]
        await carried_out(UnsubscribeClients(Target("ann"), ""), one, two)
        assert [channel for channel, _ in client.unsubscribed] == ["room", ""]


async def test_a_client_that_is_gone_is_left_alone() -> None:
    async with workers(1) as (one,):
        client = Client("x", session_id="s")
        one.node.clients.add(client)
        one.node.clients.add_session(client)
        assert (len(one.node.clients), one.node.clients.users) == (1, 1)
        one.node.clients.remove(client)
        one.node.clients.remove(client)
        assert (len(one.node.clients), one.node.clients.users) == (0, 0)
        await carried_out(DisconnectClients(Target("ann"), 4000, "enough"), one, one)
        assert await one.node.emulate(one.node.id, "s", b"{}")
        assert client.closed == []
        assert client.frames == []


async def test_what_a_client_sent_to_another_worker_reaches_it_in_order() -> None:
    async with workers(3) as (one, two, three):
        client = Client("x", session_id="s")
        three.node.clients.add_session(client)
        frames = [b"\xff" * number for number in range(50)]
        for frame, worker in zip(frames, [one, two] * 25, strict=True):
            assert await worker.node.emulate(three.node.id, "s", frame)
        await until(lambda: len(client.frames) == len(frames), "everything arrived")
        assert client.frames == frames
        assert await three.node.emulate(three.node.id, "s", b"its own")
        assert client.frames[-1] == b"its own"


async def test_a_node_that_does_not_exist_is_not_written_to() -> None:
    async with workers(1) as (one,):
        assert not await one.node.emulate("0123456789abcdef", "s", b"{}")


async def test_emulation_to_a_worker_that_has_gone_is_refused() -> None:
    async with workers(2) as (one, two):
        await two.leave()
        await until(lambda: two.node.id not in one.node.peers.nodes, "it has left")
        assert not await one.node.emulate(two.node.id, "s", b"{}")


async def test_a_client_whose_commands_may_be_lost_has_to_connect_again() -> None:
    async with workers(2) as (one, two):
        client = Client("x", session_id="s")
        two.node.clients.add_session(client)
        two.bus.loses = lambda publication: True
        await one.node.emulate(two.node.id, "s", b"lost")
        await one.bus.clear("/cluster/node/" + two.node.id)
        two.bus.loses = lambda publication: False
        await one.node.emulate(two.node.id, "s", b"seen")
        await until(lambda: client.closed, "the client is told")
        assert client.closed[0].code == 3010
        assert b"lost" not in client.frames


async def test_all_workers_answer_a_question() -> None:
    async with workers(3) as found:
        for number, worker in enumerate(found):
            worker.node.answer("number", lambda number=number: str(number).encode())  # type: ignore[misc]
        for worker in found:
            answers = await worker.node.survey("number")
            assert answers == {other.node.id: str(number).encode() for number, other in enumerate(found)}


async def test_an_answer_may_be_long() -> None:
    async with workers(2) as (one, two):
        long = bytes(range(256)) * (PART_BYTES // 64)
        two.node.answer("long", lambda: long)
        assert (await one.node.survey("long"))[two.node.id] == long


async def test_who_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(3) as (one, two, three):
        monkeypatch.setattr("cluster.node.PATIENCE", 0.2)
        two.bus.loses = lambda publication: publication.channel == "/cluster/nodes"
        monkeypatch.setattr(two.bus, "history", lambda *arguments: asyncio.Event().wait())
        assert (await one.node.survey("?")).keys() == {one.node.id, three.node.id}


async def test_a_history_that_was_removed_is_no_worker_s_to_give() -> None:
    """Each that has the channel keeps what was published lately for those who come back."""
    async with workers(2) as (one, two):
        await two.hub.subscribe("room", Reader())
        before = await one.hub.publish_bytes("room", b"1")
        await one.hub.publish_bytes("room", b"2")
        assert (await two.hub.catch_up("room", Reader(), before, limit=10)).recovered
        await one.bus.clear("room")
        await carried_out(Cleared("room"), one, one, two)
        assert not (await two.hub.catch_up("room", Reader(), before, limit=10)).recovered


async def test_a_worker_that_has_left_says_nothing_more() -> None:
    async with workers(2) as (one, two):
        await one.node.leave()
        with pytest.raises(PublishError, match="leaving"):
            await one.node.say(UnsubscribeClients(Target("ann"), ""))
        await two.node.fence()
        assert two.node.peers.nodes == {two.node.id}


async def test_what_is_no_message_of_a_worker_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async with workers(1) as (one,):
        await one.bus.publish("/cluster/nodes", b"\xc1 nonsense", id="1", retention=KEPT)
        await one.node.fence()
        assert "dropped" in caplog.text
        await one.enter("x")
        assert await one.room() == {"x"}
