"""Where the benchmarks keep what they build, and how the C programs are made."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
BUILD = REPOSITORY / ".build" / "bench"
RESULTS = REPOSITORY / "docs" / "benchmarks"

FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-pthread")


def program(name: str) -> Path:
    """The compiled `native/NAME.c`, made anew when its source is newer. Raises `CalledProcessError`."""
    source, made = HERE / "native" / f"{name}.c", BUILD / name
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", *FLAGS, "-o", str(made), str(source)], check=True)
    return made
