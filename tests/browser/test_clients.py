"""Clients in a browser: what one pushes the others receive, and nothing is missed when a worker dies."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest
from playwright.sync_api import expect

from tests.cluster.harness import RunningCluster

from .conftest import TOKEN, OpenPage
from .views import Panel, panels

WHILE_AWAY = 3


def test_two_panels_sit_on_two_workers(cluster: RunningCluster, open_page: OpenPage) -> None:
    a, b = panels(open_page(), "A", "B")
    assert a.pid != b.pid
    assert {a.pid, b.pid} <= set(cluster.worker_pids())


def test_a_push_of_one_panel_appears_in_the_other(open_page: OpenPage) -> None:
    a, b = panels(open_page(), "A", "B")
    a.push()
    b.counts("received", 1)
    origin, own, offset = b.newest()
    assert (origin, own) == (a.pid, b.pid)
    assert a.newest() == (a.pid, a.pid, offset)


def test_reconnect_lands_on_another_worker_and_misses_nothing(open_page: OpenPage) -> None:
    a, b = panels(open_page(), "A", "B")
    b.push()
    before = a.pid
    a.press("Reconnect")
    a.moves_away_from(before)
    b.push()
    a.counts("received", 2)
    a.counts("missed", 0)
    a.counts("duplicated", 0)


@pytest.mark.parametrize("transport", ["SDK · WebSocket", "SDK · HTTP stream", "SDK · SSE", "Plain WebSocket"])
def test_a_client_receives_over_every_transport(open_page: OpenPage, transport: str) -> None:
    a, b = panels(open_page(), "A", "B")
    b.push()
    a.counts("received", 1)
    a.use(transport)
    expect(a.root.locator("header .state")).to_have_text("connected")
    b.push()
    a.push()
    for panel in (a, b):
        panel.counts("received", 3)
        panel.counts("missed", 0)


def test_panels_come_and_go(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Add a client").click()
    a, b, c = panels(page, "A", "B", "C")
    assert len({a.pid, b.pid, c.pid}) == 3
    page.get_by_role("button", name="Remove client B").click()
    expect(b.root).to_have_count(0)
    c.push()
    a.counts("received", 1)


def by_button(cluster: RunningCluster, panel: Panel) -> None:
    panel.press("Kill api-")


def by_signal(cluster: RunningCluster, panel: Panel) -> None:
    psutil.Process(panel.pid).kill()


@pytest.mark.parametrize("transport", ["SDK · WebSocket", "Plain WebSocket"])
@pytest.mark.parametrize("kill", [by_button, by_signal])
def test_a_client_whose_worker_is_killed_misses_nothing(
    cluster: RunningCluster, open_page: OpenPage, kill: Callable[[RunningCluster, Panel], None], transport: str
) -> None:
    [a] = panels(open_page(f"/#token={TOKEN}"), "A")
    a.use(transport)
    a.is_connected()
    other = next(panel for panel in panels(open_page(), "A", "B") if panel.pid != a.pid)
    other.push()
    a.counts("received", 1)
    before = a.pid
    kill(cluster, a)
    # It cannot come back yet; what is published now it must recover.
    a.root.page.context.set_offline(True)
    expect(a.root.locator("header .state")).to_have_text("connecting")
    for _ in range(WHILE_AWAY):
        other.push()
    a.root.page.context.set_offline(False)
    a.moves_away_from(before)
    a.counts("received", 1 + WHILE_AWAY)
    a.counts("recovered", WHILE_AWAY)
    a.counts("missed", 0)
    a.counts("duplicated", 0)
    other.counts("missed", 0)
    cluster.wait_until_ready()
