"""The keys of tokens: those of the settings, and those of a JWKS that is read again when it must be."""

from __future__ import annotations

import asyncio
import http.client
import logging
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from . import tokens
from .errors import ConfigurationError, TokenError
from .settings import Settings

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""A JWKS has to arrive within."""
BYTES = 1024 * 1024
"""A JWKS may have."""
PAUSE = 10.0
"""Seconds between two readings, whatever tokens are shown."""
AGE = 3600.0
"""Seconds after which a JWKS is read again although no token asks for it: keys are withdrawn, too."""
TOKENS = 10_000
"""Tokens without a verdict that are remembered at most; who shows more is told to come back once more."""


class KeysUnavailable(TokenError):
    """Whether the token is good cannot be said now: the JWKS could not be read, or not again since it was shown."""


class Keys:
    """The keys tokens are verified with. Raises `ConfigurationError` for settings that cannot be used."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._given: list[tokens.Key] = []
        if settings.token_hmac_secret is not None:
            self._given.append(tokens.secret_key(settings.token_hmac_secret))
        if settings.token_public_key is not None:
            self._given.append(tokens.public_key(_text(settings.token_public_key)))
        self._source = settings.token_jwks
        if self._source is not None and "://" in self._source and not self._source.startswith(("http://", "https://")):
            raise ConfigurationError(f"TOKEN_JWKS={self._source!r}: it is a file, or a URL of http or https")
        self._read: list[tokens.Key] = []
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._begun = 0
        """Readings that were begun; each has its number."""
        self._last = 0
        """The last reading that succeeded."""
        # By the token, not by the id of its key: a stranger could guess that of the next key, and have it refused.
        self._shown: dict[int, int] = {}
        """How many readings had begun when a token was first shown, by its hash. Its key is not known yet."""
        self._reading: asyncio.Task[None] | None = None

    async def of(self, token: str) -> list[tokens.Key]:
        """The keys that `token` may be signed with. Raises `TokenError`, `KeysUnavailable`.

        What a key of the JWKS alone can have signed is refused for good only after a reading that began when the
        token had been shown.
        """
        if self._source is None:
            return self._given
        algorithm, id = tokens.header(token)
        if not self._known(token, algorithm, id):
            await self._look_for(token, algorithm, id)
        elif self._read_at is None or self._clock() - self._read_at > AGE:
            self._refresh()
        return [*self._given, *self._read]

    def _known(self, token: str, algorithm: str, id: str) -> bool:
        """Whether the keys that are there decide about the token.

        A key without an id decides only where it has signed: the key of the id may be another one, of the JWKS.
        """
        if algorithm not in tokens.PUBLIC:
            return True
        if any(algorithm in key.algorithms and id in ("", key.id) for key in self._read):
            return True
        return tokens.signed_with([*self._given, *self._read], token)

    async def _look_for(self, token: str, algorithm: str, id: str) -> None:
        """Read the JWKS for the token. Raises `KeysUnavailable` while that is no verdict on it."""
        mark = hash(token)
        shown = self._shown.setdefault(mark, self._begun)
        if len(self._shown) > TOKENS:
            del self._shown[next(iter(self._shown))]
        reading = self._refresh()
        if reading is not None:
            await asyncio.shield(reading)
        if self._last <= shown and not self._known(token, algorithm, id):
            raise KeysUnavailable("the JWKS could not be read since the token was shown")
        self._shown.pop(mark, None)

    def _refresh(self) -> asyncio.Task[None] | None:
        """The reading under way, a new one, or none if the last was a moment ago."""
        if self._reading is None and (self._asked_at is None or self._clock() - self._asked_at >= PAUSE):
            self._asked_at = self._clock()
            self._begun += 1
            self._reading = asyncio.get_running_loop().create_task(self._load(self._begun), name="read TOKEN_JWKS")
        return self._reading

    async def _load(self, number: int) -> None:
        assert self._source is not None
        try:
            self._read = tokens.key_set(await asyncio.to_thread(_document, self._source))
            self._read_at = self._clock()
            self._last = number
        except (OSError, ValueError, http.client.HTTPException, ConfigurationError) as error:
            logger.error("TOKEN_JWKS=%s: %s", self._source, error)
        finally:
            self._reading = None


def _text(key: str) -> str:
    """The PEM, given as it is or as the name of a file."""
    if "-----BEGIN" in key:
        return key
    try:
        return Path(key).read_text()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"TOKEN_PUBLIC_KEY={key!r} is neither PEM nor a file that can be read: {error}"
        ) from None


def _document(source: str) -> bytes:
    if "://" not in source:
        return Path(source).read_bytes()
    deadline = time.monotonic() + SECONDS
    found = bytearray()
    with urllib.request.urlopen(source, timeout=SECONDS) as response:
        while piece := response.read1(64 * 1024):
            found += piece
            if len(found) > BYTES:
                raise ValueError(f"more than {BYTES} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"it took more than {SECONDS:g} s")
    return bytes(found)
