"""Whatever is sent that fits the API's description, or nearly, is answered as the description says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cluster import Hub

from ..cluster.harness import free_ports
from ..integration.serving import answers, process
from .support import KEY

INTERNAL = 100
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def described() -> FastAPI:
    """An application with the same API as the one that answers."""
    app = FastAPI()
    app.include_router(Hub.from_env(bus_url="memory://described", api_key=KEY).router)
    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where an application with the API answers."""
    port = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = (sys.executable, "-m", "uvicorn", "tests.apps.rooms:app", "--port", str(port), "--log-level", "warning")
    settings = {"bus_url": "memory://schema", "api_key": KEY, "heartbeat_interval": 0.1}
    with process(*command, ready=lambda: answers(url + "/readyz"), **settings):
        yield url


api = schemathesis.openapi.from_dict(described().openapi()).include(tag="server API")


@api.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case: schemathesis.Case[Any], url: str) -> None:
    answer = case.call_and_validate(base_url=url, headers={"X-API-Key": KEY}, checks=CHECKS)
    if answer.request.headers.get("X-API-Key") != KEY:  # left out on purpose
        assert answer.status_code == 401
    elif answer.request.method == "POST":
        assert answer.status_code == 200
        assert answer.json().get("error", {}).get("code") != INTERNAL
