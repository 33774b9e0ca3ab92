"""The user interface's own tests."""

from __future__ import annotations

import subprocess

from tests.cluster.harness import REPOSITORY

MINUTES = 10 * 60


def test_its_sources_are_formatted_and_its_units_do_what_they_should() -> None:
    ended = subprocess.run(
        ["scripts/web-test"], cwd=REPOSITORY, capture_output=True, text=True, timeout=MINUTES, check=False
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-8000:]
