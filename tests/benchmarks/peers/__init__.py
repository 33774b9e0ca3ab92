"""What people use instead, each in the shape its own documentation teaches."""

from __future__ import annotations

from ..server import Server
from .node import Socketio, Ws
from .other import Nats, Nchan
from .python import Broadcaster, DjangoChannels, Litestar, Manager, PythonSocketio

PEERS: tuple[Server, ...] = (
    Nchan(),
    Ws(),
    Broadcaster(),
    Manager(),
    PythonSocketio(),
    Litestar(),
    DjangoChannels(),
    Socketio(),
    Nats(),
)
