"""What the engines' URLs have in common: they hold secrets, and each needs an extra of the package."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from ..errors import ConfigurationError

SECRET_NAME = "[^=&]*(?:password|secret|token|key|cred)[^=&]*"
SECRET_PARAMETER = re.compile(rf"(?<=[?&])({SECRET_NAME})=[^&#]*", re.IGNORECASE)
CREDENTIALS = re.compile(rf"^([a-z0-9+.-]*://)?(?:.*[?&]{SECRET_NAME}=.*@[^&#]*|.*@)", re.DOTALL | re.IGNORECASE)
"""Up to the last `@`: a password may hold a `/`, and several servers may be named. If that `@` may be a secret
parameter's own, what follows it may be too."""
PREFIX = re.compile(r"[A-Za-z0-9_-]{1,32}")


def without_secrets(url: str) -> str:
    """`url` as it may be shown and logged: without user, password and secret parameters."""
    return SECRET_PARAMETER.sub(r"\1=***", CREDENTIALS.sub(r"\1***@", url))


def missing_extra(name: str) -> ConfigurationError:
    """The error for an engine whose client library is not installed; `name` is the package's extra."""
    return ConfigurationError(f"BUS_URL needs the extra {name!r}: pip install fastapi-websocket-sync[{name}]")


def parameters(url: str, **defaults: str) -> tuple[str, dict[str, str]]:
    """`url` without the query parameters named in `defaults`, and these parameters' values.

    Raises `ConfigurationError` for a URL that is not understood as it was meant.
    """
    parts = _split(url)
    # What a password was to be would be taken for a host or a port, and show in errors.
    if parts is None or "@" in parts.path + parts.query + parts.fragment:
        raise ConfigurationError(
            f"BUS_URL={without_secrets(url)!r}: in a user, a password or a parameter write %2F for '/', %3F for '?', "
            "%23 for '#', %40 for '@', %5B for '[' and %5D for ']'"
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = {name: value for name, value in query if name in defaults}
    rest = urlencode([(name, value) for name, value in query if name not in defaults])
    return urlunsplit(parts._replace(query=rest)), defaults | given


def names_a_host(url: str) -> bool:
    """Whether `url` names a host, and a port from 1 to 65535 or none."""
    parts = _split(url)
    try:
        return parts is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def prefix_of(url: str, prefix: str) -> str:
    """`prefix`, which names what an engine keeps for one application. Raises `ConfigurationError`."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"BUS_URL={without_secrets(url)!r}: prefix={prefix!r} may have 1 to 32 letters, digits, '_' and '-'"
        )
    return prefix


def _split(url: str) -> SplitResult | None:
    """The parts of `url`, None if it has none: what Python raises then may show a password."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
