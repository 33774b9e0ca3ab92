"""The AsyncAPI document of a hub's channels, put before the specification's own schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from cluster import Hub
from cluster.asyncapi import VERSION, asyncapi
from tests.waiting import PATIENCE

from .test_typescript import MODULES, PROJECT

SPECIFICATION = MODULES / "@asyncapi" / "specs" / "schemas" / f"{VERSION}.json"


class Opened(BaseModel):
    kind: Literal["opened"] = "opened"


class Closed(BaseModel):
    kind: Literal["closed"] = "closed"


class Request(BaseModel):
    number: int = 0


@pytest.fixture
def hub() -> Hub:
    found = Hub.from_env(bus_url="memory://")
    change = Annotated[Opened | Closed, Field(discriminator="kind")]
    found.channel("doors", publishes=change)  # type: ignore[arg-type]
    found.channel("door:{number}", publishes=Opened, accepts=Request, allow_publish="users")
    found.channel("door_number", publishes=list[float])
    found.channel("untyped", allow_publish="anyone")
    return found


def problems(document: Any) -> list[str]:
    """What the specification's schema has against `document`."""
    if not SPECIFICATION.is_file():
        reason = "web/node_modules is not there: scripts/node npm --prefix web ci"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    schema = json.loads(SPECIFICATION.read_text())
    return [error.message for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document)]


def test_it_is_what_the_specification_asks_for(hub: Hub) -> None:
    document = asyncapi(hub.declared, title="Doors", version="1")
    assert problems(document) == []
    document["operations"]["doorsSend"]["action"] = "shout"
    assert problems(document) != []


def test_every_reference_leads_somewhere(hub: Hub) -> None:
    document = asyncapi(hub.declared, title="Doors", version="1")

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    assert references(document)
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_what_clients_may_publish_is_received(hub: Hub) -> None:
    operations = asyncapi(hub.declared, title="Doors", version="1")["operations"]
    received = {name for name, operation in operations.items() if operation["action"] == "receive"}
    assert received == {"doorNumberReceive", "untypedReceive"}


def test_two_patterns_of_the_same_words_are_two_channels(hub: Hub) -> None:
    channels = asyncapi(hub.declared, title="Doors", version="1")["channels"]
    assert {each["address"] for each in channels.values()} == {"doors", "door:{number}", "door_number", "untyped"}


def test_an_application_serves_its_own(hub: Hub) -> None:
    app = FastAPI(title="Doors", version="7", lifespan=hub.lifespan)
    app.include_router(hub.router)
    with TestClient(app) as client:
        document = client.get("/asyncapi.json").json()
    assert document["info"] == {"title": "Doors", "version": "7"}
    assert problems(document) == []


def test_the_command_prints_the_demos() -> None:
    command = [sys.executable, "-m", "cluster", "asyncapi", "cluster.app:hub", "--title", "Demo"]
    printed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=PATIENCE)
    document = json.loads(printed.stdout)
    assert {"chat:{room}", "notifications", "load"} <= {each["address"] for each in document["channels"].values()}
    assert problems(document) == []
