"""docker-compose.yml says what Docker understands and the project accepts; it is not run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from compose_pydantic import ComposeSpecification  # type: ignore[import-untyped]
from pydantic import ValidationError

from cluster.bus import connect
from cluster.settings import load

CHECKOUT = Path(__file__).parents[2]
PROFILES = {"nats": "nats:4222", "redis": "redis:6379", "rabbitmq": "@rabbitmq/", "aws": "http://aws:5000"}
"""The engine of each profile, as its workers address it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file without its extensions (`x-…`), which the specification leaves to whoever writes them."""
    content = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    return {name: value for name, value in content.items() if not name.startswith("x-")}


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    ComposeSpecification.model_validate(compose)
    with pytest.raises(ValidationError):  # it would have been noticed otherwise
        ComposeSpecification.model_validate(compose | {"services": {"app": {"imgae": "a slip of the pen"}}})


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_two_containers_and_one_engine(compose: dict[str, Any], profile: str) -> None:
    services = {name: service for name, service in compose["services"].items() if profile in service["profiles"]}
    application, engine = services[f"app-{profile}"], services[profile]
    assert len(services) == 2
    assert application["deploy"]["replicas"] == 2
    assert application["ports"] == ["8008-8009:8008"]
    assert PROFILES[profile] in application["environment"]["BUS_URL"]
    volumes = [volume.partition(":")[0] for volume in engine.get("volumes", [])]
    assert set(volumes) <= set(compose["volumes"])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_bus_is_made_of_each_url(compose: dict[str, Any], profile: str) -> None:
    url = compose["services"][f"app-{profile}"]["environment"]["BUS_URL"]
    assert connect(load(bus_url=url)).capabilities.ordered


def test_every_service_belongs_to_a_profile(compose: dict[str, Any]) -> None:
    """Nothing starts unasked, and no engine is forgotten."""
    assert {service["profiles"][0] for service in compose["services"].values()} == set(PROFILES)
