"""Every view: accessible, steady, within the window, from this cluster alone, and as the headers allow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, ViewportSize, expect

from tests.cluster.harness import REPOSITORY, RunningCluster

from .conftest import TOKEN, OpenPage
from .views import panels

AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ["/", "/cluster", "/load"]
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
MOVED = """
new Promise(resolve => {
    let sum = 0;
    new PerformanceObserver(list => list.getEntries().forEach(shift => sum += shift.hadRecentInput ? 0 : shift.value))
        .observe({type: 'layout-shift', buffered: true});
    setTimeout(() => resolve(sum), 500);
})
"""


def is_filled(page: Page, path: str) -> None:
    """Wait until a view shows what it has to show."""
    expect(page.get_by_text("3 workers")).to_be_visible()
    if path == "/":
        panels(page, "A", "B")
        for name in ("A", "B"):
            page.get_by_role("group", name=f"Client {name}", exact=True).get_by_role("button", name="Initiate").click()
        expect(page.get_by_role("group", name="Client A").locator("tbody tr:not(.empty)")).to_have_count(2)
    elif path == "/cluster":
        expect(page.locator("[data-process] canvas").first).to_be_attached()
    else:
        page.get_by_role("button", name="100", exact=True).click()
        expect(page.locator(".mark")).to_have_count(2)


@pytest.mark.parametrize("path", VIEWS)
def test_there_are_no_serious_violations_of_accessibility(open_page: OpenPage, path: str) -> None:
    page = open_page(f"{path}#token={TOKEN}", viewport=DESKTOP, reduced_motion="reduce")
    is_filled(page, path)
    page.evaluate(AXE.read_text())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = page.evaluate("axe.run()")
        assert found["passes"]
        assert not [violation for violation in found["violations"] if violation["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_fits_its_window(open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    """And here is how it looks: the screenshots stay in pytest's temporary directory."""
    page = open_page(path, viewport=DESKTOP)
    is_filled(page, path)
    for window in (DESKTOP, PHONE):
        page.set_viewport_size(window)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            name = f"{path.strip('/') or 'clients'}-{scheme}-{window['width']}.png"
            page.screenshot(path=screenshots(tmp_path_factory) / name, full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]


def screenshots(factory: pytest.TempPathFactory) -> Path:
    directory = factory.getbasetemp() / "screenshots"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.mark.parametrize("path", VIEWS)
def test_nothing_moves_while_a_view_fills(open_page: OpenPage, path: str) -> None:
    page = open_page(path, viewport=DESKTOP)
    is_filled(page, path)
    assert page.evaluate(MOVED) < 0.05


def test_the_theme_can_be_chosen_and_stays(open_page: OpenPage) -> None:
    page = open_page(color_scheme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    for _ in range(2):
        page.get_by_role("button", name="Colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == dark


def test_it_can_be_used_without_a_mouse(open_page: OpenPage) -> None:
    page = open_page()
    a, _ = panels(page, "A", "B")
    button = a.root.get_by_role("button", name="Initiate push")
    for _ in range(30):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    a.counts("received", 1)


def test_everything_comes_from_the_cluster(cluster: RunningCluster, open_page: OpenPage) -> None:
    page = open_page()
    asked: set[str] = set()

    def remember(request: Request) -> None:
        asked.add(urlsplit(request.url).netloc)

    page.on("request", remember)
    for path in VIEWS:
        page.goto(cluster.url + path)
        is_filled(page, path)
    assert asked == {urlsplit(cluster.url).netloc}


def test_only_files_with_a_hash_in_their_name_are_kept(cluster: RunningCluster, open_page: OpenPage) -> None:
    page = cluster.get("/cluster", accept="text/html")
    assert page.headers["cache-control"] == "no-cache"
    scripts = re.findall(r'(?:src|href)="((?:main|styles)-[^"]+)"', page.text)
    assert len(scripts) == 2
    for name in scripts:
        assert "immutable" in cluster.get(f"/{name}").headers["cache-control"]


def test_the_page_allows_nothing_inline_and_leaves_other_pages_alone(cluster: RunningCluster) -> None:
    policy = cluster.get("/", accept="text/html").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "content-security-policy" not in cluster.get("/docs").headers
    assert "content-security-policy" not in cluster.get("/api/cluster").headers


@pytest.mark.parametrize("path", ["/cluster", "/load"])
def test_a_view_that_a_program_asks_for_is_the_application_s_to_answer(cluster: RunningCluster, path: str) -> None:
    assert cluster.get(path, accept="application/json").status_code == 404
