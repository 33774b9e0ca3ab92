"""Log lines say which process and which request they come from."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from cluster.logs import INVALID_TEXT, MAX_REQUEST_ID, LineFormatter, RequestIds, configure, request_id


def formatted(message: str, **more: Any) -> list[str]:
    record = logging.LogRecord("a.logger", logging.WARNING, "file.py", 1, message, (), None)
    for name, value in more.items():
        setattr(record, name, value)
    return LineFormatter("api-3").format(record).splitlines()


def test_a_line_names_program_pid_level_and_logger() -> None:
    (line,) = formatted("it happened")
    assert line.startswith(f"api-3[{os.getpid()}] - ")
    assert line.endswith("WARNING a.logger it happened")


def test_every_line_of_a_message_and_of_its_traceback_has_the_prefix() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        lines = formatted("it\nhappened", exc_info=sys.exc_info())
    assert len(lines) > 5
    assert all(line.startswith(f"api-3[{os.getpid()}] - ") for line in lines)
    assert lines[-1].endswith("second")


def test_a_line_names_the_request_it_belongs_to() -> None:
    token = request_id.set("abc123")
    try:
        (line,) = formatted("it happened")
    finally:
        request_id.reset(token)
    assert line.startswith(f"api-3[{os.getpid()}] abc123 ")


class TestConfigure:
    @pytest.fixture(autouse=True)
    def _logging_as_before(self) -> Iterator[None]:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        names = ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio")
        levels = {name: logging.getLogger(name).level for name in names}
        # `configure` closes the handlers it finds: pytest's own must not be among them.
        root.handlers = []
        yield
        root.handlers = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)

    def test_writes_to_stdout_from_the_level_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure("forwarder", "warning")
        logging.getLogger("cluster.forwarder").info("not this")
        logging.getLogger("cluster.forwarder").warning("but this")
        out, err = capsys.readouterr()
        assert (len(out.splitlines()), err) == (1, "")
        assert out.startswith(f"forwarder[{os.getpid()}] - ")
        assert out.endswith("WARNING cluster.forwarder but this\n")

    def test_debugging_an_application_does_not_show_every_frame(self) -> None:
        configure("api", "debug")
        assert logging.getLogger("cluster").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("websockets.server").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("asyncio").isEnabledFor(logging.DEBUG)

    @pytest.mark.parametrize(("level", "lines"), [("info", 1), ("warning", 0)])
    def test_what_a_client_got_wrong_needs_no_traceback(
        self, capsys: pytest.CaptureFixture[str], level: str, lines: int
    ) -> None:
        configure("api", level)
        try:
            b"\xff".decode()
        except UnicodeDecodeError:
            logging.getLogger("uvicorn.error").exception(INVALID_TEXT)
        assert len(capsys.readouterr().out.splitlines()) == lines

    def test_a_quiet_level_holds_for_everyone(self) -> None:
        configure("api", "error")
        for name in ("uvicorn.access", "websockets", "asyncio", "anything"):
            assert not logging.getLogger(name).isEnabledFor(logging.WARNING)


class TestRequestIds:
    async def serve(self, kind: str, given: str | None, answer: Message) -> tuple[str, list[Message]]:
        """Run one request; returns the id the application saw, and what was sent to the client."""
        seen: list[str] = []
        sent: list[Message] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(request_id.get())
            await send(answer)

        async def receive() -> Message:
            raise AssertionError("nothing is to be received")

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [] if given is None else [(b"x-request-id", given.encode("latin-1"))]
        await RequestIds(app)({"type": kind, "headers": headers}, receive, send)
        assert request_id.get() == "-"
        return seen[0], sent

    async def test_a_request_has_an_id_and_the_answer_names_it(self) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
        id, sent = await self.serve("http", None, start)
        assert len(id) >= 8
        assert sent == [start | {"headers": [(b"a", b"b"), (b"x-request-id", id.encode())]}]

    async def test_a_websocket_has_one_too(self) -> None:
        id, (sent,) = await self.serve("websocket", None, {"type": "websocket.accept"})
        assert sent["headers"] == [(b"x-request-id", id.encode())]

    async def test_two_requests_have_two_ids(self) -> None:
        answer = {"type": "websocket.accept"}
        assert (await self.serve("http", None, answer))[0] != (await self.serve("http", None, answer))[0]

    async def test_other_messages_pass_as_they_are(self) -> None:
        body = {"type": "http.response.body", "body": b"data"}
        assert (await self.serve("http", None, body))[1] == [body]

    @pytest.mark.parametrize("given", ["a", "trace-1/2", "x" * MAX_REQUEST_ID])
    async def test_the_clients_own_id_is_kept(self, given: str) -> None:
        assert (await self.serve("http", given, {"type": "http.response.start"}))[0] == given

    @pytest.mark.parametrize("given", ["", "x" * (MAX_REQUEST_ID + 1), "a\nb", "a\x1b[31m", "é", "\x7f"])
    async def test_an_id_that_could_spoil_the_log_is_not(self, given: str) -> None:
        id, (sent,) = await self.serve("http", given, {"type": "http.response.start"})
        assert id != given
        assert sent["headers"] == [(b"x-request-id", id.encode())]

    async def test_the_lifespan_has_none(self) -> None:
        start = {"type": "lifespan.startup.complete"}
        assert await self.serve("lifespan", None, start) == ("-", [start])


def test_what_is_asked_once_a_second_is_written_down_only_when_it_fails() -> None:
    def access(path: str, status: int) -> logging.LogRecord:
        arguments = ("127.0.0.1:7", "GET", path, "1.1", status)
        return logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)

    configure("api", "info")
    access_log = logging.getLogger("uvicorn.access")
    assert not access_log.filter(access("/readyz", 200))
    assert access_log.filter(access("/readyz", 503))
    assert access_log.filter(access("/orders", 200))
