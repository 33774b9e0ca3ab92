"""URLs of engines are shown without their secrets."""

from __future__ import annotations

import pytest

from cluster.bus.urls import missing_extra, without_secrets


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
        ("no url", "no url"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert "secret" not in shown


def test_a_missing_extra_says_what_to_install() -> None:
    assert "pip install fastapi-websocket-sync[nats]" in str(missing_extra("nats"))
