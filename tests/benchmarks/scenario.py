"""What is measured: how many clients, on how many channels, and how often something is published."""

from __future__ import annotations

from dataclasses import dataclass

PAYLOAD_BYTES = 87


@dataclass(frozen=True)
class Scenario:
    """`rate`: publications per second, all channels together. `talkers`: clients that publish themselves, evenly,
    over the socket they receive on; 0: one publisher of its own does. `everyone`: whether all peers take part, or
    only those that are not overwhelmed by it.
    """

    name: str
    clients: int
    rate: float
    channels: int = 1
    talkers: int = 0
    everyone: bool = False

    @property
    def fanout(self) -> int:
        """Clients one publication goes to."""
        return self.clients // self.channels


SCENARIOS = (
    Scenario("500x200", 500, 200, everyone=True),
    Scenario("500x20", 500, 20, everyone=True),
    Scenario("2000x200", 2000, 200),
    Scenario("2000x1000", 2000, 1000),
    Scenario("chat", 1000, 1000, channels=100, talkers=1000, everyone=True),
    Scenario("500x1000", 500, 1000),
    Scenario("2000x20", 2000, 20),
    Scenario("100channels", 2000, 1000, channels=100, talkers=100),
)
"""Those that say most come first: time may not last for several rounds of all."""

TITLES = {
    "500x20": "500 clients, 20 publications/s",
    "500x200": "500 clients, 200 publications/s",
    "500x1000": "500 clients, 1000 publications/s",
    "2000x20": "2000 clients, 20 publications/s",
    "2000x200": "2000 clients, 200 publications/s",
    "2000x1000": "2000 clients, 1000 publications/s",
    "100channels": "100 channels with 20 clients each, 10 publications/s on each",
    "chat": "100 rooms with 10 clients each, every client publishes once a second",
}
