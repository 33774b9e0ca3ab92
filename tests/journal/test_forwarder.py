"""A running forwarder and its journal: killed, started again, with a bad journal, without room, beside another."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cluster.bus.zmq import ZmqBus
from cluster.errors import PublishError, PublishRefused
from cluster.stream import Position, Retention
from tests.waiting import PATIENCE, until

from .process import ForwarderProcess, everything, free_ports

ROOMY = Retention(100_000, 3600.0)


@pytest.fixture
def forwarder() -> Iterator[ForwarderProcess]:
    with ForwarderProcess() as process:
        yield process


@pytest.fixture
async def bus(forwarder: ForwarderProcess) -> AsyncIterator[ZmqBus]:
    """A client of a forwarder that has been started."""
    forwarder.start()
    await forwarder.started()
    async with forwarder.bus() as bus:
        await until(lambda: bus.reachable, "the forwarder answers")
        yield bus


async def publish(bus: ZmqBus, id: str, data: bytes = b"data", channel: str = "channel") -> Position:
    return await bus.publish(channel, data, id=id, retention=ROOMY)


async def refusal(bus: ZmqBus, data: bytes = b"data") -> str:
    with pytest.raises(PublishRefused) as caught:
        await publish(bus, "refused", data)
    return str(caught.value)


class TestKilled:
    async def test_nothing_acknowledged_is_lost_doubled_or_moved(self, forwarder: ForwarderProcess) -> None:
        chance = random.Random(1)
        channels = ["one", "two"]
        acknowledged: dict[str, dict[str, Position]] = {channel: {} for channel in channels}
        finish = asyncio.Event()

        async def publisher(name: str) -> None:
            """Publishes to all channels in turn, 20 at a time under way, until it is told to finish."""

            async def one(client: ZmqBus, number: int) -> None:
                channel = channels[number % len(channels)]
                id = f"{name}-{number}"
                acknowledged[channel][id] = await publish(client, id, id.encode(), channel)

            async with forwarder.bus() as client:
                under_way: list[asyncio.Task[None]] = []
                number = 0
                while not finish.is_set():
                    under_way.append(asyncio.create_task(one(client, number)))
                    number += 1
                    if len(under_way) == 20:
                        await under_way.pop(0)
                await asyncio.gather(*under_way)

        async def some_more() -> None:
            enough = count() + chance.randint(200, 1000)
            await until(lambda: count() >= enough, "publications are acknowledged")

        def count() -> int:
            return sum(map(len, acknowledged.values()))

        forwarder.start()
        publishers = [asyncio.create_task(publisher(f"publisher-{letter}")) for letter in "abcd"]
        for _ in range(5):
            await some_more()
            forwarder.kill()
            forwarder.start()
        finish.set()
        await asyncio.gather(*publishers)

        async with forwarder.bus() as bus:
            for channel in channels:
                found = await everything(bus, channel)
                assert [p.offset for p in found] == list(range(1, len(found) + 1))
                places = {p.id: p.position for p in found}
                assert len(places) == len(found), [
                    id for id, times in Counter(p.id for p in found).items() if times > 1
                ]
                assert places == acknowledged[channel]
                assert all(p.data == p.id.encode() for p in found)
                for letter in "abcd":
                    own = [int(p.id.rpartition("-")[2]) for p in found if p.id.startswith(f"publisher-{letter}")]
                    assert own == sorted(own)
                assert {p.epoch for p in found} == {found[0].epoch}

    async def test_a_retry_after_the_restart_has_the_place_it_had(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        before = await publish(bus, "same")
        forwarder.kill()
        forwarder.start()
        assert await publish(bus, "same") == before
        assert [p.id for p in await everything(bus, "channel")] == ["same"]

    async def test_a_dead_forwarder_makes_publishing_fail_with_its_outcome_unknown(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        forwarder.kill()
        async with forwarder.bus(timeout=0.5) as impatient:
            with pytest.raises(PublishError, match=r"unknown.*the-id") as caught:
                await publish(impatient, "the-id")
        assert caught.value.id == "the-id"
        assert not isinstance(caught.value, PublishRefused)

    async def test_a_retry_of_an_unknown_outcome_is_one_publication(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        """The forwarder stands still: what it was sent it will find when it goes on."""
        async with forwarder.bus(timeout=0.5) as impatient:
            await publish(impatient, "before")
            forwarder.hold_still()
            with pytest.raises(PublishError, match="unknown"):
                await publish(impatient, "same")
            forwarder.signal(signal.SIGCONT)
        await publish(bus, "same")
        assert [p.id for p in await everything(bus, "channel")] == ["before", "same"]

    async def test_a_subscriber_sees_what_was_published_across_the_restart(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        await bus.subscribe("channel")
        seen: dict[int, str] = {}

        async def read() -> None:
            while len(seen) < 20:
                publication = await bus.receive()
                if not publication.is_beacon:
                    seen[publication.offset] = publication.id
                elif publication.offset > max(seen, default=0):
                    since = Position(publication.epoch, max(seen, default=0))
                    missed = await bus.history("channel", since, 100)
                    seen.update((p.offset, p.id) for p in missed.publications)

        reading = asyncio.create_task(read())
        for number in range(20):
            if number == 10:
                forwarder.kill()
                forwarder.start()
            await publish(bus, f"{number}")
        await asyncio.wait_for(reading, PATIENCE)
        assert list(seen.items()) == [(number + 1, f"{number}") for number in range(20)]


class TestSettings:
    async def test_without_a_journal_a_restart_is_a_new_epoch(self) -> None:
        with ForwarderProcess(forwarder_journal="") as forwarder:
            forwarder.start()
            async with forwarder.bus() as bus:
                before = await publish(bus, "id")
                forwarder.kill()
                forwarder.start()
                after = await publish(bus, "id")
            assert after.epoch != before.epoch
            assert after.offset == before.offset == 1
            assert not forwarder.journal.exists()

    async def test_with_a_flush_per_batch_it_works_alike(self) -> None:
        with ForwarderProcess(forwarder_sync="full") as forwarder:
            forwarder.start()
            async with forwarder.bus() as bus:
                before = await publish(bus, "first")
                forwarder.kill()
                forwarder.start()
                assert await publish(bus, "second") == Position(before.epoch, 2)

    async def test_a_tcp_bus_has_a_journal_though_nothing_made_its_run_directory(
        self, forwarder: ForwarderProcess
    ) -> None:
        forwarder.environment["BUS_URL"] = f"zmq+tcp://127.0.0.1:{free_ports(3)}"
        forwarder.start()
        await forwarder.started()
        assert "refusing" not in forwarder.output()
        assert forwarder.journal.exists()


class TestBadJournal:
    async def test_garbage_is_set_aside_and_a_new_epoch_begins(self, forwarder: ForwarderProcess, bus: ZmqBus) -> None:
        before = await publish(bus, "first")
        forwarder.signal(signal.SIGTERM)
        forwarder.wait()
        forwarder.journal.write_bytes(os.urandom(20_000))
        forwarder.start()
        after = await publish(bus, "second")
        assert after.epoch != before.epoch
        assert forwarder.journal.with_name("journal.sqlite.damaged").stat().st_size == 20_000
        assert "set aside" in forwarder.output()
        assert forwarder.runs
        forwarder.kill()
        forwarder.start()
        assert await publish(bus, "third") == Position(after.epoch, 2)

    async def test_an_unusable_place_is_refused_until_it_can_be_used(self) -> None:
        with ForwarderProcess(forwarder_journal="place/journal") as forwarder:
            forwarder.run_dir.mkdir(mode=0o700)
            place = forwarder.run_dir / "place"
            place.write_text("in the way")
            forwarder.start()
            async with forwarder.bus() as bus:
                assert f"{place / 'journal'} cannot be used" in await refusal(bus)
                await until(lambda: not bus.reachable, "it is not ready, for nothing can be published")
                assert forwarder.runs
                place.unlink()
                place.mkdir()
                await until(lambda: bus.reachable, "it is ready")
                assert (await publish(bus, "id")).offset == 1
            assert forwarder.output().count("refusing") == 1

    async def test_history_lives_on_though_the_place_was_gone_for_a_while(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        before = await publish(bus, "first")
        forwarder.kill()
        away = forwarder.journal.rename(forwarder.directory / "away")
        wal = forwarder.journal.with_name("journal.sqlite-wal").rename(forwarder.directory / "away-wal")
        forwarder.journal.mkdir()
        forwarder.start()
        assert "cannot be used" in await refusal(bus)
        forwarder.journal.rmdir()
        wal.rename(forwarder.journal.with_name("journal.sqlite-wal"))
        away.rename(forwarder.journal)
        await until(lambda: forwarder.output().count(f"epoch {before.epoch}") == 2, "it has its epoch again")
        assert await publish(bus, "second") == Position(before.epoch, 2)
        assert [p.id for p in await everything(bus, "channel")] == ["first", "second"]


class TestFullDisk:
    @pytest.fixture
    def small_disk(self) -> Iterator[Path]:
        """A file system of two MiB."""
        place = Path(tempfile.mkdtemp(prefix="fwj-"))
        try:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(place)],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            mounted = subprocess.CompletedProcess("mount", 1, "", "there is no mount command")
        try:
            if mounted.returncode != 0:
                pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
            yield place
        finally:
            if mounted.returncode == 0:
                subprocess.run(["umount", "--lazy", str(place)], check=True)
            shutil.rmtree(place, ignore_errors=True)

    @pytest.fixture
    def forwarder(self, small_disk: Path) -> Iterator[ForwarderProcess]:
        with ForwarderProcess(run_dir=small_disk / "run") as process:
            yield process

    async def fill(self, bus: ZmqBus, name: str) -> dict[str, Position]:
        """Publish until that is refused; what was acknowledged."""
        acknowledged: dict[str, Position] = {}
        for number in range(1000):
            id = f"{name} {number}"
            try:
                acknowledged[id] = await publish(bus, id, os.urandom(20_000))
            except PublishRefused as error:
                reason = str(error)
                break
        else:
            raise AssertionError("the disk never became full")
        assert "disk is full" in reason
        return acknowledged

    async def test_it_refuses_and_goes_on_when_there_is_room_again(
        self, forwarder: ForwarderProcess, bus: ZmqBus, small_disk: Path
    ) -> None:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(1024 * 1024))
        acknowledged = await self.fill(bus, "before")
        assert "full" in await refusal(bus, bytes(20_000))
        assert forwarder.runs
        ballast.unlink()
        for number in range(5):
            acknowledged[f"later {number}"] = await publish(bus, f"later {number}")
        found = await everything(bus, "channel")
        assert {p.id: p.position for p in found} == acknowledged
        assert forwarder.output().count("refusing") == 1
        ballast.write_bytes(bytes(512 * 1024))
        await self.fill(bus, "more")
        assert forwarder.output().count("refusing") == 2, "it says so each time that it begins to refuse"

    async def test_killed_while_it_is_full_it_loses_nothing(
        self, forwarder: ForwarderProcess, bus: ZmqBus, small_disk: Path
    ) -> None:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(1024 * 1024))
        acknowledged = await self.fill(bus, "more")
        forwarder.kill()
        forwarder.start()
        assert "full" in await refusal(bus, bytes(20_000))
        assert {p.id: p.position for p in await everything(bus, "channel")} == acknowledged
        ballast.unlink()
        acknowledged["later"] = await publish(bus, "later")
        assert {p.id: p.position for p in await everything(bus, "channel")} == acknowledged

    async def test_what_is_kept_already_is_not_refused_beside_something_new(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        """A retry with the same id finds the publication, though nothing can be written now."""
        first = await publish(bus, "first")
        await self.fill(bus, "more")
        again, new = await asyncio.gather(
            publish(bus, "first"), publish(bus, "new", bytes(20_000)), return_exceptions=True
        )
        assert isinstance(new, PublishRefused)
        assert again == first


class TestEnd:
    async def test_it_ends_when_told_to(self, forwarder: ForwarderProcess, bus: ZmqBus) -> None:
        before = await publish(bus, "first")
        forwarder.signal(signal.SIGTERM)
        assert forwarder.wait() == 0
        wal = forwarder.journal.with_name("journal.sqlite-wal")
        assert not wal.exists() or wal.stat().st_size == 0
        forwarder.start()
        assert await publish(bus, "second") == Position(before.epoch, 2)

    async def test_a_second_one_in_the_same_directory_says_so_and_ends(
        self, forwarder: ForwarderProcess, bus: ZmqBus
    ) -> None:
        with ForwarderProcess(run_dir=forwarder.run_dir) as second:
            second.start()
            assert second.wait() == 1
            assert f"another forwarder is running in {forwarder.run_dir}" in second.output()
        assert (await publish(bus, "id")).offset == 1
