"""A connection to a NATS server: subscriptions, and requests that several messages may answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from ..errors import BusUnavailable, ConfigurationError
from .natstls import REQUIRED, TlsTransport
from .urls import names_a_host, parameters, prefix_of, without_secrets

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds until a request counts as lost."""
PING_INTERVAL = 5
"""Seconds between the pings that tell whether the connection lives; after two without an answer it does not."""


class Target(NamedTuple):
    """What a `nats://` or `tls://` URL says. `options`: of the connection. `tls`: there is none without it."""

    servers: list[str]
    options: dict[str, Any]
    tls: bool
    prefix: str
    replicas: int
    max_bytes: int


class Request(NamedTuple):
    subject: str
    payload: bytes
    headers: dict[str, str] | None = None


def target(url: str) -> Target:
    """Raises `ConfigurationError`."""
    rest, given = parameters(url, prefix="fws", replicas="1", max_bytes=str(1024**3))
    try:
        parts = urlsplit(rest)
        login, _, hosts = parts.netloc.rpartition("@")
        servers = [f"{parts.scheme}://{host}" for host in hosts.split(",")]
        if parts.query or not all(map(names_a_host, servers)):
            raise ValueError
        replicas, max_bytes = int(given["replicas"]), int(given["max_bytes"])
    except ValueError:
        raise ConfigurationError(
            f"BUS_URL={without_secrets(url)!r}: use nats:// or tls://USER:PASSWORD@HOST:PORT,HOST:PORT"
            "?prefix=&replicas=&max_bytes="
        ) from None
    user, _, password = map(unquote, login.partition(":"))
    options: dict[str, Any] = {"user": user, "password": password} if password else {"token": user} if user else {}
    if tls := parts.scheme == "tls":
        options |= REQUIRED
    return Target(servers, options, tls, prefix_of(url, given["prefix"]), replicas, max_bytes)


class NatsLink:
    """Never repaired: once `closed` is set it is to be replaced. Its verbs raise `BusUnavailable`."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.max_payload = 0
        self._nc = Client()
        self._subscriptions: dict[str, asyncio.Future[Subscription]] = {}
        self._exchanges: dict[str, tuple[Callable[[int, Msg], bool], asyncio.Future[str]]] = {}
        self._number = 0

    async def open(self, to: Target, version: tuple[int, int]) -> None:
        """Connect to a server that is at least of this version."""
        if to.tls:
            self._nc._transport = TlsTransport()  # type: ignore[no-untyped-call]
        try:
            await self._nc.connect(
                to.servers, error_cb=self._note, closed_cb=self._end, allow_reconnect=False, max_reconnect_attempts=1,
                reconnect_time_wait=0, ping_interval=PING_INTERVAL, max_outstanding_pings=2, **to.options,
            )  # fmt: skip
            self._inbox = self._nc.new_inbox()
            await self._nc.subscribe(f"{self._inbox}.>", cb=self._answered)
        except (Error, OSError) as error:
            raise BusUnavailable(f"cannot connect: {error or type(error).__name__}") from None
        found = self._nc.connected_server_version
        if (found.major, found.minor) < version:
            raise BusUnavailable(f"the server is {found!r}, at least {'.'.join(map(str, version))} is needed")
        self.max_payload = self._nc.max_payload

    async def close(self) -> None:
        with suppress(TimeoutError, OSError, Error):
            async with asyncio.timeout(1):  # it would wait for a server that stands still
                await self._nc.close()
        await self._end()

    async def ping(self) -> None:
        """A round trip: the server sends back what goes to our own inbox."""
        await self.exchange([Request("", b"")], lambda index, message: True)

    async def subscribe(self, subject: str, receive: Callable[[Msg], Awaitable[None]]) -> None:
        """Once is enough: what is subscribed already stays as it is."""
        if subject not in self._subscriptions:
            # Known before the first `await`: who comes meanwhile does not subscribe again.
            self._subscriptions[subject] = asyncio.ensure_future(self._nc.subscribe(subject, cb=receive))
        try:
            await asyncio.shield(self._subscriptions[subject])
        except Error as error:
            raise BusUnavailable(f"cannot subscribe: {error}") from None

    async def unsubscribe(self, subject: str) -> None:
        if (subscribing := self._subscriptions.pop(subject, None)) is not None:
            with suppress(Error):
                await (await subscribing).unsubscribe()

    async def exchange(
        self, requests: Sequence[Request], answered: Callable[[int, Msg], bool], seconds: float = PATIENCE
    ) -> None:
        """Send `requests` and hand each answer to `answered`, with its request's number, until it says True."""
        self._number += 1
        number = str(self._number)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._exchanges[number] = (answered, done)
        try:
            async with asyncio.timeout(seconds):
                for index, (subject, payload, headers) in enumerate(requests):
                    reply = f"{self._inbox}.{number}.{index}"
                    await self._nc.publish(subject or reply, payload, reply, headers)
                trouble = await done
        except (Error, OSError, TimeoutError) as error:
            raise BusUnavailable(f"no answer: {error or type(error).__name__}") from None
        finally:
            del self._exchanges[number]
        if trouble:
            raise BusUnavailable(trouble)

    async def _answered(self, message: Msg) -> None:
        _, number, index = message.subject.rsplit(".", 2)
        answered, done = self._exchanges.get(number, (None, None))
        if answered is None or done is None or done.done():
            return
        try:
            if message.headers and message.headers.get("Status") == "503":
                # Whatever answered here is gone, or not yet there: begin anew and look for it.
                self.closed.set()
                done.set_result("nobody answers for the stream")
            elif answered(int(index), message):
                done.set_result("")
        except BusUnavailable as error:
            done.set_result(str(error))

    async def _note(self, error: Exception) -> None:
        logger.debug("NATS: %s", error or type(error).__name__)

    async def _end(self) -> None:
        self.closed.set()
        for _, done in self._exchanges.values():
            if not done.done():
                done.set_result("the connection was lost")
