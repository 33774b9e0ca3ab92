"""The `make` commands. Programs that they call are replaced by ones that write down how they were called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.harness import environment

CHECKOUT = Path(__file__).parents[2]

WRITE_DOWN = 'echo "$(basename "$0") $*" >>"$CALLS"\n'
NEW_ENOUGH = 'case $* in *version_info*[:2]*) echo python3.11 ;; *"import ensurepip"*) exit {ensurepip} ;; esac\n'
MAKES_VENVS = """
case $* in "-m venv"*)
    mkdir -p .venv && rm -rf .venv/* && mkdir .venv/bin && cp "$0" .venv/bin/python
    echo "#!$PWD/.venv/bin/python" >.venv/bin/pip ;;
esac
"""


class Commands:
    """The commands, run with `programs` in front of everything else on PATH, and what those were called with."""

    def __init__(self, folder: Path, checkout: Path = CHECKOUT) -> None:
        self.checkout = checkout
        self._programs = folder / "programs"
        self._programs.mkdir()
        self._calls = folder / "calls"

    def add(self, name: str, script: str = "") -> None:
        """Let `name` be a program that writes down its arguments and runs `script`."""
        program = self._programs / name
        program.write_text(f"#!/bin/bash\n{WRITE_DOWN}{script}")
        program.chmod(0o755)

    def run(self, *command: str, **settings: object) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in environment(**settings).items() if not name.startswith("MAKE")}
        return subprocess.run(
            command,
            cwd=self.checkout,
            env={**env, "PATH": f"{self._programs}:{env['PATH']}", "CALLS": str(self._calls)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What was written down since the last time."""
        found = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return found


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture
def docker(commands: Commands) -> Commands:
    """Commands on a machine with a Docker engine, in which the cluster runs."""
    commands.add("docker", 'case $* in "container inspect"*) echo true ;; esac\n')
    return commands


@pytest.fixture
def bare(tmp_path: Path) -> Commands:
    """Commands in a checkout in which nothing was installed yet, with a Python that installs nothing."""
    checkout = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "scripts", checkout / "scripts")
    for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(CHECKOUT / name, checkout / name)
    commands = Commands(tmp_path, checkout)
    commands.add("python3", NEW_ENOUGH.format(ensurepip=0) + MAKES_VENVS)
    return commands


def installed(commands: Commands) -> list[str]:
    """The requirements files that were installed since the last time."""
    return [file for call in commands.calls() for file in re.findall(r"--require-hashes -r (\S+)", call)]


def test_make_alone_lists_every_command(commands: Commands) -> None:
    [names] = re.findall(r"^\.PHONY: (.*)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)

    assert re.findall(r"^make (\S+) +\S", commands.run("make").stdout, re.MULTILINE) == names.split()


def test_the_shell_of_the_type_generator_opens_in_a_container_with_the_sources(docker: Commands) -> None:
    docker.run("scripts/shell-tsgen")

    info, build, run = docker.calls()
    assert info == "docker info"
    assert build == "docker build --quiet --target tsgen --tag fastapi-websocket-sync-tsgen ."
    assert re.fullmatch(
        r"docker run --rm --interactive --user \S+ --volume \S+:/app fastapi-websocket-sync-tsgen bash", run
    )


def test_start_runs_a_container_where_there_is_a_docker_engine(docker: Commands) -> None:
    ended = docker.run("scripts/start", port=9000)

    assert ended.returncode == 0
    assert "there is a Docker engine" in ended.stdout
    assert "http://localhost:9000" in ended.stdout
    info, build, run = docker.calls()
    assert info == "docker info"
    assert build == "docker build --tag fastapi-websocket-sync ."
    assert run.startswith("docker run --rm --name fastapi-websocket-sync-9000 --publish 127.0.0.1:9000:8008 ")
    assert {"--env=WORKERS", "--env=HISTORY_SIZE"} <= set(run.split())
    assert not {"--env=PORT", "--env=HOST", "--env=RUN_DIR"} & set(run.split())
    assert run.endswith(" fastapi-websocket-sync")


def test_stop_stops_the_container(docker: Commands) -> None:
    docker.run("scripts/stop", port=9000)

    assert docker.calls()[-1] == "docker stop -t 40 fastapi-websocket-sync-9000"


def test_shell_opens_in_the_container(docker: Commands) -> None:
    docker.run("scripts/shell", port=9000)

    assert docker.calls()[-1] == "docker exec --interactive fastapi-websocket-sync-9000 bash"


def test_supervisorctl_runs_in_the_container(docker: Commands) -> None:
    docker.run("scripts/supervisorctl", "restart", "api:api-0", port=9000)

    call = docker.calls()[-1]
    assert call.startswith("docker exec --interactive fastapi-websocket-sync-9000 sh -c ")
    assert call.endswith(" supervisorctl restart api:api-0")


def test_stop_says_that_nothing_runs(commands: Commands, tmp_path: Path) -> None:
    commands.add("docker", "exit 1")

    ended = commands.run("scripts/stop", run_dir=tmp_path)

    assert ended.returncode == 1
    assert f"no cluster runs in {tmp_path}" in ended.stderr


def test_supervisorctl_says_that_nothing_runs(commands: Commands, tmp_path: Path) -> None:
    commands.add("docker", "exit 1")

    ended = commands.run("scripts/supervisorctl", "status", run_dir=tmp_path)

    assert ended.returncode == 1
    assert f"no cluster runs in {tmp_path}" in ended.stderr


def test_the_shell_without_a_container_has_the_venv_active(bare: Commands) -> None:
    bare.add("docker", "exit 1")
    bare.add("zsh", 'echo "$VIRTUAL_ENV"; echo "$PATH"')

    venv, path = bare.run("env", "SHELL=zsh", "scripts/shell").stdout.splitlines()[-2:]

    assert venv == f"{bare.checkout}/.venv"
    assert path.startswith(f"{venv}/bin:")


def test_the_first_command_installs_and_the_second_does_not(bare: Commands) -> None:
    first = bare.run("scripts/venv", "run")

    assert first.returncode == 0, first.stderr
    assert installed(bare) == ["requirements.txt"]
    assert bare.run("scripts/venv", "run").stdout == ""
    assert installed(bare) == []


def test_what_a_developer_has_is_enough_to_run(bare: Commands) -> None:
    bare.run("scripts/venv", "run")
    assert installed(bare) == ["requirements.txt"]
    bare.run("scripts/venv", "dev")
    assert installed(bare) == ["requirements-dev.txt"]
    bare.run("scripts/venv", "run")
    assert installed(bare) == []


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements.txt", "requirements-dev.txt"])
def test_a_changed_requirement_is_installed(bare: Commands, changed: str) -> None:
    bare.run("scripts/venv", "dev")
    installed(bare)

    with (bare.checkout / changed).open("a") as file:
        file.write("# changed\n")
    bare.run("scripts/venv", "dev")

    assert installed(bare) == ["requirements-dev.txt"]


def test_an_installation_that_failed_is_tried_again(bare: Commands) -> None:
    bare.add("python3", NEW_ENOUGH.format(ensurepip=0) + MAKES_VENVS + "case $* in *--editable*) [ -e fixed ] ;; esac")

    assert bare.run("scripts/venv", "run").returncode != 0
    (bare.checkout / "fixed").touch()
    installed(bare)
    assert bare.run("scripts/venv", "run").returncode == 0
    assert installed(bare) == ["requirements.txt"]


def test_a_venv_that_was_moved_is_made_anew(bare: Commands, tmp_path: Path) -> None:
    bare.run("scripts/venv", "run")
    bare.calls()
    bare.checkout = bare.checkout.rename(tmp_path / "moved")

    bare.run("scripts/venv", "run")

    assert "python3 -m venv --clear .venv" in bare.calls()


def test_a_venv_of_another_tree_is_left_alone(bare: Commands, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "installed").touch()
    (bare.checkout / ".venv").symlink_to(others)

    assert bare.run("scripts/venv", "run").returncode == 0

    assert list(others.iterdir()) == [others / "installed"]
    assert (bare.checkout / ".venv").is_dir()


def test_a_python_that_cannot_make_venvs_is_told_with_the_package_that_helps(bare: Commands) -> None:
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        bare.add(name, NEW_ENOUGH.format(ensurepip=1))

    ended = bare.run("scripts/venv", "run")

    assert ended.returncode == 1
    assert "install the package python3.11-venv" in ended.stderr


def test_a_newer_python_is_found_where_python3_is_too_old(bare: Commands) -> None:
    for name in ("python3", "python3.14", "python3.12", "python3.11"):
        bare.add(name, "exit 1")
    bare.add("python3.13", NEW_ENOUGH.format(ensurepip=0) + MAKES_VENVS)

    assert bare.run("scripts/venv", "run").returncode == 0
    assert "python3.13 -m venv --clear .venv" in bare.calls()


def test_a_machine_without_a_usable_python_is_told_what_it_takes(bare: Commands) -> None:
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        bare.add(name, "case $* in --version) echo Python 3.9.18 ;; *) exit 1 ;; esac")

    ended = bare.run("scripts/venv", "run")

    assert ended.returncode == 1
    assert ended.stderr == "Python 3.11 or newer is needed; python3 is Python 3.9.18\n"


def test_every_script_that_make_calls_can_be_run() -> None:
    called = re.findall(r"^\t@(scripts/\S+)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)

    assert [script for script in called if not os.access(CHECKOUT / script, os.X_OK)] == []
