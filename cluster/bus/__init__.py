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
    if url.startswith(("nats://", "tls://")):
        try:
            from .nats import NatsBus
        except ModuleNotFoundError:
            raise missing_extra("nats") from None
        return NatsBus(url, timeout=settings.bus_timeout, queue=settings.bus_queue)
    if url.startswith(("amqp://", "amqps://")):
        try:
            from .rabbitmq import Kept, RabbitBus
        except ModuleNotFoundError:
            raise missing_extra("rabbitmq") from None
        held = limits(settings)
        # Ids must be known for as long as they may be repeated, also to a worker that starts.
        kept = Kept(max(settings.history_seconds, held.id_seconds), held.bytes)
        return RabbitBus(url, timeout=settings.bus_timeout, queue=settings.bus_queue, limits=held, kept=kept)
    if url.startswith("sns+sqs://"):
        try:
            from .sqs import SqsBus, place
        except ModuleNotFoundError:
            raise missing_extra("aws") from None
        bus = SqsBus(place(url), timeout=settings.bus_timeout, queue=settings.bus_queue, limits=limits(settings))
        if settings.max_message_bytes > bus.capabilities.max_bytes:
            raise ConfigurationError(
                f"MAX_MESSAGE_BYTES={settings.max_message_bytes}: SNS carries at most {bus.capabilities.max_bytes}"
            )
        return bus
    if url.startswith(("redis://", "rediss://")):
        try:
            from .redis import RedisBus
        except ModuleNotFoundError:
            raise missing_extra("redis") from None
        return RedisBus(url, timeout=settings.bus_timeout, queue=settings.bus_queue)
    raise ConfigurationError(
        f"BUS_URL={without_secrets(url)!r}: use zmq+ipc://DIRECTORY, zmq+tcp://HOST:PORT, memory://NAME, "
        "nats://, tls:// (NATS), redis://, rediss://, amqp://, amqps:// or sns+sqs://"
    )


def limits(settings: Settings) -> Limits:
    """What a sequencer may hold under `settings`."""
    return Limits(channels=settings.forwarder_channels, bytes=settings.forwarder_bytes)
