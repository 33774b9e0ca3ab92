"""A cluster, and people who use it with the JavaScript SDK."""

from __future__ import annotations

import secrets
import time
from typing import Any

import httpx
import jwt

from tests.cluster.harness import RunningCluster
from tests.waiting import until

from .js.node import Clients, JavaScriptClient, Transport

SECRET = "a secret of the tests that is long enough"
LONG = 3600


class World:
    """A cluster, and people who use it."""

    def __init__(self, cluster: RunningCluster, clients: Clients, http: httpx.AsyncClient) -> None:
        self.cluster = cluster
        self._clients = clients
        self._http = http

    def person(
        self, user: str, transport: Transport, *tokens: str, valid: float = LONG, **options: Any
    ) -> JavaScriptClient:
        """A client of `user`. It is given these tokens first, then such as are valid for so many seconds."""
        given = iter(tokens)
        return self._clients.create(
            transport,
            f"127.0.0.1:{self.cluster.port}",
            lambda channel: next(given, "") or token(user, channel, valid),
            **options,
        )

    async def connected(self, user: str, transport: Transport, **options: Any) -> JavaScriptClient:
        person = self.person(user, transport, **options)
        await person.connect()
        return person

    async def api(self, method: str, **body: Any) -> dict[str, Any]:
        """What the HTTP API answers a program that asks again when a worker goes meanwhile."""
        answers: list[httpx.Response] = []

        async def answered() -> bool:
            try:
                answers.append(await self._http.post(f"/api/{method}", json=body))
            except httpx.TransportError:
                return False
            return answers[-1].status_code == 200

        await until(answered, f"/api/{method} answers")
        answer: dict[str, Any] = answers[-1].json()
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def publish(self, channel: str, *data: Any) -> None:
        for each in data:
            await self.api("publish", channel=channel, data=each, idempotency_key=secrets.token_hex(8))


def token(user: str, channel: str = "", seconds: float = LONG) -> str:
    """For a connection, or for a subscription to `channel`."""
    about = {"channel": channel} if channel else {}
    return jwt.encode({"sub": user, "exp": time.time() + seconds, **about}, SECRET)
