"""What docs/clients.md shows works as it stands there: the application, and three kinds of clients."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.harness import REPOSITORY, RunningCluster
from tests.conformance.js.node import MODULES, require_packages
from tests.waiting import PATIENCE, wait_for

TEXT = (REPOSITORY / "docs" / "clients.md").read_text()
SHOWN_AT = "localhost:8008"
NODE = REPOSITORY / "scripts" / "node"


def block(fence: str, first: str = "") -> str:
    """The block of code behind this fence; `first` is how it begins."""
    (found,) = re.findall(rf"```{fence}\n({re.escape(first)}.*?)```", TEXT, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    place = tmp_path_factory.mktemp("rooms")
    (place / "rooms.py").write_text(block("python", "# rooms.py"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(place))
        secret = re.findall(r"TOKEN_HMAC_SECRET=(\S+) cluster up rooms:app", TEXT)[0]
        with RunningCluster("rooms:app", workers=2, token_hmac_secret=secret) as running:
            yield running


@contextmanager
def printed(command: list[str | Path], place: Path) -> Iterator[Path]:
    """Run a program for as long as the block; the file its output goes to."""
    output = place / "output"
    with output.open("wb") as file:
        program = subprocess.Popen(command, cwd=place, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield output
    finally:
        program.terminate()
        program.wait(PATIENCE)


def wait_for_lines(output: Path, *lines: str) -> None:
    def missing() -> list[str]:
        there = output.read_text().splitlines()
        return [line for line in lines if line not in there]

    try:
        wait_for(lambda: not missing(), "all is printed")
    except AssertionError:
        raise AssertionError(f"{missing()} not in:\n{output.read_text()}") from None


def here(cluster: RunningCluster, text: str) -> str:
    assert SHOWN_AT in text
    return text.replace(SHOWN_AT, f"127.0.0.1:{cluster.port}")


def token(cluster: RunningCluster, user: str) -> str:
    with urllib.request.urlopen(f"{cluster.url}/token?user={user}") as answer:
        return str(json.load(answer))


def say(cluster: RunningCluster, place: Path, text: str) -> None:
    """Have the Python client publish this."""
    program = here(cluster, block("python", "# reader.py")).replace("good morning", text)
    subprocess.run([sys.executable, "-c", program], cwd=place, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)


@pytest.fixture
def with_node(tmp_path: Path) -> Path:
    """A directory in which Node finds the packages of the user interface."""
    require_packages()
    (tmp_path / "node_modules").symlink_to(MODULES)
    return tmp_path


def test_the_javascript_client_reads_publishes_and_calls(cluster: RunningCluster, with_node: Path) -> None:
    (with_node / "ann.mjs").write_text(here(cluster, block("js", "import")))
    with printed([NODE, "node", "ann.mjs"], with_node) as output:
        wait_for_lines(output, "read hello", "joined ann", "here ann", "sum 3")


def test_the_python_client_reads_publishes_and_calls(cluster: RunningCluster, tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(here(cluster, block("python", "# reader.py")))
    with printed([sys.executable, "reader.py"], tmp_path) as output:
        wait_for_lines(output, "read good morning", "sum 7")
        assert "good morning" in next(line for line in output.read_text().splitlines() if line.startswith("kept"))


def test_a_plain_websocket_comes_back_to_where_it_was(cluster: RunningCluster, with_node: Path) -> None:
    address = f"ws://127.0.0.1:{cluster.port}/connection/websocket"
    follow = f"follow('{address}', '{token(cluster, 'ann')}', 'chat:lobby', ({{ text }}) => console.log('read', text))"
    (with_node / "plain.mjs").write_text(
        block("js plain") + f"\n{follow};\nsetInterval(() => console.log('on'), 100);\n"
    )
    with printed([NODE, "node", "plain.mjs"], with_node) as output:
        wait_for_lines(output, "on")
        say(cluster, with_node, "while away")
        wait_for_lines(output, "read while away")
        for pid in cluster.worker_pids():
            cluster.kill(pid)
        cluster.wait_until_ready()
        say(cluster, with_node, "after the kill")
        wait_for_lines(output, "read after the kill")
        assert output.read_text().count("read while away") == 1
