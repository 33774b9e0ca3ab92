"""Who may call the API."""

from __future__ import annotations

import httpx
import pytest

from .support import KEY, Caller, application

SECRET = KEY.encode()
BODY = {"channel": "orders", "data": {"id": 1}}


async def post(api: Caller, headers: dict[str, bytes]) -> httpx.Response:
    del api.http.headers["X-API-Key"]
    try:
        return await api.http.post(
            "/api/publish", json=BODY, headers=[(name.encode(), value) for name, value in headers.items()]
        )
    finally:
        api.http.headers["X-API-Key"] = KEY


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": SECRET}, {"Authorization": b"apikey " + SECRET}], ids=["X-API-Key", "Authorization"]
)
async def test_who_has_the_key_is_answered(api: Caller, headers: dict[str, bytes]) -> None:
    assert (await post(api, headers)).json()["result"]["offset"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": b""},
        {"X-API-Key": SECRET[:-1]},
        {"X-API-Key": SECRET + b"!"},
        {"X-API-Key": "kéy".encode()},
        {"Authorization": b"Bearer " + SECRET},
        {"Authorization": b"apikey wrong"},
    ],
    ids=str,
)
async def test_who_has_not_is_not(api: Caller, headers: dict[str, bytes]) -> None:
    response = await post(api, headers)
    assert response.status_code == 401
    assert response.json() == {"error": {"code": 101, "message": "unauthorized"}}
    assert (await api.result("history", channel="orders"))["offset"] == 0


async def test_without_a_key_in_the_settings_there_is_no_api() -> None:
    async with application(api_key=None) as api:
        for headers in ({}, {"X-API-Key": SECRET}, {"X-API-Key": b""}):
            assert (await post(api, headers)).status_code == 404


async def test_the_key_is_looked_at_before_the_request_is(api: Caller) -> None:
    response = await api.http.post("/api/publish", content=b"{", headers={"X-API-Key": "wrong"})
    assert response.status_code == 401
