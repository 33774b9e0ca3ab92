"""A channel as a worker receives it: what is delivered, what is missing, who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster import live
from cluster.audience import Format, Subscriber
from cluster.live import LiveChannel, State
from cluster.stream import History, Position, Publication, Retention, beacon, chain
from tests.waiting import PATIENCE

ROOMY = Retention(1000, 1000.0)
NOW = 100.0


def publications(first: int, last: int, epoch: str = "epoch") -> list[Publication]:
    """The publications `first` to `last` of a channel whose offsets have no gaps."""
    items = ((offset, f"id-{offset}", b"data") for offset in range(first, last + 1))
    return chain(epoch, "channel", first - 1, items)


def publication(offset: int, epoch: str = "epoch") -> Publication:
    return publications(offset, offset, epoch)[0]


def history(found: list[Publication], top: int, *, complete: bool = True, epoch: str = "epoch") -> History:
    return History(found, Position(epoch, top), complete)


class Record(Subscriber):
    """Writes down what it is told: the offset of a publication, the position of a reset."""

    def __init__(self) -> None:
        self.told: list[int | Position] = []

    def deliver(self, frame: Any) -> None:
        self.told.append(frame.offset)

    def reset(self, channel: str, position: Position) -> None:
        self.told.append(position)


def opened(position: Position = Position("epoch", 0)) -> tuple[LiveChannel, Record]:  # noqa: B008
    channel, record = LiveChannel("channel", ROOMY), Record()
    channel.open(position)
    channel.attach(record)
    return channel, record


def take(channel: LiveChannel, *found: Publication) -> State:
    state = channel.state
    for publication in found:
        state = channel.take(publication, NOW)
    return state


class TestDelivery:
    def test_what_follows_is_delivered_and_kept(self) -> None:
        channel, record = opened()
        assert take(channel, *publications(1, 3)) is State.LIVE
        assert record.told == [1, 2, 3]
        assert channel.position == Position("epoch", 3)
        assert channel.log.after(0) == publications(1, 3)

    def test_what_comes_twice_is_delivered_once(self) -> None:
        channel, record = opened()
        take(channel, *publications(1, 3), *publications(1, 3), publication(4))
        assert record.told == [1, 2, 3, 4]

    def test_a_beacon_of_what_is_known_changes_nothing(self) -> None:
        channel, record = opened(Position("epoch", 5))
        assert take(channel, beacon("channel", Position("epoch", 5))) is State.LIVE
        assert record.told == []

    def test_every_subscriber_of_every_format_is_reached_and_counted(self) -> None:
        channel, first = opened()
        second = Record()
        channel.attach(second)
        take(channel, *publications(1, 2))
        assert first.told == second.told == [1, 2]
        assert channel.delivered == 4

    def test_who_was_detached_is_reached_no_more(self) -> None:
        channel, record = opened()
        stays = Record()
        channel.attach(stays)
        take(channel, publication(1))
        channel.detach(record)
        take(channel, publication(2))
        assert (record.told, stays.told) == ([1], [1, 2])

    def test_detaching_who_is_not_attached_changes_nothing(self) -> None:
        channel, record = opened()
        channel.detach(Record())
        take(channel, publication(1))
        assert record.told == [1]

    def test_attached_twice_is_attached_once(self) -> None:
        channel, record = opened()
        channel.attach(record)
        take(channel, publication(1))
        assert record.told == [1]

    def test_a_closed_channel_delivers_nothing(self) -> None:
        channel, record = opened()
        channel.close()
        take(channel, publication(1))
        assert record.told == []

    def test_a_channel_opened_again_goes_on_from_its_new_position(self) -> None:
        channel, record = opened()
        take(channel, publication(1), publication(3))
        channel.close()
        channel.open(Position("epoch", 8))
        assert take(channel, publication(9)) is State.LIVE
        assert record.told == [1, 9]
        assert (channel.log.start, channel.log.top) == (8, 9)


class TestFormats:
    def test_a_publication_is_formatted_once_for_all_who_share_a_format(self) -> None:
        channel, _ = opened()
        calls: dict[str, list[int]] = {"shout": [], "whisper": []}
        heard: dict[str, list[str]] = {"shout": [], "whisper": []}

        def made(kind: str) -> Format:
            def format(found: Publication) -> str:
                calls[kind].append(found.offset)
                return f"{kind} {found.offset}"

            return format

        formats = {kind: made(kind) for kind in calls}

        class Listener(Subscriber):
            def __init__(self, kind: str) -> None:
                self.kind = kind
                self.format = formats[kind]

            def deliver(self, frame: Any) -> None:
                heard[self.kind].append(frame)

        for kind in ("shout", "whisper", "shout", "shout"):
            channel.attach(Listener(kind))
        take(channel, *publications(1, 2))
        assert calls == {"shout": [1, 2], "whisper": [1, 2]}
        assert heard == {"shout": ["shout 1"] * 3 + ["shout 2"] * 3, "whisper": ["whisper 1", "whisper 2"]}

    def test_a_format_nobody_uses_any_more_is_not_called(self) -> None:
        channel, _ = opened()
        calls: list[Publication] = []

        class Listener(Record):
            format = staticmethod(calls.append)

        listener = Listener()
        channel.attach(listener)
        channel.detach(listener)
        take(channel, publication(1))
        assert calls == []


class TestGaps:
    def test_what_follows_a_gap_is_held_until_it_is_filled(self) -> None:
        channel, record = opened()
        assert take(channel, publication(1), publication(4), publication(5)) is State.BEHIND
        assert record.told == [1]
        assert channel.fill(history(publications(2, 4), 4), NOW) is State.LIVE
        assert record.told == [1, 2, 3, 4, 5]

    def test_a_beacon_above_the_position_is_a_gap_at_the_end(self) -> None:
        channel, record = opened()
        assert take(channel, beacon("channel", Position("epoch", 2))) is State.BEHIND
        assert channel.fill(history(publications(1, 2), 2), NOW) is State.LIVE
        assert record.told == [1, 2]

    def test_a_gap_is_filled_page_by_page(self) -> None:
        channel, record = opened()
        take(channel, publication(6))
        assert channel.fill(history(publications(1, 2), 6), NOW) is State.BEHIND
        assert channel.fill(history(publications(3, 4), 7), NOW) is State.BEHIND
        take(channel, publication(7), publication(8))
        assert channel.fill(history(publications(5, 7), 7), NOW) is State.LIVE
        assert record.told == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_a_gap_among_what_was_held_is_filled_next(self) -> None:
        channel, record = opened()
        take(channel, publication(2), publication(5))
        assert channel.fill(history(publications(1, 2), 2), NOW) is State.BEHIND
        assert channel.fill(history(publications(3, 5), 5), NOW) is State.LIVE
        assert record.told == [1, 2, 3, 4, 5]

    def test_what_nobody_has_any_more_is_told_where_it_is_missing(self) -> None:
        channel, record = opened()
        take(channel, publication(1), publication(9))
        assert channel.fill(history(publications(6, 9), 9, complete=False), NOW) is State.LIVE
        assert record.told == [1, Position("epoch", 5), 6, 7, 8, 9]
        assert (channel.log.start, channel.log.top) == (5, 9)

    def test_when_nothing_is_kept_the_channel_goes_on_from_the_top(self) -> None:
        channel, record = opened()
        take(channel, publication(1), publication(9))
        assert channel.fill(history([], 9, complete=False), NOW) is State.LIVE
        take(channel, publication(10))
        assert record.told == [1, Position("epoch", 9), 10]

    def test_no_more_is_held_than_the_limit_and_what_is_beyond_shows_as_the_next_gap(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "HELD_LIMIT", 3)
        channel, record = opened()
        take(channel, *publications(2, 8))
        assert channel.fill(history(publications(1, 2), 2), NOW) is State.LIVE
        assert record.told == [1, 2, 3, 4]
        assert take(channel, publication(9)) is State.BEHIND
        assert channel.fill(history(publications(5, 9), 9), NOW) is State.LIVE
        assert record.told == [1, 2, 3, 4, 5, 6, 7, 8, 9]

    def test_an_answer_nobody_waits_for_any_more_changes_nothing(self) -> None:
        channel, record = opened()
        take(channel, publication(1))
        assert channel.fill(history(publications(1, 5), 5), NOW) is State.LIVE
        assert record.told == [1]
        channel.close()
        channel.fill(history(publications(1, 5), 5), NOW)
        assert record.told == [1]


class TestAnotherEpoch:
    """The bus lost its log and began a new one. Its history says what the new one holds."""

    def answered(self, channel: LiveChannel, last: int) -> None:
        """Answer, until the channel asks no more, as the bus whose log is the publications 1 to `last` of "new"."""
        for _ in range(10):
            if channel.state is State.LIVE:
                return
            known = channel.position.epoch == "new"
            first = channel.position.offset + 1 if known else 1
            channel.fill(history(publications(first, last, "new"), last, epoch="new", complete=known), NOW)
        raise AssertionError("the channel never stops asking")

    def test_is_told_and_then_read_from_its_beginning(self) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, publication(1, "new"))
        self.answered(channel, 1)
        take(channel, publication(2, "new"))
        assert record.told == [Position("new", 0), 1, 2]

    def test_is_told_by_a_beacon(self) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, beacon("channel", Position("new", 0)))
        self.answered(channel, 0)
        assert record.told == [Position("new", 0)]

    @pytest.mark.parametrize(
        "first", [beacon("channel", Position("new", 4)), publication(5, "new")], ids=["beacon", "publication"]
    )
    def test_what_it_already_holds_is_delivered(self, first: Publication) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, first)
        self.answered(channel, 5)
        take(channel, publication(5, "new"), publication(6, "new"))
        assert record.told == [Position("new", 0), 1, 2, 3, 4, 5, 6]

    def test_found_while_a_gap_is_filled_is_told(self) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, publication(9, "old"))
        self.answered(channel, 3)
        assert record.told == [Position("new", 0), 1, 2, 3]

    def test_what_was_held_of_the_old_one_does_not_bring_it_back(self) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, publication(9, "old"), beacon("channel", Position("new", 0)), *publications(1, 3, "new"))
        self.answered(channel, 3)
        assert record.told == [Position("new", 0), 1, 2, 3]

    def test_what_comes_late_of_the_old_one_does_not_bring_it_back(self) -> None:
        channel, record = opened(Position("old", 7))
        take(channel, publication(9, "old"))
        self.answered(channel, 3)
        take(channel, publication(10, "old"))
        self.answered(channel, 3)
        take(channel, beacon("channel", Position("new", 0)), *publications(1, 4, "new"))
        assert record.told == [Position("new", 0), 1, 2, 3, 4]


class TestReached:
    async def waiting(self, channel: LiveChannel, position: Position) -> asyncio.Task[None]:
        task = asyncio.create_task(channel.reached(position))
        await asyncio.sleep(0)
        return task

    async def test_who_waits_for_a_position_goes_on_when_it_is_reached(self) -> None:
        channel, _ = opened()
        task = await self.waiting(channel, Position("epoch", 3))
        take(channel, *publications(1, 2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        take(channel, publication(3))
        await asyncio.wait_for(task, PATIENCE)

    async def test_who_waits_for_a_position_already_reached_does_not_wait(self) -> None:
        channel, _ = opened(Position("epoch", 5))
        await asyncio.wait_for(channel.reached(Position("epoch", 5)), PATIENCE)

    async def test_who_waits_goes_on_in_another_epoch(self) -> None:
        channel, _ = opened()
        task = await self.waiting(channel, Position("epoch", 3))
        take(channel, beacon("channel", Position("new", 0)))
        channel.fill(history([], 0, epoch="new", complete=False), NOW)
        await asyncio.wait_for(task, PATIENCE)

    async def test_who_waits_goes_on_when_the_channel_is_closed(self) -> None:
        channel, _ = opened()
        task = await self.waiting(channel, Position("epoch", 3))
        channel.close()
        await asyncio.wait_for(task, PATIENCE)

    async def test_who_gave_up_waiting_does_no_harm(self) -> None:
        channel, record = opened()
        task = await self.waiting(channel, Position("epoch", 3))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        take(channel, *publications(1, 3))
        assert record.told == [1, 2, 3]
