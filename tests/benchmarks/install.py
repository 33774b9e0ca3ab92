"""What the peers need, installed on demand below the build directory: nothing on the machine changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .build import BUILD, HERE
from .server import Unavailable

PEERS = HERE / "peers"
MINUTES = 5 * 60
"""Seconds one installation may take."""


def virtual_environment(name: str) -> Path:
    """A venv that holds `peers/requirements/NAME.txt`. Raises `Unavailable`."""
    requirements = PEERS / "requirements" / f"{name}.txt"
    place = BUILD / "python" / name
    stamp = place / "installed"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        _run(sys.executable, "-m", "venv", "--clear", str(place))
        pip = (str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet")
        _run(*pip, "install", "-r", str(requirements))
        stamp.write_text(requirements.read_text())
    return place


def node_modules() -> Path:
    """The directory of the packages in `peers/node/package-lock.json`. Raises `Unavailable`."""
    program("node")
    place = BUILD / "node"
    lock = (PEERS / "node" / "package-lock.json").read_text()
    stamp = place / "installed"
    if not stamp.exists() or stamp.read_text() != lock:
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(PEERS / "node" / name, place)
        _run(program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", str(place))
        stamp.write_text(lock)
    return place / "node_modules"


def program(name: str) -> str:
    """A program that must be on PATH. Raises `Unavailable`."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


class Debian:
    """Debian packages, unpacked instead of installed, so that no service of theirs starts."""

    def __init__(self) -> None:
        self._root = BUILD / "debian"

    def file(self, path: str, *packages: str) -> Path:
        """`path` from the machine if it has it, else from `packages`. Raises `Unavailable`."""
        for candidate in (Path("/") / path, self._root / path):
            if candidate.exists():
                return candidate
        self._unpack(packages)
        if not (self._root / path).exists():
            raise Unavailable(f"{path} is not in the Debian packages {' '.join(packages)}")
        return self._root / path

    @property
    def environment(self) -> dict[str, str]:
        """Where the unpacked programs find their libraries."""
        return {"LD_LIBRARY_PATH": ":".join(str(path.parent) for path in self._root.glob("usr/lib/*-linux-gnu/*.so*"))}

    def _unpack(self, packages: Sequence[str]) -> None:
        archives = self._root / "archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        options = ("-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}", "--no-install-recommends")
        _run(program("apt-get"), "install", "--quiet=2", "--yes", "--download-only", *options, *packages)
        for archive in archives.glob("*.deb"):
            _run(program("dpkg-deb"), "--extract", str(archive), str(self._root))


def version_of(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """The first line a program says about its version. Raises `Unavailable`."""
    return _run(*command, environment=environment).strip().splitlines()[0]


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=MINUTES,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stdout or "").strip().splitlines()[-1:]
        raise Unavailable(f"`{Path(command[0]).name}` failed with {error.returncode}: {' '.join(last)[:200]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)[:200]) from None
    return done.stdout
