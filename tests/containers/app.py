"""The application of the containers: that of the chaos, and rooms that show who is there."""

from __future__ import annotations

from tests.chaos.app import app, hub

__all__ = ["app", "hub"]

hub.channel("room:{name}", presence=True, join_leave=True, allow_subscribe="anyone", allow_presence="subscribers")
