"""A cluster that serves the user interface, and Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from tests.cluster.conftest import pytest_runtest_makereport as pytest_runtest_makereport
from tests.cluster.harness import REPOSITORY, RunningCluster

TOKEN = "the-admin-token-of-these-tests"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BUILD = 600
"""Seconds that building the user interface may take, with the packages it needs."""

OpenPage = Callable[..., Page]
"""Opens a path of the cluster; keyword arguments are those of a browser context."""


@pytest.fixture(scope="package")
def cluster() -> Iterator[RunningCluster]:
    """Three workers of the demo application and the built user interface."""
    subprocess.run(["scripts/web"], cwd=REPOSITORY, check=True, timeout=BUILD)
    with RunningCluster(workers=3, admin_token=TOKEN) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. Where there is none the test is skipped, in CI it fails."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: install the package chromium")
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=OPTIONS) as launched:
        yield launched


@pytest.fixture
def open_page(cluster: RunningCluster, browser: Browser) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own. What a page does wrong on its own account fails the test."""
    wrong: list[str] = []

    def report(error: Error) -> None:
        wrong.append(str(error))

    def judge(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            wrong.append(message.text)

    with ExitStack() as contexts:

        def opened(path: str = "/", **options: Any) -> Page:
            context = contexts.enter_context(browser.new_context(**options))
            page = context.new_page()
            page.on("pageerror", report)
            page.on("console", judge)
            page.goto(cluster.url + path)
            return page

        yield opened
    assert not wrong
