# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
"""Litestar's ChannelsPlugin over Redis, in the shape of its documentation: publish what the socket receives."""

from __future__ import annotations

import os

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.redis import RedisChannelsPubSubBackend
from litestar.exceptions import WebSocketDisconnect
from redis.asyncio import Redis

plugin = ChannelsPlugin(
    backend=RedisChannelsPubSubBackend(redis=Redis.from_url(os.environ["REDIS_URL"])),
    arbitrary_channels_allowed=True,
)


@websocket("/ws/{channel:str}")
async def endpoint(socket: WebSocket, channel: str, channels: ChannelsPlugin) -> None:
    await socket.accept()
    try:
        async with (
            channels.start_subscription([channel]) as subscriber,
            subscriber.run_in_background(socket.send_data),
        ):
            while True:
                channels.publish(await socket.receive_text(), [channel])
    except WebSocketDisconnect:
        pass


app = Litestar([endpoint], plugins=[plugin])
