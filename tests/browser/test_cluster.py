"""The cluster view and what the admin token adds to it, and the load view."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.cluster.harness import RunningCluster

from .conftest import TOKEN, OpenPage
from .views import panels, process, show


def test_every_process_is_shown_with_its_pid(cluster: RunningCluster, open_page: OpenPage) -> None:
    page = open_page("/cluster")
    pids = {f"api-{number}": pid for number, pid in enumerate(cluster.worker_pids())}
    for name, pid in {**pids, "forwarder": cluster.forwarder_pid(), "nginx": cluster.nginx_pid()}.items():
        expect(process(page, name).locator(".pid-cell")).to_have_text(str(pid))
        expect(process(page, name).locator(".state")).to_have_text("running")


def test_a_killed_worker_is_back_with_a_new_pid(cluster: RunningCluster, open_page: OpenPage) -> None:
    page = open_page(f"/cluster#token={TOKEN}")
    pid = cluster.worker_pids()[1]
    expect(process(page, "api-1").locator(".pid-cell")).to_have_text(str(pid))
    page.get_by_role("button", name="Kill api-1").click()
    expect(process(page, "api-1").locator(".pid-cell")).not_to_have_text(str(pid))
    cluster.wait_until_ready()
    new = cluster.worker_pids()[1]
    assert new != pid
    expect(process(page, "api-1").locator(".pid-cell")).to_have_text(str(new))
    expect(process(page, "api-1").locator(".state")).to_have_text("running")
    log = page.get_by_label("Events").locator("li")
    expect(log.filter(has_text="api-1").filter(has_text="died").filter(has_text=str(pid))).to_have_count(1)
    expect(log.filter(has_text="api-1").filter(has_text="respawned").filter(has_text=str(new))).to_have_count(1)


def test_the_forwarder_can_be_restarted_and_no_client_misses_anything(
    cluster: RunningCluster, open_page: OpenPage
) -> None:
    page = open_page(f"/#token={TOKEN}")
    a, b = panels(page, "A", "B")
    a.push()
    pid = cluster.forwarder_pid()
    show(page, "Cluster")
    page.get_by_role("button", name="Restart forwarder").click()
    expect(process(page, "forwarder").locator(".pid-cell")).not_to_have_text(str(pid))
    expect(process(page, "forwarder").locator(".state")).to_have_text("running")
    cluster.wait_until_ready()
    show(page, "Clients")
    b.push()
    for panel in (a, b):
        panel.counts("received", 2)
        panel.counts("missed", 0)


@pytest.mark.parametrize("path", ["/", "/cluster"])
def test_without_the_token_there_are_no_buttons_to_kill_or_restart(open_page: OpenPage, path: str) -> None:
    page = open_page(path)
    expect(page.get_by_text("3 workers")).to_be_visible()
    expect(page.get_by_role("button", name="Kill")).to_have_count(0)
    expect(page.get_by_role("button", name="Restart")).to_have_count(0)


def test_a_wrong_token_is_refused_and_the_right_one_taken(open_page: OpenPage) -> None:
    page = open_page("/cluster")
    page.get_by_role("button", name="Admin").click()
    dialog = page.get_by_role("dialog")
    for token in ("wrong", TOKEN):
        dialog.get_by_label("Admin token").fill(token)
        dialog.get_by_role("button", name="Continue").click()
        if token == "wrong":
            expect(dialog.get_by_role("alert")).to_contain_text("not the admin token")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Kill api-0")).to_be_visible()
    page.get_by_role("button", name="Leave admin").click()
    expect(page.get_by_role("button", name="Kill api-0")).to_have_count(0)


def test_the_token_does_not_stay_in_the_address(cluster: RunningCluster, open_page: OpenPage) -> None:
    page = open_page(f"/cluster#token={TOKEN}")
    expect(page.get_by_role("button", name="Kill api-0")).to_be_visible()
    assert page.url == f"{cluster.url}/cluster"


def test_clients_of_the_sdk_are_present(open_page: OpenPage) -> None:
    page = open_page()
    panels(page, "A", "B")
    show(page, "Cluster")
    expect(page.locator("[data-present]")).to_have_count(2)


def test_the_load_arrives_and_its_latency_is_shown(open_page: OpenPage) -> None:
    page = open_page("/load")
    page.get_by_role("button", name="100", exact=True).click()
    figure = page.locator("[data-figure='p50'] dd")
    expect(figure).to_contain_text("s")
    expect(page.locator("[data-figure='missed'] dd")).to_have_text("0")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-figure='received /s'] dd")).to_have_text("0")
