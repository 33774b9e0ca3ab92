from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .support import Caller, application


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with application() as caller:
        yield caller


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Caller]:
    """For tests that change nothing."""
    async with application() as caller:
        yield caller
