"""What the README shows works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.cluster.client import Client
from tests.cluster.harness import REPOSITORY, RunningCluster
from tests.waiting import PATIENCE

README = (REPOSITORY / "README.md").read_text()


def block(language: str) -> str:
    """The only block of code in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_the_settings_table_is_current() -> None:
    subprocess.run([sys.executable, "scripts/settings-table", "--check"], cwd=REPOSITORY, check=True)


async def test_the_example_application_runs_on_two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "readme_app.py").write_text(block("python"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RunningCluster("readme_app:app", workers=2) as cluster:
        url = f"ws://127.0.0.1:{cluster.port}/orders"
        async with connect(url, proxy=None) as a, connect(url, proxy=None) as b:
            assert cluster.command("verify").returncode == 0
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as program:
                answer = await program.post(f"{cluster.url}/orders", json={"id": 1})
            assert answer.status_code == 200
            for client in (a, b):
                assert json.loads(await client.recv()) == {"id": 1, "total": 0.0}


async def test_the_browser_code_reads_what_the_demo_sends() -> None:
    read = set(re.findall(r"message\.(\w+)", block("js")))
    with RunningCluster(workers=1) as cluster:
        async with await Client.open(cluster.ws_url + "?channel=chat:lobby&epoch=gone&offset=1") as client:
            notice = await client.expect(recovered=False)
            await client.push()
            push = await client.expect(offset=notice["offset"] + 1)
    assert read == {"epoch", "offset", "recovered", "data"}
    assert read <= notice.keys() | push.keys()
