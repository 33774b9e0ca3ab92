"""Which version of this package runs."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Of the installed distribution; `unknown` where the package was only copied."""
    try:
        return metadata.version("fastapi-websocket-sync")
    except metadata.PackageNotFoundError:
        return "unknown"
