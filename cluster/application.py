"""What the application answers the clients of the client protocol, by its declarations, its tokens and its handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import Raw
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from . import tokens
from .access import ChannelOptions, Grant, Identity, Operation, gate, options_of, refusal
from .backend import Caller
from .calls import Allow, Function, Handler, Welcome
from .declarations import Declarations
from .errors import ConfigurationError, Disconnection, PayloadError, ReplyError, TokenError, TokenExpired
from .jwks import Keys, KeysUnavailable
from .session import codes
from .session.codes import closing, refused
from .session.commands import NOTHING, ConnectRequest, SubscribeRequest
from .settings import Settings
from .tokens import Expected, Key

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Application:
    """The `Backend` of a hub. Raises `ConfigurationError` for settings that cannot be used.

    `recoverable`: whether the bus can say what a client missed. Where it cannot, no channel has a history.
    """

    def __init__(self, settings: Settings, declarations: Declarations, *, recoverable: bool) -> None:
        self._declarations = declarations
        self._keys = Keys(settings)
        self._expected = tokens.Expected(settings.token_audience, settings.token_issuer)
        self._insecure = settings.insecure_clients
        self._recoverable = recoverable
        self._rpcs: dict[str, Handler] = {}
        self._on_connect: Handler | None = None
        self._on_message: Handler | None = None
        self._authorize: dict[str, Handler] = {}

    def bind(self, application: Any) -> None:
        """Called when `application` starts."""
        if self._insecure:
            logger.warning(
                "INSECURE_CLIENTS is set: every client may do everything in every declared channel. For tests only!"
            )
        for handler in (*self._rpcs.values(), *self._authorize.values(), self._on_connect, self._on_message):
            if handler is not None:
                handler.bind(application)

    def add_rpc(self, name: str, function: Function) -> None:
        """Raises `ConfigurationError`, as the others do, when there is one already."""
        if name in self._rpcs:
            raise ConfigurationError(f"there are two handlers of rpc {name!r}")
        self._rpcs[name] = Handler(function)

    def set_on_connect(self, function: Function) -> None:
        if self._on_connect is not None:
            raise ConfigurationError("there are two handlers of on_connect")
        self._on_connect = Handler(function)

    def set_on_message(self, function: Function) -> None:
        if self._on_message is not None:
            raise ConfigurationError("there are two handlers of on_message")
        self._on_message = Handler(function)

    def set_authorize(self, pattern: str, parameters: list[str], function: Function) -> None:
        """`function` decides who may subscribe to the channels declared by `pattern`."""
        self._authorize[pattern] = Handler(function, parameters)

    def options(self, channel: str) -> ChannelOptions | None:
        """None for what is not declared; the cluster's own channels never are."""
        declared = None if channel.startswith("/") or not channel.isprintable() else self._declarations.find(channel)
        if declared is None:
            return None
        options = declared.options if self._recoverable else declared.options._replace(history=None)
        return options.opened() if self._insecure else options_of(channel, options)

    async def connect(self, request: ConnectRequest, client: str, scope: Mapping[str, Any]) -> Identity:
        """What the token says, and the application's handler after it; one of the two must let the client in."""
        identity = Identity() if self._insecure else None
        if request.token:
            try:
                said = await self._verified(tokens.connection, request.token)
            except TokenExpired:
                raise refused(codes.TOKEN_EXPIRED) from None
            except TokenError as error:
                raise _invalid_token(error) from None
            subs = {channel: access.grant(self._offered(channel)) for channel, access in said.subs.items()}
            identity = Identity(said.user, said.info, said.expire_at, NOTHING, subs, said.user)
        if self._on_connect is not None:
            known = identity or Identity()
            caller = Caller(client, known.user, known.info, scope, known.subject, request.headers)
            welcome = _returned(self._on_connect, await self._on_connect(caller, bytes(request.data)), Welcome)
            if welcome is not None:
                user = known.user if welcome.user is None else welcome.user
                identity = known._replace(
                    user=user,
                    info=known.info if welcome.info is None else _raw(welcome.info),
                    data=_raw(welcome.data),
                    subs={**known.subs, **{name: Grant(self._offered(name)) for name in welcome.channels}},
                    subject=known.subject if request.token else user,
                )
        if identity is None:
            raise closing(codes.CLOSE_BAD_REQUEST, "a token is needed")
        return identity

    async def authorize(
        self, channel: str, options: ChannelOptions, caller: Caller, request: SubscribeRequest
    ) -> Grant:
        """A token decides alone. Else the name's gate is first, then the channel's `authorize` or `allow_subscribe`."""
        if request.token:
            try:
                access = await self._subscription(request.token, channel, caller)
            except TokenExpired:
                raise refused(codes.TOKEN_EXPIRED) from None
            except TokenError as error:
                logger.info("a token for %r is not accepted: %s", channel, error)
                raise refused(codes.PERMISSION_DENIED) from None
            return access.grant(options)
        if self._insecure:
            return Grant(options)
        if (turned_away := gate(channel, caller.user)) is not None:
            raise refused(turned_away)
        declared = self._declarations.find(channel)
        authorize = None if declared is None else self._authorize.get(declared.pattern)
        if declared is not None and authorize is not None:
            answer = await authorize(caller, bytes(request.data), channel=channel, values=declared.values(channel))
            if answer == b"true":
                return Grant(options)
            allow = None if answer == b"false" else _returned(authorize, answer, Allow)
            if allow is None:
                raise refused(codes.PERMISSION_DENIED)
            return Grant(options, None, _raw(allow.info), _raw(allow.data))
        if (turned_away := refusal(options, Operation.SUBSCRIBE, user=caller.user, subscribed=False)) is not None:
            raise refused(turned_away)
        return Grant(options)

    async def refresh(self, token: str, caller: Caller) -> float | None:
        try:
            said = await self._verified(tokens.connection, token)
        except TokenExpired:
            raise closing(codes.CLOSE_EXPIRED) from None
        except TokenError as error:
            raise _invalid_token(error) from None
        if said.user != caller.subject:
            raise _invalid_token("it is another user's")
        return said.expire_at

    async def sub_refresh(self, channel: str, token: str, caller: Caller) -> float | None:
        try:
            return (await self._subscription(token, channel, caller)).expire_at
        except TokenExpired:
            raise refused(codes.TOKEN_EXPIRED) from None
        except TokenError as error:
            raise _invalid_token(error) from None

    def validate(self, channel: str, data: bytes) -> bytes:
        declared = self._declarations.find(channel)
        try:
            return data if declared is None else declared.accept(data)
        except PayloadError as error:
            raise refused(codes.BAD_REQUEST, str(error)) from None

    async def rpc(self, method: str, data: bytes, caller: Caller) -> bytes:
        handler = self._rpcs.get(method)
        if handler is None:
            raise refused(codes.METHOD_NOT_FOUND)
        return await handler(caller, data)

    async def message(self, data: bytes, caller: Caller) -> None:
        """An error is logged: there is no reply that could tell it."""
        if self._on_message is None:
            raise closing(codes.CLOSE_NOT_AVAILABLE)
        try:
            await self._on_message(caller, data)
        except ReplyError as error:
            logger.info("a message of client %s was not taken: %s", caller.client, error)

    def _offered(self, channel: str) -> ChannelOptions:
        options = self.options(channel)
        if options is None:
            raise refused(codes.UNKNOWN_CHANNEL)
        return options

    async def _subscription(self, token: str, channel: str, caller: Caller) -> tokens.Access:
        said = await self._verified(tokens.subscription, token)
        if (said.user, said.channel) != (caller.user, channel) or said.client not in ("", caller.client):
            raise _invalid_token("it is for another user, channel or client")
        return said.access

    async def _verified(self, verify: Callable[[str, list[Key], Expected, float], T], token: str) -> T:
        try:
            return verify(token, await self._keys.of(token), self._expected, time.time())
        except KeysUnavailable:
            raise refused(codes.INTERNAL) from None


def _returned(handler: Handler, content: bytes, model: type[M]) -> M | None:
    """What a handler returned, if it is the model."""
    if content == b"null":
        return None
    try:
        return model.model_validate_json(content)
    except ValidationError:
        logger.error("%s returned %.200s, which is no %s", handler.name, content.decode(), model.__name__)
        raise refused(codes.INTERNAL) from None


def _raw(value: Any) -> Raw:
    return NOTHING if value is None else Raw(to_json(value))


def _invalid_token(why: TokenError | str) -> Disconnection:
    logger.info("a token is not accepted: %s", why)
    return closing(codes.CLOSE_INVALID_TOKEN)
