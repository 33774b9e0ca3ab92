"""URLs of engines are shown without their secrets."""

from __future__ import annotations

import traceback

import pytest

from cluster.bus import connect
from cluster.bus.urls import missing_extra, without_secrets
from cluster.errors import ConfigurationError
from cluster.settings import load

HALVES = ("s3c", "r3t")
"""The password in the URLs below is s3cr3t, or has a character between its halves."""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://localhost:4222", "nats://localhost:4222"),
        ("nats://user:secret@host:4222/?prefix=app", "nats://***@host:4222/?prefix=app"),
        ("nats://secret@host", "nats://***@host"),
        ("nats://user:secret@one,user:secret@two", "nats://***@two"),
        ("redis://:secret/with@all?kinds#@host/0", "redis://***@host/0"),
        ("amqp://user:sec%40ret@[::1]:5672/vhost", "amqp://***@[::1]:5672/vhost"),
        (
            "sns+sqs://eu-central-1?access_key_id=secret&Secret_Access_Key=secret&prefix=app",
            "sns+sqs://eu-central-1?access_key_id=***&Secret_Access_Key=***&prefix=app",
        ),
        ("redis://host?password=secret#part", "redis://host?password=***#part"),
        ("redis://host?password=sec@ret#part", "redis://***@#part"),
        ("redis://:sec?key=ret@host/0", "redis://***@"),
        ("redis:/:secret@host", "***@host"),
        ("no url", "no url"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert "secret" not in shown


def test_a_missing_extra_says_what_to_install() -> None:
    assert "pip install fastapi-websocket-sync[nats]" in str(missing_extra("nats"))


@pytest.mark.parametrize("separator", ["/", "?", "#", "[", "]", "℀", "?x=", "?password="])
@pytest.mark.parametrize("scheme", ["nats", "tls", "redis", "rediss", "amqp", "amqps"])
def test_a_password_that_is_no_part_of_its_url_is_refused_and_not_shown(scheme: str, separator: str) -> None:
    refused(f"{scheme}://user:s3c{separator}r3t@host")
    refused(f"{scheme}://:s3c{separator}r3t@host")


@pytest.mark.parametrize(
    "url",
    [
        "nats://u:s3cr3t@host:port",
        "nats://u:s3cr3t@one:4222,two:65536",
        "nats://u:s3cr3t@host?replicas=many",
        "nats://u:s3cr3t@host?prefix=a.b",
        "amqp://u:s3cr3t@host:port",
        "amqp://u:s3cr3t@host:65536",
        "amqp://u:s3cr3t@host?prefix=a.b",
        "redis://:s3cr3t@host:port",
        "redis://:s3cr3t@host:65536",
        "redis://:s3cr3t@host?prefix=a.b",
        "redis://:s3cr3t@host?durable=maybe",
        "redis://:s3cr3t@host?nonsense=1",
        "redis://:s3cr3t@host?protocol=9",
        "redis://:s3cr3t@host?ssl_cert_reqs=bogus",
        "rediss://:s3cr3t@host?ssl_cert_reqs=bogus",
        "redis://:s3cr3t@host?credential_provider=bogus",
        "redis://:s3cr3t@host?encoding=bogus",
        "redis://:s3cr3t@host?retry=bogus",
        "redis://host?password=s3c@r3t",
        "sns+sqs://u:s3cr3t@eu-west-1/prefix",
        "sns+sqs://eu-west-1/prefix?endpoint=http://u:s3cr3t@localhost:1",
        "sns+sqs://eu-west-1/prefix?endpoint=http%3A%2F%2Fu%3As3cr3t%40localhost",
        "sns+sqs://eu-west-1/a.b?endpoint=http%3A%2F%2Fu%3As3cr3t%40localhost",
        "sns+sqs://eu-west-1/prefix?endpoint=http://localhost:1?token=s3cr3t",
        "sns+sqs://eu-west-1/prefix?endpoint=http://localhost:s3cr3t",
        "sns+sqs://eu-west-1/prefix?secret_access_key=s3cr3t",
        "zmq+tcp://u:s3cr3t@host",
        "kafka://u:s3cr3t@host",
        "redis:/:s3cr3t@host",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secrets(url: str) -> None:
    refused(url)


def refused(url: str) -> None:
    """Neither the error nor what it came from, which a traceback shows, has a part of the password."""
    with pytest.raises(ConfigurationError, match="BUS_URL") as raised:
        connect(load(bus_url=url))
    shown = "".join(traceback.format_exception(raised.value))
    assert [half for half in HALVES if half in shown] == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://host?durable=maybe", "durable is yes or no"),
        ("redis://host:port", "use redis[s]://USER:PASSWORD@HOST:PORT/0"),
        ("amqp://host:port", "use amqp://USER:PASSWORD@HOST:PORT/VHOST"),
        ("nats://host:port", "use nats:// or tls://USER:PASSWORD@HOST:PORT,HOST:PORT"),
        ("sns+sqs://eu-west-1/p?endpoint=localhost", "?endpoint=http://HOST:PORT"),
        ("redis://:a/b@host", "%2F for '/'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_what_can(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(load(bus_url=url))
    assert told in str(raised.value)


@pytest.mark.parametrize("scheme", ["nats", "tls", "redis", "rediss", "amqp", "amqps"])
def test_a_password_written_as_a_url_has_it_is_taken(scheme: str) -> None:
    connect(load(bus_url=f"{scheme}://user:%2F%3F%23%40%5B%5D@host"))
