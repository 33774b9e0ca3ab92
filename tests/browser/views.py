"""What the views of the user interface show."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.waiting import PATIENCE

expect.set_options(timeout=1000 * PATIENCE)


class Panel:
    """One client of the clients view."""

    def __init__(self, page: Page, name: str) -> None:
        self.root = page.get_by_role("group", name=f"Client {name}", exact=True)
        self.pushes = self.root.locator("tbody tr:not(.empty)")

    def is_connected(self) -> None:
        """Wait until it is."""
        expect(self.root.locator("header .state")).to_have_text("connected")

    @property
    def pid(self) -> int:
        """Of the worker it is bound to."""
        return int(self.root.locator(".bound app-pid").inner_text())

    def moves_away_from(self, pid: int) -> None:
        """Wait until it is connected to another worker."""
        expect(self.root.locator(".bound app-pid")).not_to_have_text(str(pid))
        self.is_connected()

    def push(self) -> None:
        """Push, and see it arrive here."""
        before = self.count("received")
        self.press("Initiate push")
        self.counts("received", before + 1)

    def press(self, button: str) -> None:
        self.root.get_by_role("button", name=button).click()

    def use(self, transport: str) -> None:
        """Choose a transport by its label."""
        self.root.get_by_label("Transport").select_option(label=transport)

    def counts(self, counter: str, value: int) -> None:
        """Wait until a counter shows this."""
        expect(self._counter(counter)).to_have_text(str(value))

    def count(self, counter: str) -> int:
        return int(self._counter(counter).inner_text())

    def newest(self) -> tuple[int, int, int]:
        """Origin, own worker and offset of the push that came last."""
        cells = self.pushes.first.locator("td").all_inner_texts()
        return int(cells[0]), int(cells[1]), int(cells[2])

    def _counter(self, name: str) -> Locator:
        return self.root.locator(f"[data-counter={name}] dd")


def panels(page: Page, *names: str) -> list[Panel]:
    """Panels by name, connected."""
    found = [Panel(page, name) for name in names]
    for panel in found:
        panel.is_connected()
    return found


def process(page: Page, name: str) -> Locator:
    """The row of a process in the cluster view."""
    return page.locator(f"[data-process='{name}']")


def show(page: Page, view: str) -> None:
    """Go to another view by its link."""
    page.get_by_role("link", name=view, exact=True).click()
