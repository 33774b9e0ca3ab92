"""What clients ask of the application's own functions, which FastAPI runs as it runs endpoints.

A handler takes a Pydantic model or `Annotated[..., Body()]` (what the client sent), dependencies and the `Call`; it
returns a model or anything JSON can hold. As with endpoints, a parameter of a plain type is read from the URL, here the
handshake's. What it raises becomes an error reply: `ReplyError` as it is, `HTTPException` by its status code, anything
else as 100. Middleware is not run, and background tasks end before the answer is sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.types import Message, Scope

from .backend import Caller
from .errors import Disconnection, ReplyError
from .session import codes
from .session.codes import refused

logger = logging.getLogger(__name__)

Function = Callable[..., Any]

_CALL = "cluster.call"
_OF_THE_HANDSHAKE = {"app", "router", "endpoint", "route", "path_params", "subprotocols", "extensions"}
_OF_A_BODY = {b"content-type", b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
_ERRORS = {
    400: codes.BAD_REQUEST,
    401: codes.UNAUTHORIZED,
    403: codes.PERMISSION_DENIED,
    422: codes.BAD_REQUEST,
    429: codes.TOO_MANY_REQUESTS,
    500: codes.INTERNAL,
}
"""Status codes that have a code of their own in the protocol; others stay what they are."""


class Call(Request):
    """What a client asks for now: a parameter of this type is given it. Headers and cookies are its handshake's."""

    @property
    def user(self) -> str:
        """The id the client has proved; empty: it is anonymous."""
        return self._caller.user

    @property
    def client_id(self) -> str:
        """The id of the connection."""
        return self._caller.client

    @property
    def channel(self) -> str:
        """The whole name of the channel that is asked for; empty where it is about none."""
        return cast(str, self.scope[_CALL][1])

    @property
    def emulated_headers(self) -> dict[str, str]:
        """What the client gave as headers with its `connect`, by names in lower case: browsers let it set no others.

        They are never among `headers`, where a proxy in front is believed. Anyone can write anything here.
        """
        return {name.lower(): value for name, value in self._caller.emulated.items()}

    @property
    def _caller(self) -> Caller:
        return cast(Caller, self.scope[_CALL][0])


class Welcome(BaseModel):
    """Returned by a handler of `on_connect`: the client may come.

    `user`: its id; None: the token's, without a token it is anonymous. Tokens to subscribe name this id, those that
    refresh the connection the one its first token named. `info` is told to others with its presence, `data` to the
    client. `channels`: what it is subscribed to without asking.
    """

    model_config = ConfigDict(extra="forbid")

    user: str | None = None
    info: Any = None
    data: Any = None
    channels: list[str] = []


class Allow(BaseModel):
    """Returned by an `authorize` function instead of True.

    `info` is told to others with the client's presence in the channel, `data` to the client.
    """

    model_config = ConfigDict(extra="forbid")

    info: Any = None
    data: Any = None


class Handler:
    """One function of the application, as an endpoint of an application that has no other."""

    def __init__(self, function: Function, parameters: Iterable[str] = ()) -> None:
        """`parameters` of a channel are the function's by name."""
        self.name = getattr(function, "__qualname__", repr(function))
        self._parameters = tuple(parameters)
        self._application: Any = None
        self._inner = FastAPI(openapi_url=None)
        self._inner.router.route_class = self._route_class()
        # A value has no ":", so the path can be taken apart again.
        path = ":".join(f"{{{name}:path}}" for name in self._parameters)
        self._inner.add_api_route(f"/{path}", function, methods=["POST"])

    def bind(self, application: Any) -> None:
        """Take part in `application`: its overridden dependencies, its exception handlers, its state."""
        self._application = application
        for error, handler in getattr(application, "exception_handlers", {}).items():
            self._inner.add_exception_handler(error, handler)

    async def __call__(
        self, caller: Caller, body: bytes = b"", *, channel: str = "", values: Mapping[str, str] | None = None
    ) -> bytes:
        """The JSON that the function returns. Raises `ReplyError`, `Disconnection`."""
        self._inner.dependency_overrides = getattr(self._application, "dependency_overrides", {})
        path = "/" + ":".join((values or {})[name] for name in self._parameters)
        status, content = 0, bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                content.extend(message.get("body", b""))

        try:
            await self._inner(_scope(caller, channel, path), receive, send)
        except (ReplyError, Disconnection):
            raise
        except Exception as error:
            logger.exception("%s failed", self.name)
            raise refused(codes.INTERNAL) from error
        if status >= 400:
            raise _error(status, bytes(content))
        return bytes(content)

    def _route_class(self) -> type[APIRoute]:
        handler = self

        class CallRoute(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
                answer = super().get_route_handler()

                async def answered(request: Request) -> Response:
                    scope = {**request.scope, "app": handler._application}
                    return await answer(Call(scope, request.receive))

                return answered

        return CallRoute


def _scope(caller: Caller, channel: str, path: str) -> Scope:
    """A request of HTTP with everything else as the client's handshake had it."""
    handshake = {
        name: value
        for name, value in caller.scope.items()
        if name not in _OF_THE_HANDSHAKE and not name.startswith(("fastapi", "starlette."))
    }
    headers = [header for header in caller.scope.get("headers", ()) if header[0] not in _OF_A_BODY]
    return {
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        **handshake,
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "headers": [*headers, (b"content-type", b"application/json")],
        _CALL: (caller, channel),
    }


def _error(status: int, content: bytes) -> ReplyError:
    """The error reply for an answer of HTTP."""
    said = ""
    try:
        detail = json.loads(content)["detail"]
        said = detail if isinstance(detail, str) else _first(detail)
    except (ValueError, LookupError, TypeError):
        pass
    known = _ERRORS.get(status)
    if known is not None:
        return refused(known, said)
    return ReplyError(status, said or "failed", temporary=status in (502, 503, 504))


def _first(problems: list[dict[str, Any]]) -> str:
    """The first validation error, and where it is."""
    problem = problems[0]
    field = "" if problem["type"] == "json_invalid" else ".".join(map(str, problem["loc"][1:]))
    return f"{field}: {problem['msg']}" if field else str(problem["msg"])
