"""What the engines' URLs have in common: they hold secrets, and each needs an extra of the package."""

from __future__ import annotations

import re

from ..errors import ConfigurationError

CREDENTIALS = re.compile(r"(?<=://).*@", re.DOTALL)
"""Up to the last `@`: a password may hold a `/`, and several servers may be named."""
SECRET_PARAMETER = re.compile(r"(?<=[?&])([^=&]*(?:password|secret|token|key|cred)[^=&]*)=[^&#]*", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """`url` as it may be shown and logged: without user, password and secret parameters."""
    return SECRET_PARAMETER.sub(r"\1=***", CREDENTIALS.sub("***@", url))


def missing_extra(name: str) -> ConfigurationError:
    """The error for an engine whose client library is not installed; `name` is the package's extra."""
    return ConfigurationError(f"BUS_URL needs the extra {name!r}: pip install fastapi-websocket-sync[{name}]")
