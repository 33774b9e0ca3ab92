"""The test suite of the Python SDK, as it was published, against a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import RunningCluster

NAME = "centrifuge-python"
VERSION = "0.7.0"
SHA256 = "11252b45c3f6b6104cfb07fb0fcfc9d2d62832d2af14715dd16fdc5e9c6e5964"
TESTS = 185
SERVER = "localhost:8000"
"""Where the suite looks for its server."""
CACHE = Path(sys.prefix, "conformance")
DOWNLOAD = 120
SECONDS = 300
SHOWN = 20_000
"""Characters of what it logged that are worth reading when it has failed."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with RunningCluster("tests.conformance.app:app", workers=4, token_hmac_secret="secret") as cluster:
        yield cluster


@pytest.fixture
def suite(cluster: RunningCluster, tmp_path: Path) -> Path:
    """The SDK and its tests, which look for the server at the cluster's port."""
    with tarfile.open(sdist()) as archive:
        archive.extractall(tmp_path, filter="data")
    root = tmp_path / f"centrifuge_python-{VERSION}"
    for file in (root / "tests").glob("*.py"):
        file.write_text(file.read_text().replace(SERVER, f"127.0.0.1:{cluster.port}"))
    return root


def test_the_python_sdks_own_tests_pass(suite: Path) -> None:
    log = suite / "output.log"
    where = ["--top-level-directory", ".", "--start-directory", "tests"]
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "unittest", "discover", "--verbose", *where],
            cwd=suite,
            env=os.environ | {"PYTHONPATH": str(suite)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            status = running.wait(SECONDS)
        except subprocess.TimeoutExpired:
            # It waits for what it is sent without a limit of its own: the last thing it says is what did not come.
            status = None
        finally:
            running.kill()
            running.wait()
    said = log.read_text(errors="replace")
    assert re.findall(r"^(?:FAIL|ERROR): .*$", said, re.MULTILINE) == [], said[-SHOWN:]
    assert status == 0, said[-SHOWN:]
    assert f"Ran {TESTS} tests" in said


def sdist() -> Path:
    """The archive, downloaded if it is not there yet."""
    archive = CACHE / f"centrifuge_python-{VERSION}.tar.gz"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            wanted = Path(directory, "requirements.txt")
            wanted.write_text(f"{NAME}=={VERSION} --hash=sha256:{SHA256}\n")
            command = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", NAME, "--require-hashes"]
            subprocess.run(
                [sys.executable, *command, "--dest", directory, "--requirement", str(wanted)],
                check=True,
                timeout=DOWNLOAD,
            )
            shutil.move(Path(directory, archive.name), archive)
    return archive
