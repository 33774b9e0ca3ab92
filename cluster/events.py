"""FastAPI Events across processes: `dispatch` an event here, and its channel carries it to every worker.

The dispatch of fastapi-events 0.12 serves HTTP endpoints: inside a WebSocket scope it holds events until the
socket closes, in a task or a thread of one's own it loses them, in lifespan it raises. The `dispatch` of this module
works from all of these alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from enum import Enum
from typing import Any

from fastapi_events import BaseEventHandler, handler_store, in_req_res_cycle
from fastapi_events.dispatcher import dispatch as dispatch_event
from fastapi_events.typing import Event
from pydantic import BaseModel

from .errors import ClusterError

logger = logging.getLogger(__name__)

MIDDLEWARE_ID = 0x46575353
"""Under this `middleware_id` handlers are found by `dispatch`. Give it to fastapi-events' own
`EventHandlerASGIMiddleware` to have your other handlers called as well."""

EventName = str | Enum


class EventForwarder(BaseEventHandler):  # type: ignore[misc]
    """Hands events to whoever wants to publish them, in the order they were dispatched."""

    def __init__(self) -> None:
        self._routes: dict[EventName, Callable[[Any], Awaitable[Any]]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    def forward(self, event: type[BaseModel] | EventName, publish: Callable[[Any], Awaitable[Any]]) -> None:
        """Call `publish(payload)` for every `event`. It must do its queueing before it first waits."""
        self._routes[event_name(event)] = publish

    def enter(self) -> None:
        """Be found by `dispatch`, from the running loop and from threads."""
        self.loop = asyncio.get_running_loop()
        handlers = handler_store[MIDDLEWARE_ID]
        if self not in handlers:
            handlers.append(self)

    def leave(self) -> None:
        """Be found no more."""
        self.loop = None
        if self in handler_store[MIDDLEWARE_ID]:
            handler_store[MIDDLEWARE_ID].remove(self)

    async def handle(self, event: Event) -> None:
        """Called by fastapi-events. Nobody waits for it, so what goes wrong is logged here."""
        if self.loop is not asyncio.get_running_loop():
            return  # another hub of this process, in another thread's loop
        name, payload = event
        publish = self._routes.get(name)
        if publish is None:
            return
        try:
            await publish(payload)
        except ClusterError as error:
            logger.error("event %s was not published: %s", name, error)


def dispatch(event: BaseModel | EventName, payload: Any = None) -> None:
    """Say that something happened, from anywhere: a WebSocket, an endpoint, a task, a thread, lifespan.

    `event` is a Pydantic model, or a name with a `payload`. It returns at once; to know that a publication was
    accepted, use `await hub.publish(...)`. Raises `ClusterError` when no hub runs in this process.
    """
    loops = {handler.loop for handler in handler_store[MIDDLEWARE_ID] if isinstance(handler, EventForwarder)}
    context = copy_context()
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here in loops and here is not None:
        context.run(_dispatch, event, payload)
        return
    for loop in loops:
        assert loop is not None, "a handler in the store has entered a loop"
        loop.call_soon_threadsafe(context.run, _dispatch, event, payload)
    if not loops:
        raise ClusterError("no hub runs in this process: the application needs `lifespan=hub.lifespan`")


def event_name(event: type[BaseModel] | BaseModel | EventName) -> EventName:
    """The name an event is known by: its own, or its model's `__event_name__` or class name."""
    if isinstance(event, str | Enum):
        return event
    model = event if isinstance(event, type) else type(event)
    name: EventName = getattr(model, "__event_name__", model.__qualname__)
    return name


def _dispatch(event: BaseModel | EventName, payload: Any) -> None:
    in_req_res_cycle.set(None)
    if isinstance(event, BaseModel):
        name, payload = event_name(event), event
    else:
        name = event
    dispatch_event(
        name,
        payload,
        middleware_id=MIDDLEWARE_ID,
        payload_schema_dump=False,
        payload_schema_cls_dict_args={"exclude_unset": False},
    )
