"""Who is taken for the admin."""

from __future__ import annotations

import pytest
from fastapi import HTTPException
from starlette.requests import HTTPConnection

from cluster.admin import ADDRESSES, Guard

RIGHT = "Bearer the right one"
WRONG = "Bearer a guess"


class World:
    """Requests that come to one guard, and its clock."""

    def __init__(self, token: str | None = "the right one") -> None:
        self.now = 100.0
        self._guard = Guard(token, lambda: self.now)

    def answer(self, authorization: str, address: str = "192.0.2.1") -> int:
        scope = {"type": "http", "path": "/admin", "headers": [(b"host", b"test")], "client": (address, 1)}
        try:
            self._guard(HTTPConnection(scope), authorization)
        except HTTPException as refusal:
            return refusal.status_code
        return 204


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    "authorization", ["", "the right one", "Basic the right one", "Bearer", "Bearer the right", WRONG]
)
def test_only_the_token_lets_in(world: World, authorization: str) -> None:
    assert world.answer(authorization) == 403
    assert world.answer(RIGHT) == 204
    assert world.answer("bearer the right one") == 204


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer "])
def test_without_a_token_nobody_is_let_in(authorization: str) -> None:
    assert World(token=None).answer(authorization) == 403


def test_who_guesses_does_not_learn_which_guess_is_right(world: World) -> None:
    assert [world.answer(WRONG) for _ in range(11)] == 10 * [403] + [429]
    assert world.answer(RIGHT) == 429
    world.now += 1
    assert world.answer(RIGHT) == 204


def test_who_guesses_locks_out_nobody_else(world: World) -> None:
    for _ in range(20):
        world.answer(WRONG)
    assert world.answer(RIGHT, "192.0.2.2") == 204
    assert world.answer(WRONG, "192.0.2.2") == 403


def test_those_who_guess_are_not_remembered_without_end(world: World) -> None:
    for number in range(2 * ADDRESSES):
        assert world.answer(WRONG, f"2001:db8::{number:x}") == 403
    assert len(world._guard._wrong) == ADDRESSES
