"""From which pages browsers may connect. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Origins:
    """`allowed`: origins with spaces between them, such as `https://example.com`; `*` stands for all.

    `port`: pages that a host serves there may connect to its other ports as well; None: there is none like that.
    """

    def __init__(self, allowed: str | None, port: int | None = None) -> None:
        self._allowed = frozenset((allowed or "").lower().split())
        self._port = port

    def listed(self, origin: str) -> bool:
        """Whether pages of another host may connect when they are of `origin`."""
        return "*" in self._allowed or origin.lower().rstrip("/") in self._allowed

    def admit(self, origin: str | None, host: str) -> bool:
        """Whether a request to `host` may come from `origin`, which programs other than browsers leave out."""
        if origin is None or self.listed(origin):
            return True
        page, called = _host(origin), _host(f"//{host}")
        if page is None or called is None:
            return False
        return page == called or (page[0] == called[0] and self._port is not None and _port(origin) == self._port)


def _host(url: str) -> tuple[str, int | None] | None:
    """Host and port; the port is None when it is the scheme's own. None for what has no host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    default = _PORTS.get(parts.scheme)
    return parts.hostname, None if port == default or (not parts.scheme and port in (80, 443)) else port


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme)
