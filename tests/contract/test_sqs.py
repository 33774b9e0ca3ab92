"""Queues and topics that disappear, are left behind, or are written to by strangers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.client import AioBaseClient
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from cluster.bus import connect, session, sqs
from cluster.errors import ConfigurationError
from cluster.settings import load
from tests.waiting import PATIENCE, until

from .engine_sqs import Sqs
from .reading import data_of, numbered, publish, publish_all, received

TOPIC = "arn:aws:sns:eu-west-1:123456789012:contract.fifo"


@pytest.fixture(scope="module")
def server() -> Iterator[Sqs]:
    server = Sqs()
    try:
        server.start()
        yield server
    finally:
        server.close()


@asynccontextmanager
async def administrator(server: Sqs, service: str = "sqs") -> AsyncIterator[Any]:
    async with get_session().create_client(service, region_name="eu-west-1", endpoint_url=server.endpoint) as client:
        yield client


async def queues(server: Sqs) -> list[str]:
    async with administrator(server) as client:
        return (await client.list_queues(QueueNamePrefix="contract-")).get("QueueUrls", [])  # type: ignore[no-any-return]


async def subscriptions(server: Sqs) -> int:
    async with administrator(server, "sns") as client:
        return len((await client.list_subscriptions_by_topic(TopicArn=TOPIC))["Subscriptions"])


async def test_a_bus_that_is_closed_leaves_no_queue_and_no_subscription(server: Sqs) -> None:
    async with server.connect() as bus:
        await publish(bus, "leaving")
        assert len(await queues(server)) == 1
        assert await subscriptions(server) == 1
    assert await queues(server) == []
    assert await subscriptions(server) == 0


class Interposed:
    """What AWS is asked for, in order; before it answers to `operation`, `instead` is called."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, operation: str, instead: Callable[[], Awaitable[object]]
    ) -> None:
        self.asked: list[str] = []
        self.operation: str | None = operation
        ask = AioBaseClient._make_api_call

        async def interpose(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            self.asked.append(operation)
            if operation == self.operation:
                await instead()
            return await ask(client, operation, parameters)

        monkeypatch.setattr(AioBaseClient, "_make_api_call", interpose)


async def deny() -> None:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, "it")


