"""Processes die and stand still at random; clients that come back miss nothing. `make chaos` runs it for longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.harness import RunningCluster

from .engine import ENGINES, running
from .run import APP, WORKERS, chaos

DURATION = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with RunningCluster(APP, workers=WORKERS) as cluster:
        yield cluster


async def test_nothing_is_lost_repeated_or_reordered(cluster: RunningCluster) -> None:
    report = await chaos(cluster, DURATION, seed=1)
    print(report)
    assert report.verdict.kept, str(report)
    assert report.publications > 0
    assert sum(report.killed.values()) >= 3


@pytest.mark.parametrize("scheme", ENGINES)
async def test_an_engine_that_dies_and_stands_still_loses_nothing(scheme: str) -> None:
    with running(scheme) as engine, RunningCluster(APP, workers=2, bus_url=engine.url) as cluster:
        report = await chaos(cluster, DURATION, seed=3, engine=engine, clients=60)
    print(report)
    assert report.verdict.kept, str(report)
    assert report.publications > 0
    assert report.killed["engine"] > 0


async def test_without_recovery_the_same_chaos_shows_losses(cluster: RunningCluster) -> None:
    report = await chaos(cluster, 8.0, seed=2, clients=40, forgetful=True)
    assert report.verdict.lost > 0, str(report)
