from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow: what is waited for is given more time than clients have."""
    monkeypatch.setattr("cluster.exchange.PATIENCE", 30.0)
    monkeypatch.setattr("cluster.node.PATIENCE", 30.0)
