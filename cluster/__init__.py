"""One message reaches every WebSocket client of every FastAPI worker process.

    hub = Hub.from_env()
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)

The main path: `app.py` → `hub.py` → `bus/` → `forwarder.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calls import Allow, Call, Welcome
    from .channel import Channel
    from .connection import Connection
    from .envelope import Envelope
    from .errors import (
        BusError,
        BusUnavailable,
        ChannelError,
        CloseCode,
        ClusterError,
        ConfigurationError,
        Disconnection,
        PayloadError,
        PublishError,
        PublishRefused,
        ReplyError,
    )
    from .events import MIDDLEWARE_ID, dispatch
    from .integration import Hub, HubDependency, get_hub
    from .logs import RequestIds
    from .settings import Settings
    from .stream import Position, Publication, Retention

__all__ = [
    "MIDDLEWARE_ID",
    "Allow",
    "BusError",
    "BusUnavailable",
    "Call",
    "Channel",
    "ChannelError",
    "CloseCode",
    "ClusterError",
    "ConfigurationError",
    "Connection",
    "Disconnection",
    "Envelope",
    "Hub",
    "HubDependency",
    "PayloadError",
    "Position",
    "Publication",
    "PublishError",
    "PublishRefused",
    "ReplyError",
    "RequestIds",
    "Retention",
    "Settings",
    "Welcome",
    "dispatch",
    "get_hub",
]

_HOMES = {
    "Allow": "calls",
    "BusError": "errors",
    "BusUnavailable": "errors",
    "Call": "calls",
    "Channel": "channel",
    "ChannelError": "errors",
    "CloseCode": "errors",
    "ClusterError": "errors",
    "ConfigurationError": "errors",
    "Connection": "connection",
    "Disconnection": "errors",
    "Envelope": "envelope",
    "Hub": "integration",
    "HubDependency": "integration",
    "MIDDLEWARE_ID": "events",
    "PayloadError": "errors",
    "Position": "stream",
    "Publication": "stream",
    "PublishError": "errors",
    "PublishRefused": "errors",
    "ReplyError": "errors",
    "RequestIds": "logs",
    "Retention": "stream",
    "Settings": "settings",
    "Welcome": "calls",
    "dispatch": "events",
    "get_hub": "integration",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for. The forwarder and nginx are back sooner for not having loaded FastAPI."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
