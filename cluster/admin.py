"""What only who holds the admin token may do: end and restart the processes of this host."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from starlette.requests import HTTPConnection

from .control import NotRunning
from .limits import TokenBucket
from .processes import Action, Processes

logger = logging.getLogger(__name__)

ACTIONS_PER_SECOND = 2.0
WRONG_TOKENS_PER_SECOND = 1.0
BURST = 10.0
"""How many actions, and how many wrong tokens from one address, a worker takes at once."""
ADDRESSES = 1000
"""Addresses of wrong tokens that are remembered."""


class Guard:
    """Lets in who sends `Authorization: Bearer` and the token. A page of another site cannot make a browser do so."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a token nobody is let in. `clock` counts seconds."""
        self._token = token
        self._clock = clock
        self._wrong: dict[str, TokenBucket] = {}

    def __call__(self, connection: HTTPConnection, authorization: Annotated[str, Header()] = "") -> None:
        """Raises 403, or 429 to an address whose wrong tokens come too fast to be anything but guesses."""
        address = connection.client.host if connection.client else "unknown"
        wrong, now = self._wrong.get(address), self._clock()
        # Before the token is looked at: the right guess must not show among the refused ones.
        if wrong is not None and wrong.empty(now):
            raise HTTPException(429, "too many wrong tokens, try again later")
        if self._is_right(authorization):
            return
        if wrong is None:
            wrong = self._wrong[address] = TokenBucket(WRONG_TOKENS_PER_SECOND, BURST)
            if len(self._wrong) > ADDRESSES:
                del self._wrong[next(iter(self._wrong))]
        wrong.take(now)
        logger.warning("a wrong admin token for %s from %s", connection.url.path, address)
        raise HTTPException(403, "the admin token of this cluster is needed: Authorization: Bearer TOKEN")

    def _is_right(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        right = secrets.compare_digest(given.encode(), (self._token or "").encode())
        return bool(self._token) and scheme.lower() == "bearer" and right


def admin_router(guard: Guard, processes: Processes) -> APIRouter:
    """`/api/cluster/admin` and the actions on processes."""
    router = APIRouter(
        tags=["cluster"],
        dependencies=[Depends(guard)],
        responses={
            403: {"description": "A wrong token, or none."},
            429: {"description": "Too many actions or wrong tokens."},
        },
    )
    actions = TokenBucket(ACTIONS_PER_SECOND, BURST)

    @router.get("/api/cluster/admin", status_code=204, response_class=Response)
    async def admin() -> None:
        """Tell whether the token is the right one."""

    @router.post(
        "/api/cluster/processes/{name}/{action}",
        status_code=202,
        response_class=Response,
        responses={
            404: {"description": "No such process."},
            409: {"description": "Another host answered than the one that was meant."},
            503: {"description": "No supervisor."},
        },
    )
    async def act(name: str, action: Action, request: Request, host: str | None = None) -> None:
        """Restart a process in order, or kill it: supervisord starts it again. Answers before it is done.

        With `host`, its name in `/api/cluster`, that host does so or nobody: behind a balancer any of them may answer.
        """
        if not actions.take(time.monotonic()):
            raise HTTPException(429, "too many actions, try again later")
        here = socket.gethostname()
        if host is not None and host != here:
            raise HTTPException(409, f"{here} answered, but {name} of {host} was meant: nothing was done, try again")
        try:
            found = await processes.act(name, action)
        except NotRunning as error:
            raise HTTPException(503, str(error)) from None
        if not found:
            raise HTTPException(404, f"there is no process {name!r}")
        logger.warning("%s of %s, asked for by %s", action, name, request.client.host if request.client else "unknown")

    return router
