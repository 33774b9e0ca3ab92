"""Where the keys of tokens come from: settings, files, and a URL that is asked when it must be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cluster import ConfigurationError, jwks, tokens
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
    """Serves a JWKS. `document` None: it is broken. `garbled`: what it answers is no HTTP."""

    def __init__(self) -> None:
        self.document: bytes | None = key_set()
        self.garbled = False
        self.asked = 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                if publisher.garbled:
                    self.wfile.write(b"nonsense\r\n\r\n")
                    return
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
        with pytest.raises(KeysUnavailable):
            await ids(keys, "second")
    assert publisher.asked == 1
    clock.now += PAUSE
    for _ in range(3):
        assert await ids(keys, "second") == ["first", "second"]
    assert publisher.asked == 2


async def test_a_token_whose_key_is_not_there_when_it_is_looked_for_is_refused(publisher: Publisher) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url), clock)
    assert await ids(keys, "first") == ["first"]
    early, late = signed("second"), signed("second")
    with pytest.raises(KeysUnavailable):
        await keys.of(early)
    clock.now += PAUSE
    assert [key.id for key in await keys.of(signed("another"))] == ["first"], "it has been looked for"
    assert [key.id for key in await keys.of(early)] == ["first"], "it was shown before that reading, too"
    with pytest.raises(KeysUnavailable):
        await keys.of(late)
    assert publisher.asked == 2


async def test_many_unknown_tokens_have_it_read_once_and_are_not_all_remembered(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TOKENS", 5)
    keys = Keys(load(token_jwks=publisher.url), Clock())
    assert await ids(keys, "first") == ["first"]
    for number in range(20):
        with pytest.raises(KeysUnavailable):
            await ids(keys, f"unknown {number}")
    assert publisher.asked == 1
    assert len(keys._shown) == 5


@pytest.mark.parametrize("given", [{"token_hmac_secret": SECRET}, {"token_public_key": pem("p384")}])
async def test_a_key_given_besides_does_not_stand_for_those_of_the_set(
    publisher: Publisher, given: dict[str, str]
) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url, **given), clock)
    assert await ids(keys, "first") == ["", "first"]
    publisher.document = key_set("second")
    clock.now += PAUSE
    assert await ids(keys, "second") == ["", "second"]


@pytest.mark.parametrize("kid", ["first", None])
async def test_a_key_given_besides_of_the_same_kind_does_not_either(publisher: Publisher, kid: str | None) -> None:
    publisher.document = json.dumps({"keys": [jwk("ed25519", kid="first")]}).encode()
    another = Ed25519PrivateKey.generate().public_key()
    given = another.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    shown = token("EdDSA", kid=kid, sub="ann")
    found = await Keys(load(token_jwks=publisher.url, token_public_key=given)).of(shown)
    assert tokens.connection(shown, found, tokens.Expected(), 0.0).user == "ann"


async def test_a_key_given_besides_verifies_what_it_signed_whatever_that_names(publisher: Publisher) -> None:
    publisher.document = json.dumps({"keys": [jwk("rsa", kid="first")]}).encode()
    keys = Keys(load(token_jwks=publisher.url, token_hmac_secret=SECRET, token_public_key=pem("p256")), Clock())
    assert await keys.of(token("RS256", kid="first"))
    for shown in (signed("of ours"), token(kid="of ours", sub="ann"), token(sub="ann")):
        assert tokens.connection(shown, await keys.of(shown), tokens.Expected(), 0.0).user == "ann"
    assert publisher.asked == 1


async def test_nobody_is_asked_about_a_secret_that_is_wrong(publisher: Publisher) -> None:
    keys = Keys(load(token_jwks=publisher.url, token_hmac_secret=SECRET), Clock())
    assert await ids(keys, "first")
    wrong = token(kid="any", secret=SECRET + "x", sub="ann")
    with pytest.raises(TokenError, match="another key"):
        tokens.connection(wrong, await keys.of(wrong), tokens.Expected(), 0.0)


async def test_a_key_that_is_withdrawn_is_forgotten_in_time(publisher: Publisher) -> None:
    clock = Clock()
    keys = Keys(load(token_jwks=publisher.url), clock)
    assert await ids(keys, "first") == ["first"]
    publisher.document = key_set("second")
    clock.now += AGE + 1

    async def forgotten() -> bool:
        try:
            return "first" not in await ids(keys, "first")
        except KeysUnavailable:
            return True

    await until(forgotten, "the key is forgotten")
    clock.now += PAUSE
    assert await ids(keys, "first") == ["second"]


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
    keys = Keys(load(token_jwks=publisher.url))
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await keys.of(signed("first"))
    assert publisher.asked == 1


async def test_nor_is_an_answer_that_is_no_http(publisher: Publisher) -> None:
    publisher.garbled = True
    keys = Keys(load(token_jwks=publisher.url))
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await keys.of(signed("first"))


async def test_nobody_is_asked_about_what_is_no_token(publisher: Publisher) -> None:
    with pytest.raises(TokenError):
        await Keys(load(token_jwks=publisher.url)).of("no token")
    assert publisher.asked == 0
