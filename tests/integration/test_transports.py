"""A client is served alike over every transport, by the runner's server and by any other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from cluster.session.commands import Command, ConnectRequest, Reply, RpcRequest, raw
from cluster.session.protobuf import PROTOBUF, message_class
from tests.cluster.harness import free_ports
from tests.waiting import PATIENCE, until

from .protocol import TRANSPORTS, Socket, Streaming, opened
from .raw import RawClient
from .serving import answers, process

QUEUE_BYTES = 100_000
MESSAGE_BYTES = 64 * 1024
RUNNER = "from cluster.settings import load; from cluster.worker import serve; serve(load(), {app!r}, {port})"
APP = "tests.apps.parlour:app"


@contextmanager
def served(server: str, **settings: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """One process of the application, served as the runner does it or by plain uvicorn."""
    port = free_ports(1)
    own = (sys.executable, "-c", RUNNER.format(app=APP, port=port))
    other = (sys.executable, "-m", "uvicorn", APP, "--port", str(port), "--timeout-graceful-shutdown", "2")
    with process(
        *(other if server == "uvicorn" else own),
        ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        **settings,
    ) as running:
        yield f"127.0.0.1:{port}", running


@pytest.fixture(scope="module", params=["runner", "deflating", "uvicorn"])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(
        request.param,
        bus_url="memory://transports",
        client_queue_bytes=QUEUE_BYTES,
        heartbeat_interval=0.2,
        deflate=request.param == "deflating",
        allowed_origins="https://friend.example",
        connect_timeout=1,
        messages_per_second=1000,
    ) as (host, _):
        yield host


async def until_connected(host: str, count: int) -> None:
    async def connected() -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            report = (await http.get(f"http://{host}/api/cluster")).json()
        return bool(report["workers"][0]["connections"] == count)

    await until(connected, f"{count} clients are connected")


transports = pytest.mark.parametrize("transport", TRANSPORTS)


@transports
async def test_a_client_subscribes_publishes_and_is_answered(host: str, transport: str) -> None:
    channel = f"room:{transport}"
    async with opened(host, transport, data={"user": "ann"}) as client:
        assert client.connected["ping"] == 25
        assert (await client.ask(subscribe={"channel": channel}))["subscribe"]["recoverable"]
        assert "join" in await client.push()
        assert (await client.ask(publish={"channel": channel, "data": {"text": "Grüße\n🎉"}}))["publish"] == {}
        published = (await client.push())["pub"]
        assert published["data"] == {"text": "Grüße\n🎉"}
        assert published["info"]["user"] == "ann"
        assert (await client.ask(presence_stats={"channel": channel}))["presence_stats"]["num_clients"] == 1
        assert (await client.ask(rpc={"method": "echo", "data": [1]}))["rpc"] == {"data": [1]}
        assert (await client.ask(rpc={"method": "fail"}))["error"]["code"] == 100
        assert (await client.ask(unsubscribe={"channel": channel}))["unsubscribe"] == {}


@transports
async def test_what_is_published_meanwhile_follows_the_answer_to_connect(host: str, transport: str) -> None:
    """A client that the server subscribes is told where it stands before anything that comes after that."""
    channels = [f"news:{transport}-{number}" for number in range(20)]
    async with opened(host, transport) as publisher, opened(host, transport, data={"channels": channels}) as client:
        stands = {channel: sub.get("offset", 0) for channel, sub in client.connected["subs"].items()}
        assert list(stands) == channels
        for channel in channels:
            await publisher.ask(publish={"channel": channel, "data": 1})
        for _ in channels:
            push = await client.push()
            assert push["pub"]["offset"] == stands[push["channel"]] + 1


@transports
async def test_who_comes_back_gets_what_it_missed(host: str, transport: str) -> None:
    channel = f"news:back-{transport}"
    async with opened(host, transport) as publisher:
        async with opened(host, transport) as client:
            at = (await client.ask(subscribe={"channel": channel}))["subscribe"]
        for number in range(100):
            await publisher.ask(publish={"channel": channel, "data": number})
        async with opened(host, transport) as client:
            since = {"recover": True, "epoch": at["epoch"], "offset": at.get("offset", 0)}
            found = (await client.ask(subscribe={"channel": channel, **since}))["subscribe"]
            assert found["recovered"]
            assert [publication["data"] for publication in found["publications"]] == list(range(100))
            await publisher.ask(publish={"channel": channel, "data": 100})
            assert (await client.push())["pub"]["data"] == 100


@transports
async def test_a_client_that_goes_leaves_its_channels(host: str, transport: str) -> None:
    channel = f"room:leaving-{transport}"
    await until_connected(host, 0)
    async with opened(host) as other:
        await other.ask(subscribe={"channel": channel})
        await other.push()
        async with opened(host, transport) as client:
            await client.ask(subscribe={"channel": channel})
            joined = await other.push()
            await until_connected(host, 2)
        left = await other.push()
        assert left["leave"]["info"]["client"] == joined["join"]["info"]["client"] == client.connected["client"]
        await until_connected(host, 1)


@transports
async def test_nonsense_ends_the_connection_with_3501(host: str, transport: str) -> None:
    async with opened(host, transport) as client:
        await client.write("nonsense")
        assert await client.end() == (3501, "bad request")


@transports
async def test_a_client_that_does_not_answer_pings_is_closed_with_3012(transport: str) -> None:
    with served("runner", bus_url="memory://pings", ping_interval=0.4, ping_timeout=0.2) as (host, _):
        async with opened(host, transport) as client:

            async def silent(text: str) -> None:
                pass

            client.write = silent  # type: ignore[method-assign]
            assert await client.end() == (3012, "no pong")


async def test_a_socket_without_connect_is_closed_with_3502(host: str) -> None:
    async with connect(f"ws://{host}/connection/websocket", proxy=None) as socket:
        assert await Socket(socket).end() == (3502, "stale")


@transports
async def test_a_client_that_does_not_read_is_closed_and_delays_nobody(host: str, transport: str) -> None:
    channel = f"plain:slow-{transport}"
    await until_connected(host, 0)
    slow = await _stuck(host, transport, channel)
    try:
        async with opened(host) as reader, opened(host) as publisher:
            await reader.ask(subscribe={"channel": channel})
            await until_connected(host, 3)
            for number in range(200):
                await publisher.ask(publish={"channel": channel, "data": f"{number:>50000}"})
                assert int((await reader.push())["pub"]["data"]) == number
            await until_connected(host, 2)
    finally:
        slow.close()


async def test_what_was_written_before_a_close_arrives_before_it(host: str) -> None:
    """However much of it had to wait, as long as it was not too much."""
    codes = []
    async with opened(host) as reader, opened(host) as publisher:
        for count in range(1, 31):
            channel = f"plain:last-{count}"
            await reader.ask(subscribe={"channel": channel})
            slow = await _stuck(host, "websocket", channel)
            await until_connected(host, 3)
            for number in range(count):
                await publisher.ask(publish={"channel": channel, "data": f"{number:>20000}"})
                await reader.push()
            slow.send("nonsense")
            texts, code, _ = await asyncio.to_thread(slow.read_until_close)
            codes.append(code)
            if code == 3501:
                last = json.loads(texts[-1].splitlines()[-1])
                assert int(last["push"]["pub"]["data"]) == count - 1
            await until_connected(host, 2)
    assert 3501 in codes


async def _stuck(host: str, transport: str, channel: str) -> Any:
    """A client that subscribes and reads no more."""
    commands = [{"id": 1, "connect": {"data": {"channels": [channel]}}}]
    text = "\n".join(map(json.dumps, commands))
    if transport == "websocket":
        client = RawClient(host, "/connection/websocket", receive_buffer=4096)
        await client.open()
        client.send(text)
        return client
    address, port = host.split(":")
    reader, writer = await asyncio.open_connection(address, int(port), limit=1024)
    writer.write(
        f"POST /connection/{transport} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
    )
    await reader.readline()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return writer


class TestWebSocket:
    async def test_several_commands_in_one_frame_are_answered_in_order(self, host: str) -> None:
        async with opened(host) as client:
            commands = [{"id": 10 + n, "rpc": {"method": "echo", "data": n}} for n in range(50)]
            await client.write("\n".join(map(json.dumps, commands)))
            assert [(await client.receive())["rpc"]["data"] for _ in range(50)] == list(range(50))

    @pytest.mark.parametrize("query", ["", "?format=protobuf", "?cf_protocol=protobuf"])
    async def test_protobuf_by_subprotocol_or_query(self, host: str, query: str) -> None:
        offered = None if query else [Subprotocol("centrifuge-protobuf")]
        url = f"ws://{host}/connection/websocket{query}"
        async with connect(url, proxy=None, subprotocols=offered) as socket:
            assert socket.subprotocol == (None if query else "centrifuge-protobuf")
            await socket.send(_encoded(Command(1, connect=ConnectRequest(data=raw(b'{"user": "ann"}')))))
            frame = await socket.recv()
            assert isinstance(frame, bytes)
            assert _decoded(frame).connect.client
            await socket.send(_encoded(Command(2, rpc=RpcRequest("echo", raw(b"[1]")))))
            frame = await socket.recv()
            assert isinstance(frame, bytes)
            assert _decoded(frame).rpc.data == b"[1]"

    async def test_the_json_subprotocol_is_chosen_when_it_is_offered(self, host: str) -> None:
        offered = [Subprotocol("other"), Subprotocol("centrifuge-json")]
        async with connect(f"ws://{host}/connection/websocket", proxy=None, subprotocols=offered) as socket:
            assert socket.subprotocol == "centrifuge-json"

    async def test_an_oversized_message_closes_with_1009(self, host: str) -> None:
        async with opened(host) as client:
            await client.write("x" * (MESSAGE_BYTES + 1))
            code, reason = await client.end()
            assert (code, bool(reason)) == (CloseCode.MESSAGE_TOO_BIG, True)

    async def test_a_page_of_another_host_may_connect_only_if_it_is_listed(self, host: str) -> None:
        url = f"ws://{host}/connection/websocket"
        for origin in (f"http://{host}", "https://friend.example"):
            async with connect(url, proxy=None, additional_headers={"Origin": origin}):
                pass
        with pytest.raises(InvalidStatus, match="403"):
            await connect(url, proxy=None, additional_headers={"Origin": "https://evil.example"})

    async def test_frames_are_pinged_instead_when_a_client_wants_that(self, host: str) -> None:
        url = f"ws://{host}/connection/websocket?cf_ws_frame_ping_pong=true"
        async with connect(url, proxy=None) as socket:
            await socket.send('{"id":1,"connect":{}}')
            assert "ping" not in json.loads(await socket.recv())["connect"]


class TestStream:
    @pytest.mark.parametrize(
        ("path", "opening", "kind"),
        [
            ("/connection/sse", "\r\n", "text/event-stream; charset=utf-8"),
            ("/connection/http_stream", "", "application/json; charset=utf-8"),
        ],
    )
    async def test_nothing_on_the_way_may_keep_it(self, host: str, path: str, opening: str, kind: str) -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http,
            http.stream("POST", f"http://{host}{path}", content='{"id":1,"connect":{}}') as response,
        ):
            assert response.headers["content-type"] == kind
            assert response.headers["x-accel-buffering"] == "no"
            assert "no-store" in response.headers["cache-control"]
            text = ""
            async for chunk in response.aiter_text():
                text += chunk
                if "connect" in text:
                    break
        assert text.startswith(opening)

    async def test_events_by_get(self, host: str) -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http,
            http.stream(
                "GET", f"http://{host}/connection/sse", params={"cf_connect": '{"id":1,"connect":{}}'}
            ) as response,
        ):
            client = Streaming(http, host, response)
            assert (await client.reply())["connect"]["session"]

    async def test_protobuf_over_http(self, host: str) -> None:
        headers = {"content-type": "application/octet-stream"}
        command = _encoded(Command(1, connect=ConnectRequest()))
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as http,
            http.stream("POST", f"http://{host}/connection/http_stream", content=command) as response,
        ):
            chunks = response.aiter_bytes()
            connected = _decoded(await anext(chunks)).connect
            request = message_class("EmulationRequest")(
                session=connected.session,
                node=connected.node,
                data=_encoded(Command(2, rpc=RpcRequest("echo", raw(b"[2]")))),
            )
            sent = await http.post(f"http://{host}/emulation", content=request.SerializeToString())
            assert sent.status_code == 204
            assert _decoded(await anext(chunks)).rpc.data == b"[2]"

    async def test_unusable_requests_are_refused(self, host: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, base_url=f"http://{host}") as http:
            assert (await http.get("/connection/sse")).status_code == 400
            assert (await http.get("/connection/http_stream")).status_code == 405
            assert (await http.get("/emulation")).status_code == 405
            assert (await http.post("/emulation", content="nonsense")).status_code == 400
            unknown = {"session": "s", "node": "n", "data": "{}"}
            assert (await http.post("/emulation", json=unknown)).status_code == 404
            for path in ("/connection/sse", "/connection/http_stream", "/emulation"):
                assert (await http.post(path, content=b"x" * (MESSAGE_BYTES + 1))).status_code == 413

    async def test_an_unknown_session_of_a_known_worker_is_ignored(self, host: str) -> None:
        async with opened(host, "sse") as client:
            assert isinstance(client, Streaming)
            assert (await client.emulate("{}", session="unknown")).status_code == 204
            assert (await client.ask(rpc={"method": "echo", "data": 1}))["rpc"] == {"data": 1}

    async def test_a_page_of_another_host_may_ask_only_if_it_is_listed(self, host: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, base_url=f"http://{host}") as http:
            for path in ("/connection/sse", "/connection/http_stream", "/emulation"):
                friend = {"origin": "https://friend.example", "access-control-request-headers": "content-type"}
                allowed = await http.options(path, headers=friend)
                assert allowed.status_code == 204
                assert allowed.headers["access-control-allow-origin"] == "https://friend.example"
                assert allowed.headers["access-control-allow-headers"] == "content-type"
                evil = await http.post(path, headers={"origin": "https://evil.example"}, content="{}")
                assert evil.status_code == 403
                assert "access-control-allow-origin" not in evil.headers


def _encoded(command: Command) -> bytes:
    """A command as a client sends it."""
    message = message_class("Command")(id=command.id)
    if command.connect is not None:
        message.connect.data = bytes(command.connect.data)
    if command.rpc is not None:
        message.rpc.method, message.rpc.data = command.rpc.method, bytes(command.rpc.data)
    data: bytes = message.SerializeToString()
    return len(data).to_bytes(1) + data


def _decoded(frame: bytes) -> Any:
    """The first reply of a frame; short, or with a length of two bytes."""
    start = 1 if frame[0] < 128 else 2
    length = frame[0] if start == 1 else (frame[0] & 127) | frame[1] << 7
    return message_class("Reply").FromString(frame[start : start + length])


def test_the_reply_is_what_it_is_read_as() -> None:
    assert _decoded(PROTOBUF.encode(Reply(7))).id == 7


@pytest.mark.parametrize(
    ("server", "transport"),
    [("runner", "websocket"), ("runner", "sse"), ("runner", "http_stream"), ("uvicorn", "sse")],
)
async def test_a_server_that_stops_says_so(server: str, transport: str) -> None:
    with served(server, bus_url="memory://stopping", shutdown_grace=4) as (host, running):
        async with opened(host, transport) as client, opened(host, transport) as other:
            running.terminate()
            assert (await client.end())[0] == (await other.end())[0] == 3001
            assert await asyncio.to_thread(running.wait, 30) is not None


async def test_a_subprotocol_header_with_nothing_in_it_is_none() -> None:
    """As centrifuge-python sends it up to 0.6."""
    with served("runner", bus_url="memory://header") as (host, _):
        url = f"ws://{host}/connection/websocket"
        async with connect(url, proxy=None, additional_headers={"Sec-WebSocket-Protocol": ""}) as socket:
            await socket.send('{"id":1,"connect":{}}')
            assert "connect" in json.loads(await socket.recv())