@pytest.mark.parametrize("operation", ["GetQueueAttributes", "SetQueueAttributes", "Subscribe", "TagQueue"])
async def test_a_queue_that_cannot_be_finished_is_not_left_behind_however_often_it_is_tried(
    server: Sqs, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    aws = Interposed(monkeypatch, operation, deny)
    async with server.connect() as bus:
        await until(lambda: aws.asked.count("CreateQueue") == 3, "it was tried three times")
        assert len(await queues(server)) <= 1  # the third one
        assert await subscriptions(server) <= 1
        aws.operation = None
        await publish(bus, "allowed")
        assert len(await queues(server)) == 1
        assert await subscriptions(server) == 1
    assert await queues(server) == []
    assert await subscriptions(server) == 0


async def test_a_bus_that_is_closed_while_its_queue_is_made_leaves_none(
    server: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = Interposed(monkeypatch, "Subscribe", asyncio.Event().wait)
    async with server.connect():
        await until(lambda: "Subscribe" in aws.asked, "the queue is being made")
        assert len(await queues(server)) == 1
    assert await queues(server) == []


async def test_a_bus_that_is_closed_while_its_queue_is_subscribed_leaves_no_subscription(
    server: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS subscribes it, whether or not anybody waits for the answer."""
    subscribing: list[asyncio.Task[Any]] = []
    ask = AioBaseClient._make_api_call

    async def go_on(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        asked = asyncio.ensure_future(ask(client, operation, parameters))
        if operation == "Subscribe":
            subscribing.append(asked)
        return await asyncio.shield(asked)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", go_on)
    async with server.connect():
        while not subscribing:  # and not later than that
            await asyncio.sleep(0)
    await asyncio.wait(subscribing)
    assert await queues(server) == []
    assert await subscriptions(server) == 0


async def test_the_queue_of_a_dead_worker_is_removed_and_no_other(server: Sqs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "KEEP_INTERVAL", 0.1)
    long_ago = {"seen": str(int(time.time()) - 3600)}
    just_now = {"seen": str(int(time.time()))}
    names = {
        "contract-" + "0" * 16: long_ago,
        "contract-" + "1" * 16: just_now,
        "contract-other-" + "2" * 16: long_ago,  # of the prefix contract-other
        "contract-" + "3" * 16: {},  # somebody's own
    }
    async with server.connect() as bus:
        await publish(bus, "reaping")
        async with administrator(server) as client:
            for name, tags in names.items():
                await client.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"}, tags=tags)
        async with asyncio.timeout(PATIENCE):
            while any("-" + "0" * 16 in url for url in await queues(server)):
                await asyncio.sleep(0.1)
        left = await queues(server)
        assert len(left) == 4  # its own and the three
        await publish(bus, "reaping")
    async with administrator(server) as client:
        for url in left:
            if any(name in url for name in names):
                await client.delete_queue(QueueUrl=url)


@pytest.mark.parametrize("what", ["queue", "subscription"])
async def test_a_worker_whose_queue_is_taken_away_gets_another_and_tells_its_subscribers(
    server: Sqs, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(sqs, "KEEP_INTERVAL", 0.1)
    async with server.connect() as bus:
        start = await bus.subscribe("taken")
        await publish(bus, "taken")
        (url,) = await queues(server)
        if what == "queue":
            async with administrator(server) as client:
                await client.delete_queue(QueueUrl=url)
        else:
            async with administrator(server, "sns") as client:
                (found,) = (await client.list_subscriptions_by_topic(TopicArn=TOPIC))["Subscriptions"]
                await client.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
        async with asyncio.timeout(PATIENCE):
            while (told := await bus.receive()).epoch == start.epoch:
                pass
        assert told.channel == "taken"
        await publish(bus, "taken", b"after")
        assert data_of(await received(bus, 1)) == [b"after"]


async def test_what_strangers_write_into_the_topic_is_passed_over(server: Sqs) -> None:
    async with server.connect() as bus:
        await bus.subscribe("strangers")
        async with administrator(server, "sns") as client:
            for number, body in enumerate(["?", "{}", "wQ==", "é" * 1000]):
                await client.publish(
                    TopicArn=TOPIC, Message=body, MessageGroupId="all", MessageDeduplicationId=f"stranger {number}"
                )
        await publish(bus, "strangers")
        assert data_of(await received(bus, 1)) == [b"data"]


async def test_many_large_publications_at_once_are_sent_in_pieces_that_sns_takes(server: Sqs) -> None:
    messages = [bytes([number]) * 60_000 for number in range(20)]
    async with server.connect() as bus:
        await bus.subscribe("large")
        await publish_all(bus, "large", messages)
        assert data_of(await received(bus, 20)) == messages


async def test_a_worker_that_cannot_keep_up_is_told_that_it_missed_something(
    server: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "INBOX_LIMIT", 10)
    async with server.connect() as bus:
        await bus.subscribe("too much")
        for _ in range(3):
            top = (await publish_all(bus, "too much", numbered(50)))[-1]
        async with asyncio.timeout(PATIENCE):
            while not (told := await bus.receive()).is_beacon or told.position != top:
                pass


@pytest.mark.parametrize(
    "url",
    [
        "sns+sqs://",
        "sns+sqs://eu-west-1",
        "sns+sqs://key:secret@eu-west-1/p",
        "sns+sqs://eu-west-1/p.q",
        "sns+sqs://r/p?x=1",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BUS_URL") as raised:
        connect(load(bus_url=url))
    assert "secret" not in str(raised.value)


def test_messages_larger_than_sns_carries_cannot_be_allowed(server: Sqs) -> None:
    with pytest.raises(ConfigurationError, match="MAX_MESSAGE_BYTES=300000"):
        server.connect(max_message_bytes=300_000)
