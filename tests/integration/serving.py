"""Servers for applications: uvicorn in the loop of a test, or any command in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn

from tests.cluster.harness import REPOSITORY, environment
from tests.waiting import PATIENCE, until, wait_for


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve `app` in this loop; yields its `host:port`. `options` are uvicorn's."""
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, timeout_graceful_shutdown=5, **options)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), "the application has started")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@contextmanager
def process(*command: str, ready: Callable[[], bool], **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with these settings until it is `ready`, and end it by SIGTERM afterwards, with all it started."""
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            # A package among the installed ones has a `tests` of its own.
            env=environment(**settings) | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: ready() or running.poll() is not None, "it is ready")
            assert running.poll() is None, f"it ended with status {running.returncode}"
            yield running
        except BaseException as error:
            output.seek(0)
            error.add_note(output.read().decode(errors="replace"))
            raise
        finally:
            started = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
            running.terminate()
            try:
                running.wait(PATIENCE)
            finally:
                for left in started:
                    if left.is_running():
                        left.kill()
                running.kill()


@contextmanager
def run_directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="fws-") as directory:
        yield Path(directory)


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        return httpx.get(url, timeout=2, trust_env=False, verify=False).is_success
    except httpx.HTTPError:
        return False
