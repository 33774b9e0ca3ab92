"""The text of supervisord's and nginx's configuration. Pure: templates and values in, text out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple


class Place(NamedTuple):
    """Where the process tree lives. `files`: descriptors a process may have; `user`: who runs all of it."""

    run_dir: Path
    directory: Path
    python: Path
    user: str
    files: int


def supervisord_conf(
    templates: Mapping[str, str], place: Place, *, workers: int, shutdown_grace: float, forwarder: bool
) -> str:
    """supervisord's configuration; `templates` holds `supervisord.conf` and `forwarder.conf`."""
    values = {
        # supervisord expands %(...)s itself.
        "run_dir": str(place.run_dir).replace("%", "%%"),
        "directory": str(place.directory).replace("%", "%%"),
        "python": shlex.quote(str(place.python)).replace("%", "%%"),
        "user": place.user,
        "workers": str(workers),
        # The worker ends by itself within its grace; this is for one that does not.
        "stop_wait": str(round(shutdown_grace) + 5),
    }
    values["forwarder"] = Template(templates["forwarder.conf"]).substitute(values) if forwarder else ""
    return Template(templates["supervisord.conf"]).substitute(values)


def nginx_conf(
    template: str,
    place: Place,
    *,
    host: str,
    port: int,
    upstream: Sequence[str],
    static_dir: Path | None,
    ping_interval: float,
    connections_per_address: int,
) -> str:
    """nginx's configuration; `upstream` are the workers' addresses as nginx names them.

    Without `static_dir` everything is the application's. 0 for `connections_per_address`: any number.
    """
    return Template(template).substitute(
        run_dir=_quoted(str(place.run_dir)),
        user=f"user {place.user};" if place.user == "root" else "",
        files=place.files,
        host=f"[{host}]" if ":" in host else host,
        port=port,
        upstream="\n".join(f'        server "{_quoted(server)}" max_fails=0;' for server in upstream),
        static_dir=_quoted(str(static_dir or place.run_dir / "no-files")),
        read_timeout=max(60, round(ping_interval * 3)),
        limit_conn=f"limit_conn addresses {connections_per_address};" if connections_per_address else "",
    )


def _quoted(text: str) -> str:
    """`text` for use between double quotes in nginx's configuration."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
