"""SNS and SQS as one noun: a FIFO topic, and FIFO queues that each receive all of it."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from ..errors import ConfigurationError
from .urls import names_a_host, parameters, prefix_of, without_secrets

FAILURES = (BotoCoreError, ClientError, OSError, TimeoutError)
"""What the client library raises when AWS does not do what it should."""
WAIT = 5
"""Seconds a request for messages waits for the first one."""
CONNECTING = 3.0
ANSWERING = WAIT + 3.0
AT_ONCE = 10
"""Messages received and deleted, and queues looked at for whether their worker is alive."""
INVISIBLE = "10"
"""Seconds until a message that was received and not deleted is received again."""
RETENTION = str(14 * 24 * 3600)
"""Seconds a message waits in a queue: the most there is, as one that is too old would vanish without a trace."""
STALE = 300.0
"""Seconds after which a queue whose worker has not said that it is in use is deleted."""
GOODBYE = 2.0
"""Seconds to remove a queue when the bus is closed, or one that could not be finished; later the other workers will."""
GROUP = "all"
"""The topic's only message group: everything in one order."""


class Place(NamedTuple):
    """`endpoint` replaces the addresses of AWS."""

    region: str
    prefix: str
    endpoint: str | None


class Queue(NamedTuple):
    """A worker's queue and its subscription to the topic."""

    url: str
    subscription: str


def place(url: str) -> Place:
    """The place of `sns+sqs://REGION/PREFIX?endpoint=URL`. Raises `ConfigurationError`."""
    rest, given = parameters(url, endpoint="")
    endpoint = given["endpoint"]
    # Errors of the client library show it.
    if endpoint and not (re.fullmatch(r"https?://[^@?#]+", endpoint) and names_a_host(endpoint)):
        raise ConfigurationError("BUS_URL: use ?endpoint=http://HOST:PORT; credentials come from the environment")
    parts = urlsplit(rest)
    if not re.fullmatch(r"[a-z0-9-]+", parts.netloc) or parts.query:
        raise ConfigurationError(
            f"BUS_URL={without_secrets(url)!r}: use sns+sqs://REGION/PREFIX, and ?endpoint=URL if it is not AWS; "
            "credentials come from the environment"
        )
    return Place(parts.netloc, prefix_of(url, parts.path.strip("/")), endpoint or None)


