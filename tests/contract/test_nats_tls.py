"""`tls://`: nothing is said to a NATS server that is not known to be the one that was meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from cluster.bus import connect
from cluster.errors import BusUnavailable, PublishError
from cluster.settings import load
from tests.waiting import until

from .certificates import Certified, certify
from .engine_nats import Nats
from .reading import data_of, publish, received

HANDSHAKE = b"\x16\x03"
"""What TLS begins with: a record of a handshake."""


@contextmanager
def running(certified: Certified, *more: str) -> Iterator[Nats]:
    server = Nats(tls=[f'cert_file: "{certified.certificate}"', f'key_file: "{certified.key}"', *more])
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("more", ["handshake_first: false", "handshake_first: true"])
async def test_a_server_whose_certificate_is_good_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    certified = certify(tmp_path, Nats.host)
    monkeypatch.setenv("SSL_CERT_FILE", str(certified.authority))
    with running(certified, more) as server:
        async with server.connect() as bus:
            await bus.subscribe("channel")
            await publish(bus, "channel", b"said in private")
            assert data_of(await received(bus, 1)) == [b"said in private"]


@pytest.mark.parametrize("address", [Nats.host, "192.0.2.1"], ids=["another authority's", "another server's"])
async def test_a_server_whose_certificate_is_not_good_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    certified = certify(tmp_path, address)
    if address != Nats.host:
        monkeypatch.setenv("SSL_CERT_FILE", str(certified.authority))
    with running(certified) as server:
        async with server.connect(bus_timeout=1.0) as bus:
            await until(lambda: "certificate verify failed" in caplog.text, "the certificate was looked at")
            with pytest.raises(BusUnavailable, match="certificate verify failed"):
                await bus.subscribe("channel")
            with pytest.raises(PublishError):
                await publish(bus, "channel")


@pytest.mark.parametrize(
    "introduction",
    [b'INFO {"version": "2.11.0", "auth_required": true}\r\n', b'INFO {"tls_required": true}\r\n', b""],
    ids=["without a word of TLS", "asking for TLS", "none"],
)
async def test_who_has_no_tls_receives_no_password_whatever_the_introduction(introduction: bytes) -> None:
    async with eavesdropping(introduction) as (port, heard):
        url = f"tls://user:s3cr3t@127.0.0.1:{port}"
        async with connect(load(bus_url=url, bus_timeout=60.0)):
            await until(lambda: len(heard) >= 2, "it was tried twice")
    assert [each for each in heard if not each.startswith(HANDSHAKE)] == []
    assert b"s3cr3t" not in b"".join(heard)


@asynccontextmanager
async def eavesdropping(introduction: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port where everybody gets `introduction` and is told that all is well, and what each of them has sent."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(introduction)
        said = b""
        while b"PING\r\n" not in said and not said.startswith(HANDSHAKE) and (more := await reader.read(65536)):
            said += more
        heard.append(said)
        writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
