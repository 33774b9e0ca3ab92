"""Shared clusters, and the output of whatever cluster runs while a test fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from .harness import SHOWN, RunningCluster, running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for cluster in running:
            report.sections.append((f"output of the cluster on port {cluster.port}", cluster.output()[-SHOWN:]))
    return report


@pytest.fixture(scope="package")
def demo() -> Iterator[RunningCluster]:
    """Three workers of the demo application, for tests that leave them as they are."""
    with RunningCluster(workers=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def restarted() -> Iterator[RunningCluster]:
    """Three workers of the demo application, for tests that kill parts of it and wait until all is well again."""
    with RunningCluster(workers=3) as cluster:
        yield cluster