class Topic:
    """The topic of a prefix. Every call raises one of FAILURES when it fails."""

    def __init__(self, sns: Any, sqs: Any, prefix: str) -> None:
        self._sns = sns
        self._sqs = sqs
        self._prefix = prefix
        self._arn = ""

    async def create(self) -> None:
        """Make sure that it is there."""
        answer = await self._sns.create_topic(Name=f"{self._prefix}.fifo", Attributes={"FifoTopic": "true"})
        self._arn = answer["TopicArn"]

    async def publish(self, body: str, id: str) -> None:
        """Hand `body` to every queue. The same `id` again within five minutes does nothing."""
        await self._sns.publish(TopicArn=self._arn, Message=body, MessageGroupId=GROUP, MessageDeduplicationId=id)

    async def add_queue(self) -> Queue:
        """A new queue, which receives what is published from now on. If that fails nothing of it is left behind."""
        name = f"{self._prefix}-{secrets.token_hex(8)}.fifo"
        attributes = {"FifoQueue": "true", "MessageRetentionPeriod": RETENTION, "VisibilityTimeout": INVISIBLE}
        answer = await self._sqs.create_queue(QueueName=name, Attributes=attributes, tags=_seen_now())
        url, subscribing = answer["QueueUrl"], None
        try:
            answer = await self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            arn = answer["Attributes"]["QueueArn"]
            await self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _policy(arn, self._arn)})
            subscribing = asyncio.ensure_future(self._subscribe(arn))
            # Not cancelled with this: nobody would know the subscription that may have come of it.
            queue = Queue(url, await asyncio.shield(subscribing))
            await self._sqs.tag_queue(QueueUrl=url, Tags={"subscription": queue.subscription})
        except BaseException:
            await self._undo(url, subscribing)
            raise
        return queue

    async def _subscribe(self, queue: str) -> str:
        """Have the queue of this ARN receive what is published; the ARN of the subscription."""
        answer = await self._sns.subscribe(
            TopicArn=self._arn,
            Protocol="sqs",
            Endpoint=queue,
            Attributes={"RawMessageDelivery": "true"},
            ReturnSubscriptionArn=True,
        )
        return str(answer["SubscriptionArn"])

    async def _undo(self, url: str, subscribing: asyncio.Future[str] | None) -> None:
        """Remove what there is of an unfinished queue, as far as that succeeds within GOODBYE."""
        with suppress(*FAILURES):
            async with asyncio.timeout(GOODBYE):
                try:
                    if subscribing is not None:
                        await self._sns.unsubscribe(SubscriptionArn=await subscribing)
                finally:
                    # A subscription that cannot be removed is no reason to leave a queue that fills.
                    await self._sqs.delete_queue(QueueUrl=url)

    async def has(self, queue: Queue) -> bool:
        """Whether `queue` is there and still receives everything."""
        try:
            await self._sns.get_subscription_attributes(SubscriptionArn=queue.subscription)
            await self._sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])
        except (self._sns.exceptions.NotFoundException, self._sqs.exceptions.QueueDoesNotExist):
            return False
        return True

    async def receive(self, queue: Queue) -> list[dict[str, str]]:
        """The next messages; none if none comes within WAIT. `done` deletes them, and lets the next ones come."""
        answer = await self._sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=WAIT)
        messages: list[dict[str, str]] = answer.get("Messages", [])
        return messages

    async def done(self, queue: Queue, messages: list[dict[str, str]]) -> None:
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        await self._sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries)

    async def remove(self, queue: Queue) -> None:
        if queue.subscription:
            await self._sns.unsubscribe(SubscriptionArn=queue.subscription)
        await self._sqs.delete_queue(QueueUrl=queue.url)

    async def keep(self, queue: Queue) -> None:
        """Say that `queue` is in use."""
        await self._sqs.tag_queue(QueueUrl=queue.url, Tags=_seen_now())

    async def reap(self) -> None:
        """Look at some queues of this prefix, and remove those that no worker has used for long."""
        answer = await self._sqs.list_queues(QueueNamePrefix=f"{self._prefix}-", MaxResults=1000)
        ours = re.compile(rf".*/{re.escape(self._prefix)}-[0-9a-f]{{16}}\.fifo")
        urls = [url for url in answer.get("QueueUrls", []) if ours.fullmatch(url)]
        for url in random.sample(urls, min(len(urls), AT_ONCE)):
            with suppress(self._sqs.exceptions.QueueDoesNotExist):
                tags = (await self._sqs.list_queue_tags(QueueUrl=url)).get("Tags", {})
                if time.time() - float(tags.get("seen", "inf")) > STALE:
                    await self.remove(Queue(url, tags.get("subscription", "")))


@asynccontextmanager
async def connect_topic(place: Place) -> AsyncIterator[Topic]:
    """The topic at `place`; nothing is asked of AWS yet."""
    config = AioConfig(connect_timeout=CONNECTING, read_timeout=ANSWERING, retries={"total_max_attempts": 1})
    options: dict[str, Any] = {"region_name": place.region, "endpoint_url": place.endpoint, "config": config}
    session = get_session()
    async with session.create_client("sns", **options) as sns, session.create_client("sqs", **options) as sqs:
        yield Topic(sns, sqs, place.prefix)


def _seen_now() -> dict[str, str]:
    return {"seen": str(int(time.time()))}


def _policy(queue: str, topic: str) -> str:
    """That the topic, and nobody else, may write into the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
