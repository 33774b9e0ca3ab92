"""Presence over the bus: what one worker was told, all of them know when they are asked."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from cluster.errors import BusUnavailable, PublishError
from cluster.peers import Message, decode
from cluster.presence import Ask, Changed, Whole
from cluster.session.commands import ClientInfo
from cluster.stream import Publication

from ..waiting import until
from .workers import Worker, group, workers


def told(worker: Worker, *kinds: type) -> list[object]:
    """Have messages of these kinds written down as they reach `worker`."""
    found: list[object] = []

    def look(publication: Publication) -> bool:
        if publication.data is not None and isinstance(message := decode(publication.data), kinds):
            found.append(message)
        return False

    worker.bus.loses = look
    return found


async def test_who_enters_on_one_worker_is_seen_on_another_at_once() -> None:
    async with workers(3) as (one, two, three):
        for number in range(100):
            await one.enter(f"x{number}")
            assert f"x{number}" in await two.room()
            assert f"x{number}" in await three.room()
            one.exchange.leave("room", f"x{number}")
            await one.exchange.told()
            assert await two.room() == set()


async def test_what_is_known_of_a_client_is_known_everywhere() -> None:
    async with workers(2) as (one, two):
        info = ClientInfo("ann", "x", msgspec.Raw(b'{"name":"Ann"}'), msgspec.Raw(b"\xff"))
        await one.exchange.enter("room", info)
        assert await two.exchange.read("room") == {"x": info}


async def test_joins_and_leaves_are_told_once_on_every_worker() -> None:
    async with workers(2) as (one, two):
        one.watch()
        two.watch()
        await one.enter("x")
        await one.enter("x", "another room")
        await two.enter("y")
        one.exchange.leave("room", "x")
        one.exchange.leave("room", "x")
        await one.exchange.told()
        await one.room()
        await two.room()
        assert one.events == two.events == [("joined", "room", "x"), ("joined", "room", "y"), ("left", "room", "x")]


async def test_who_watches_no_more_is_told_no_more() -> None:
    async with workers(1) as (one,):
        one.watch()
        one.exchange.unwatch("room", one)
        one.exchange.unwatch("room", one)
        await one.enter("x")
        await one.room()
        assert one.events == []


async def test_a_new_worker_knows_who_was_there_before_it() -> None:
    async with group() as cluster:
        one, two = await cluster.add(), await cluster.add()
        await one.enter("x")
        await two.enter("y")
        assert await (await cluster.add()).room() == {"x", "y"}


async def test_the_clients_of_a_killed_worker_leave() -> None:
    async with workers(3) as (one, two, three):
        two.watch()
        await one.enter("x")
        await three.enter("y")
        await one.kill()
        await until(lambda: ("left", "room", "x") in two.events, "the client has left")
        assert await two.room() == await three.room() == {"y"}
        assert two.events.count(("left", "room", "x")) == 1


async def test_the_clients_of_a_worker_that_ends_leave_at_once() -> None:
    async with workers(2) as (one, two):
        await one.enter("x")
        await one.leave()
        assert await two.room() == set()


async def test_a_paused_worker_s_clients_leave_and_come_back_with_it() -> None:
    async with workers(2) as (one, two):
        two.watch()
        await one.enter("x")
        await one.pause()
        await until(lambda: ("left", "room", "x") in two.events, "the client has left")
        assert await two.room() == set()
        await two.enter("y")
        await one.resume()
        await until(lambda: two.events[-1] == ("joined", "room", "x"), "the client is back")
        assert await one.room() == await two.room() == {"x", "y"}
        assert two.events.count(("joined", "room", "x")) == 2


async def test_a_worker_that_hears_nothing_for_a_while_knows_everything_afterwards() -> None:
    async with workers(2) as (one, two):
        await one.enter("x")
        assert await two.room() == {"x"}
        two.bus.loses = lambda publication: True
        await one.enter("y")
        one.exchange.leave("room", "x")
        await one.exchange.told()
        two.bus.loses = lambda publication: False
        assert await two.room() == {"y"}


async def test_a_worker_that_missed_what_the_bus_has_forgotten_asks_for_it() -> None:
    async with workers(2) as (one, two):
        two.watch()
        await one.enter("x")
        await two.room()
        two.bus.loses = lambda publication: True
        await one.enter("y")
        one.exchange.leave("room", "x")
        await one.exchange.told()
        await one.bus.clear("/cluster/nodes")
        two.bus.loses = lambda publication: False
        assert await two.room() == {"y"}
        assert two.events == [("joined", "room", "x"), ("left", "room", "x"), ("joined", "room", "y")]


async def test_who_got_no_answer_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(2) as (one, two):
        await one.enter("x")
        await two.room()
        heard, missed = one.exchange.heard, 0

        def miss_the_first(message: Message) -> None:
            nonlocal missed
            if isinstance(message, Ask) and not missed:
                missed += 1
            else:
                heard(message)

        monkeypatch.setattr(one.exchange, "heard", miss_the_first)
        two.exchange.lost()
        assert await two.room() == {"x"}
        assert missed


async def test_a_client_has_not_entered_when_the_bus_does_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.exchange.RETRY", 0.01)
    async with workers(2) as (one, two):

        async def fail(channel: str, data: bytes, **options: object) -> object:
            raise PublishError("the bus is away", id=str(options["id"]))

        with monkeypatch.context() as now:
            now.setattr("cluster.exchange.PATIENCE", 0.2)
            now.setattr(one.bus, "publish", fail)
            with pytest.raises(BusUnavailable):
                await one.enter("x")
        await one.enter("y")
        assert await two.room() == {"y"}


async def test_a_client_that_cannot_be_told_of_harms_nobody_else() -> None:
    async with workers(2) as (one, two):
        with pytest.raises(ValueError):
            await one.enter("half a surrogate pair \ud800")
        await one.enter("x")
        assert await two.room() == {"x"}


async def test_a_client_that_goes_while_it_enters_is_not_there() -> None:
    async with workers(2) as (one, two):
        entering = asyncio.ensure_future(one.enter("x"))
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        await one.exchange.told()
        assert await two.room() == set()


async def test_a_reader_is_told_when_a_worker_s_clients_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(2) as (one, two):
        monkeypatch.setattr("cluster.exchange.PATIENCE", 0.2)
        one.node.observers.clear()  # it gives signs of life, but answers nothing
        two.exchange.lost()
        with pytest.raises(BusUnavailable, match="not every worker"):
            await two.room()


async def test_clients_that_enter_together_are_told_together() -> None:
    async with workers(2) as (one, two):
        messages = told(two, Changed)
        clients = {f"x{number}" for number in range(2_000)}
        await asyncio.gather(*map(one.enter, clients))
        assert await two.room() == clients
        assert 1 < len(messages) < 20


async def test_a_worker_with_too_much_to_tell_tells_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.exchange.MANY", 100)
    async with workers(2) as (one, two):
        two.watch()
        messages = told(two, Changed, Whole)
        clients = {f"x{number}" for number in range(500)}
        await asyncio.gather(*map(one.enter, clients))
        assert await two.room() == clients
        assert sorted(two.events) == sorted(("joined", "room", client) for client in clients)
        assert 1 <= len(messages) < 5


async def test_workers_that_all_ask_share_the_answers() -> None:
    async with workers(8) as found:
        one = found[0]
        await asyncio.gather(*(one.enter(f"x{number}") for number in range(10)))
        wholes = told(one, Whole)
        for worker in found:
            worker.exchange.lost()
        for worker in found:
            assert len(await worker.room()) == 10
        assert len(wholes) < 4 * len(found)


async def test_a_bus_without_history_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(2) as (one, two):
        for worker in (one, two):
            worker.bus.capabilities = worker.bus.capabilities._replace(recoverable=False)
        for number in range(20):
            await one.enter(f"x{number}")
            assert f"x{number}" in await two.room()
