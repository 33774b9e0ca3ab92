"""What the engines' URLs have in common: they hold secrets, and each needs an extra of the package."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..errors import ConfigurationError

CREDENTIALS = re.compile(r"(?<=://).*@", re.DOTALL)
"""Up to the last `@`: a password may hold a `/`, and several servers may be named."""
SECRET_PARAMETER = re.compile(r"(?<=[?&])([^=&]*(?:password|secret|token|key|cred)[^=&]*)=[^&#]*", re.IGNORECASE)
PREFIX = re.compile(r"[A-Za-z0-9_-]{1,32}")


def without_secrets(url: str) -> str:
    """`url` as it may be shown and logged: without user, password and secret parameters."""
    return SECRET_PARAMETER.sub(r"\1=***", CREDENTIALS.sub("***@", url))


def missing_extra(name: str) -> ConfigurationError:
    """The error for an engine whose client library is not installed; `name` is the package's extra."""
    return ConfigurationError(f"BUS_URL needs the extra {name!r}: pip install fastapi-websocket-sync[{name}]")


def parameters(url: str, **defaults: str) -> tuple[str, dict[str, str]]:
    """`url` without the query parameters named in `defaults`, and these parameters' values."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = {name: value for name, value in query if name in defaults}
    rest = urlencode([(name, value) for name, value in query if name not in defaults])
    return urlunsplit(parts._replace(query=rest)), defaults | given


def prefix_of(url: str, prefix: str) -> str:
    """`prefix`, which names what an engine keeps for one application. Raises `ConfigurationError`."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"BUS_URL={without_secrets(url)!r}: prefix={prefix!r} may have 1 to 32 letters, digits, '_' and '-'"
        )
    return prefix
