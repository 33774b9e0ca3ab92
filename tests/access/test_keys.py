"""Where the keys of tokens come from: settings, files, and a URL that is asked when it must be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster import ConfigurationError, jwks
from cluster.errors import TokenError
from cluster.jwks import AGE, PAUSE, Keys, KeysUnavailable
from cluster.settings import load
from tests.waiting import until

from .signing import SECRET, jwk, pem, token


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Publisher:
    """Serves a JWKS. `document` None: it is broken."""

    def __init__(self) -> None:
        self.document: bytes | None = key_set()
        self.asked = 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(500 if publisher.document is None else 200)
                self.end_headers()
                self.wfile.write(publisher.document or b"")

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys.json"


def key_set(*ids: str) -> bytes:
    return json.dumps({"keys": [jwk("p256", kid=id) for id in ids or ("first",)]}).encode()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("NO_PROXY", "*")
    publisher = Publisher()
    thread = threading.Thread(target=publisher.server.serve_forever)
    thread.start()
    yield publisher
    publisher.server.shutdown()
    thread.join()
    publisher.server.server_close()


def signed(kid: str) -> str:
    return token("ES256", kid=kid, sub="ann")


async def ids(keys: Keys, kid: str) -> list[str]:
    return [key.id for key in await keys.of(signed(kid))]


async def test_secret_and_public_key_come_from_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem("rsa"))
    for given in (pem("rsa"), str(file)):
        keys = Keys(load(token_hmac_secret=SECRET, token_public_key=given))
        algorithms = {algorithm for key in await keys.of(token(sub="ann")) for algorithm in key.algorithms}
        assert algorithms == {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512"}


async def test_without_settings_there_are_none() -> None:
    assert await Keys(load()).of(token()) == []


@pytest.mark.parametrize("settings", [{"token_public_key": "no such file"}, {"token_jwks": "ftp://127.0.0.1/keys"}])
def test_settings_that_cannot_be_used_are_told(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings)).upper()):
        Keys(load(**settings))


async def test_a_key_set_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set("a", "b"))
    assert await ids(Keys(load(token_jwks=str(file))), "a") == ["a", "b"]


async def test_a_key_set_is_read_once(publisher: Publisher) -> None:
    keys = Keys(load(token_jwks=publisher.url))
    for _ in range(3):
        assert await ids(keys, "first") == ["first"]
    assert publisher.asked == 1


async def test_a_token_with_a_new_key_has_it_read_again_but_not_at_once(publisher: Publisher) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url), clock)
    assert await ids(keys, "first") == ["first"]
    publisher.document = key_set("first", "second")
    for _ in range(3):
        assert await ids(keys, "second") == ["first"]
    assert publisher.asked == 1
    clock.now += PAUSE
    for _ in range(3):
        assert await ids(keys, "second") == ["first", "second"]
    assert publisher.asked == 2


async def test_a_key_that_is_withdrawn_is_forgotten_in_time(publisher: Publisher) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url), clock)
    assert await ids(keys, "first") == ["first"]
    publisher.document = key_set("second")
    clock.now += AGE + 1

    async def forgotten() -> bool:
        return "first" not in await ids(keys, "first")

    await until(forgotten, "the key is forgotten")


async def test_while_a_key_set_cannot_be_read_the_keys_known_stay(publisher: Publisher) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url), clock)
    assert await ids(keys, "first") == ["first"]
    publisher.document = None
    clock.now += PAUSE
    with pytest.raises(KeysUnavailable):
        await keys.of(signed("second"))
    assert await ids(keys, "first") == ["first"]


@pytest.mark.parametrize("document", [None, b"", b"<html>", key_set() + b" " * jwks.BYTES])
async def test_a_key_set_that_cannot_be_read_is_no_verdict_on_a_token(
    publisher: Publisher, document: bytes | None
) -> None:
    publisher.document = document
    with pytest.raises(KeysUnavailable):
        await Keys(load(token_jwks=publisher.url)).of(signed("first"))


async def test_nobody_is_asked_about_what_is_no_token(publisher: Publisher) -> None:
    with pytest.raises(TokenError):
        await Keys(load(token_jwks=publisher.url)).of("no token")
    assert publisher.asked == 0
