"""The TypeScript that is made of models and channels, put before a strict compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import ConfigurationError
from cluster.typescript import collect, write
from tests.waiting import PATIENCE, wait_for

PROJECT = Path(__file__).parents[2]
NODE = PROJECT / "scripts" / "node"
MODULES = PROJECT / "web" / "node_modules"

MODELS = """
from typing import Annotated, Literal
from pydantic import BaseModel, ConfigDict, Field, RootModel
from cluster import Hub

class Sent(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

class Opened(Sent):
    kind: Literal["opened"] = "opened"
    by: str

class Closed(Sent):
    kind: Literal["closed"] = "closed"
    reason: str | None = None

class Change(RootModel[Annotated[Opened | Closed, Field(discriminator="kind")]]):
    pass

hub = Hub.from_env(bus_url="memory://")
hub.channel("doors", publishes=Change)
hub.channel("door:{number}", publishes=Opened)
hub.channel("readings:{number}", publishes=list[float])
hub.channel("untyped")
"""

USE = """
import { Centrifuge } from 'centrifuge';
import { Change, Closed, subscription } from './types';

function impossible(change: never): never { throw change; }

export function describe(change: Change): string {
  switch (change.kind) {
    case 'opened': return change.by;
    case 'closed': return change.reason ?? 'no reason';
    default: return impossible(change);
  }
}

export function follow(client: Centrifuge): void {
  subscription(client, 'doors', ({ data }) => describe(data));
  subscription(client, 'door:7', ({ data, offset }) => data.by.length + (offset ?? 0));
  subscription(client, 'readings:7', ({ data }) => data[0].toFixed(2));
}

export const closed: Closed = { kind: 'closed', reason: null };
"""

WRONG = {
    "a kind that is forgotten": USE.replace("    case 'closed': return change.reason ?? 'no reason';\n", ""),
    "a channel that is not there": USE.replace("'door:7'", "'window:7'"),
    "a channel without a model": USE.replace("'doors'", "'untyped'"),
    "a field that is not there": USE.replace("data.by.length", "data.to.length"),
    "a default that is left out": USE.replace(", reason: null", ""),
}


@pytest.fixture(scope="module")
def node() -> list[str]:
    """What runs a command with Node and finds the packages of the user interface."""
    if not MODULES.is_dir():
        reason = "web/node_modules is not there: scripts/node npm --prefix web ci"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return [str(NODE)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a module of models, where packages are found as beside the user interface."""
    (tmp_path / "doors.py").write_text(MODELS)
    (tmp_path / "node_modules").symlink_to(MODULES)
    return tmp_path


def types(node: list[str], place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*node, sys.executable, "-m", "cluster", "types", "doors", "doors:hub", "--out", "types.ts", *options]
    return subprocess.run(
        command,
        cwd=place,
        env=os.environ | {"PYTHONPATH": f"{place}:{PROJECT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def compile(node: list[str], place: Path, source: str) -> subprocess.CompletedProcess[str]:
    (place / "use.ts").write_text(source)
    options = "--strict --noEmit --skipLibCheck --target es2022 --module es2022 --moduleResolution bundler"
    command = [*node, str(MODULES / ".bin" / "tsc"), *options.split(), "use.ts"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_models_and_channels_become_types_a_strict_compiler_takes(node: list[str], place: Path) -> None:
    made = types(node, place)
    assert made.returncode == 0, made.stderr
    compiled = compile(node, place, USE)
    assert compiled.returncode == 0, compiled.stdout
    for mistake, source in WRONG.items():
        assert source != USE
        assert compile(node, place, source).returncode != 0, f"{mistake} compiles"


def test_check_tells_when_a_model_has_changed_and_changes_nothing(node: list[str], place: Path) -> None:
    assert types(node, place, "--check").returncode == 1
    assert not (place / "types.ts").exists()
    types(node, place)
    assert types(node, place, "--check").returncode == 0
    before = (place / "types.ts").read_text()
    (place / "doors.py").write_text(MODELS.replace("by: str", "by: int"))
    assert types(node, place, "--check").returncode == 1
    assert (place / "types.ts").read_text() == before


def test_the_types_are_written_again_when_a_model_changes(node: list[str], place: Path) -> None:
    command = [*node, sys.executable, "-m", "cluster", "types", "doors", "--out", "types.ts", "--watch"]
    environment = os.environ | {"PYTHONPATH": f"{place}:{PROJECT}"}
    watching = subprocess.Popen(command, cwd=place, env=environment)
    try:
        out = place / "types.ts"
        wait_for(out.exists, "the types are there")
        (place / "doors.py").write_text(MODELS.replace("by: str", "by_whom: str"))
        wait_for(lambda: "by_whom" in out.read_text(), "the types have changed")
    finally:
        watching.terminate()
        watching.wait(PATIENCE)


def test_the_types_of_the_user_interface_are_those_of_its_models(node: list[str]) -> None:
    checked = subprocess.run(
        [PROJECT / "scripts" / "types", "--check"], capture_output=True, text=True, check=False, timeout=300
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_would_not_change_is_not_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "types.ts"
    assert write("one", out)
    before = out.stat().st_mtime_ns
    assert not write("one", out)
    assert out.stat().st_mtime_ns == before
    assert write("two", out)
    assert [file.name for file in out.parent.iterdir()] == ["types.ts"]


def test_a_module_without_models_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match="cluster\\.limits"):
        collect(["cluster.limits"])


def test_a_module_that_is_missing_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match="no_such_module"):
        collect(["no_such_module"])


def test_two_models_of_one_name_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Sample"):
        collect(["tests.types.one", "tests.types.other"])
