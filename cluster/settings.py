"""Every setting of the library and the runner: one environment variable each, read here and nowhere else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import ConfigurationError

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """What can be configured. A field's environment variable is its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    app: str = Field("cluster.app:app", description="The application to run, as `module:attribute`.")
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        description="Worker processes. Default: the CPUs this process may use.",
    )
    host: str = Field("127.0.0.1", description="Address nginx listens on; `0.0.0.0` in the image.")
    port: Port = Field(8008, description="Public port of the cluster.")
    worker_port: Port | None = Field(
        None,
        description="Port of the first worker, the others follow. Default: 8100 for PORT 8008, 8200 for 8009 and so "
        "on, or the next free hundred.",
    )
    run_dir: Path | None = Field(
        None, description="Directory of sockets and rendered configuration. Default: one per user and port."
    )
    static_dir: Path | None = Field(
        None, description="Directory nginx serves files from, before it asks the application."
    )
    upstream: Literal["port", "socket"] = Field(
        "port", description="How nginx reaches the workers: by `port`, or by a Unix `socket` in the run directory."
    )
    direct: bool = Field(
        False,
        description="Let clients connect to the workers' own ports: they listen on HOST, and "
        "`GET /api/cluster/endpoint` names the one with the fewest connections.",
    )
    admin_token: str | None = Field(
        None,
        description="Secret for `cluster verify` and for restarting or killing processes over HTTP. Default: made up "
        "at each start, kept in the run directory.",
    )
    shutdown_grace: Seconds = Field(10.0, description="Seconds a worker has to finish when it is told to stop.")

    api_name: str = Field("FastAPI WebSocket Sync", description="Name the demo application gives itself.")
    api_log_level: LogLevel = Field("info", description="Level from which log lines are written.")

    bus_url: str | None = Field(
        None,
        description="`zmq+ipc://DIRECTORY`, `zmq+tcp://HOST:PORT` (three ports from PORT), `memory://NAME`, or an "
        "engine that carries publications between machines: `nats://` or `tls://USER:PASSWORD@HOST:PORT,HOST:PORT` "
        "(NATS, with `tls://` never without TLS; optional: `?prefix=fws`, `replicas=1`, `max_bytes=1073741824`), "
        "`redis://` or `rediss://:PASSWORD@HOST:PORT/0` (optional: `?prefix=fws`, `durable=yes` with "
        "`appendonly yes` and `appendfsync always`), `amqp://` or `amqps://USER:PASSWORD@HOST:PORT/VHOST` (optional: "
        "`?prefix=fws`), `sns+sqs://REGION/PREFIX` (optional: `?endpoint=URL`; credentials as botocore finds them). "
        "Default: ZeroMQ in the run directory.",
    )
    bus_timeout: Seconds = Field(10.0, description="Seconds until an unanswered publication or request fails.")
    bus_queue: Count = Field(10_000, description="Publications of one worker waiting to be acknowledged.")
    bus_high_water: Count = Field(
        100_000,
        description="Messages waiting between forwarder and one worker; more are dropped and refilled.",
    )
    history_size: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        1000, description="Publications kept per channel, unless the channel says otherwise."
    )
    history_seconds: Seconds = Field(
        300.0, description="Seconds a publication is kept, unless its channel says otherwise."
    )
    forwarder_bytes: Count = Field(
        256 * 1024 * 1024, description="Bytes of publications the forwarder keeps, all channels together."
    )
    forwarder_channels: Count = Field(100_000, description="Channels the forwarder knows at once.")

    forwarder_journal: str = Field(
        "journal.sqlite",
        description="File in which publications survive the forwarder's death, relative to the run directory; "
        "empty: none, then a restart loses history and begins a new epoch.",
    )
    forwarder_sync: Literal["off", "full"] = Field(
        "off", description="`full`: the journal also survives a power cut, for a disk flush per batch."
    )

    max_message_bytes: Annotated[int, Field(ge=1, le=16 * 1024 * 1024)] = Field(
        64 * 1024,
        description="Bytes of one message, from a client or published; a client that sends more is closed.",
    )
    max_channels_per_client: Count = Field(128, description="Channels one connection may be attached to.")
    max_invalid_messages: Count = Field(
        10, description="Unusable messages in a row after which a client is closed with 1008."
    )
    messages_per_second: Annotated[float, Field(ge=1)] = Field(
        200.0,
        description="Messages a client may send per second, ten times as many at once; then 1008, or 3013 to a client "
        "of the client protocol.",
    )
    client_queue_bytes: Annotated[int, Field(ge=1024)] = Field(
        1024 * 1024, description="Bytes waiting for one client; at more it is closed with 3008."
    )
    ping_interval: Seconds = Field(25.0, description="Seconds between WebSocket pings to a client.")
    ping_timeout: Seconds = Field(10.0, description="Seconds a client has to answer a ping.")
    deflate: bool = Field(
        False, description="Compress WebSocket messages for clients that offer it (permessage-deflate)."
    )
    connect_timeout: Seconds = Field(
        15.0, description="Seconds a client of the client protocol has to say `connect`; then 3502."
    )
    recovery_max_publications: Count = Field(
        300, description="Publications a client that comes back is sent at most; more are not recovered."
    )
    allowed_origins: str | None = Field(
        None,
        description="Origins of the pages whose clients may connect, with spaces between them, `*` for all. Default: "
        "those of the host that is called; with DIRECT also those of its PORT.",
    )
    token_hmac_secret: str | None = Field(None, description="Secret of tokens signed with HS256, HS384 or HS512.")
    token_public_key: str | None = Field(
        None, description="Public key of tokens signed with RS*, ES* or EdDSA: PEM, or a file of it."
    )
    token_jwks: str | None = Field(
        None, description="URL or file of the public keys of tokens (JWKS); read again when a token names a new key."
    )
    token_audience: str | None = Field(None, description="What a token's `aud` must hold. Default: not looked at.")
    token_issuer: str | None = Field(None, description="What a token's `iss` must be. Default: not looked at.")
    api_key: str | None = Field(None, description="Secret of the HTTP API (`X-API-Key`). Default: there is no API.")
    insecure_clients: bool = Field(
        False, description="For tests only: clients need no token and may do everything in every declared channel."
    )
    connections_per_address: Annotated[int, Field(ge=0, le=65_535)] = Field(
        10_000,
        description="Connections nginx takes from one address, then it answers 429; many clients may share one. "
        "Those of this machine are not counted. 0: any number, for example behind another proxy.",
    )
    heartbeat_interval: Seconds = Field(
        1.0, description="Seconds between the signs of life by which workers know of each other."
    )

    @property
    def directory(self) -> Path:
        """The run directory, given or derived from user and port."""
        if self.run_dir is not None:
            return self.run_dir.absolute()
        return Path(tempfile.gettempdir()) / f"fastapi-websocket-sync-{os.getuid()}" / str(self.port)

    @property
    def bus(self) -> str:
        """The bus URL, given or derived from the run directory."""
        return self.bus_url or f"zmq+ipc://{self.directory}"


def load(**overrides: Any) -> Settings:
    """Settings from the environment; `overrides` that are not None win.

    Raises `ConfigurationError` that names each bad variable, its value and what is allowed.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if os.environ.get("FORWARDER_JOURNAL") == "":
        given.setdefault("forwarder_journal", "")  # elsewhere an empty variable means the default
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            f"{str(problem['loc'][0]).upper()}={problem['input']!r}: {_allowed(problem)}" for problem in error.errors()
        ]
        raise ConfigurationError("; ".join(problems)) from None


def environment(settings: Settings) -> dict[str, str]:
    """The environment variables that make another process load these same settings."""
    return {name.upper(): str(value) for name, value in settings.model_dump().items() if value is not None}


def _allowed(problem: Mapping[str, Any]) -> str:
    message = str(problem["msg"])
    field = Settings.model_fields.get(str(problem["loc"][0]))
    about = f" — {field.description}" if field is not None and field.description else ""
    return message[:1].lower() + message[1:] + about
