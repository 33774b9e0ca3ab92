"""What only who holds the admin token may do: end and restart the processes of this host."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response

from .control import NotRunning
from .limits import TokenBucket
from .processes import Action, Processes

logger = logging.getLogger(__name__)

ACTIONS_PER_SECOND = 2.0
WRONG_TOKENS_PER_SECOND = 1.0
BURST = 10.0
"""How many actions, and how many wrong tokens, a worker takes at once."""


class Guard:
    """Lets in who sends `Authorization: Bearer` and the token. A page of another site cannot make a browser do so."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._wrong = TokenBucket(WRONG_TOKENS_PER_SECOND, BURST)

    def holds(self, authorization: str) -> bool:
        """Whether this header's value has the token in it."""
        given = authorization.removeprefix("Bearer ")
        return bool(self._token) and secrets.compare_digest(given.encode(), (self._token or "").encode())

    def __call__(self, request: Request, authorization: Annotated[str, Header()] = "") -> None:
        """Raises 403, or 429 when wrong tokens come too fast to be anything but guesses."""
        if self.holds(authorization):
            return
        client = request.client.host if request.client else "unknown"
        if not self._wrong.take(time.monotonic()):
            raise HTTPException(429, "too many wrong tokens, try again later")
        logger.warning("a wrong admin token for %s from %s", request.url.path, client)
        raise HTTPException(403, "the admin token of this cluster is needed: Authorization: Bearer TOKEN")


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
        responses={404: {"description": "No such process."}, 503: {"description": "No supervisor."}},
    )
    async def act(name: str, action: Action, request: Request) -> None:
        """Restart a process in order, or kill it: supervisord starts it again. Answers before it is done."""
        if not actions.take(time.monotonic()):
            raise HTTPException(429, "too many actions, try again later")
        try:
            found = await processes.act(name, action)
        except NotRunning as error:
            raise HTTPException(503, str(error)) from None
        if not found:
            raise HTTPException(404, f"there is no process {name!r}")
        logger.warning("%s of %s, asked for by %s", action, name, request.client.host if request.client else "unknown")

    return router
