"""What a client would have asked for to be where the server subscribes it. Pure."""

from __future__ import annotations

from .access import ChannelOptions, Grant
from .peers import SubscribeClients
from .session.commands import SubscribeRequest, raw


def grant_of(order: SubscribeClients, options: ChannelOptions) -> Grant:
    """What the client may have; `options` are the channel's."""
    if order.presence is not None:
        options = options._replace(presence=order.presence)
    if order.join_leave is not None:
        options = options._replace(join_leave=order.join_leave)
    if order.recoverable and options.recovery == "off":
        options = options._replace(recovery="stream")
    elif order.recoverable is False:
        options = options._replace(recovery="off")
    if order.positioned is not None:
        options = options._replace(positioned=order.positioned)
    return Grant(options, order.expire_at, raw(order.info), raw(order.data))


def request_of(order: SubscribeClients) -> SubscribeRequest:
    """What the client would have sent."""
    request = SubscribeRequest(order.channel)
    if order.since is not None:
        request.recover, (request.epoch, request.offset) = True, order.since
    return request
