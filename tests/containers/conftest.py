"""What the tests of all engines have in common; a module has a fixture `place` of its own, its site."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.cluster.harness import SHOWN

from .network import Loopback, refusal
from .site import Pair, Site


@pytest.fixture
def containers(place: Site) -> Pair:
    """Both, running."""
    place.run()
    return place.containers


@pytest.fixture
def linked(place: Site) -> Loopback:
    """The network, for tests that need one of their own."""
    if not place.network.isolated:
        pytest.skip(f"network namespaces are not permitted here: {refusal()}")
    return place.network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    place = getattr(item, "funcargs", {}).get("place")
    if report.failed and place is not None:
        for container in place.containers:
            report.sections.append((f"output of {container.name}", container.output()[-SHOWN:]))
    return report
