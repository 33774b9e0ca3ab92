"""The bus between worker processes: the contract, and one file per engine. `connect` chooses by URL."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..sequencer import Limits
from ..settings import Settings
from .base import Bus, Capabilities
from .urls import missing_extra, without_secrets

__all__ = ["Bus", "Capabilities", "connect", "limits"]


def connect(settings: Settings) -> Bus:
    """The bus that `settings.bus` names, not yet open. Raises `ConfigurationError`."""
    url = settings.bus
    if url.startswith("memory://"):
        from .memory import MemoryBus

        return MemoryBus(url.removeprefix("memory://"), limits(settings))
    if url.startswith("zmq+"):
        from .endpoints import endpoints
        from .zmq import ZmqBus

        return ZmqBus(
            endpoints(url),
            durable=bool(settings.forwarder_journal),
            timeout=settings.bus_timeout,
            queue=settings.bus_queue,
            high_water=settings.bus_high_water,
        )
    if url.startswith("nats://"):
        try:
            from .nats import NatsBus
        except ModuleNotFoundError:
            raise missing_extra("nats") from None
        return NatsBus(url, timeout=settings.bus_timeout, queue=settings.bus_queue)
    raise ConfigurationError(
        f"BUS_URL={without_secrets(url)!r}: use zmq+ipc://DIRECTORY, zmq+tcp://HOST:PORT or memory://NAME"
    )


def limits(settings: Settings) -> Limits:
    """What a sequencer may hold under `settings`."""
    return Limits(channels=settings.forwarder_channels, bytes=settings.forwarder_bytes)
