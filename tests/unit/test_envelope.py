"""What a plain WebSocket client is sent."""

from __future__ import annotations

import json

import pytest

from cluster.envelope import envelope, notice, payload, placeless
from cluster.stream import Position, Publication

PUBLICATION = Publication("news", "epoch", 6, 7, "id", b'{"title": "\xc3\xa9", "n": 1.50}')


def test_a_payload_is_what_was_published_to_the_byte() -> None:
    assert payload(PUBLICATION) == PUBLICATION.data


def test_an_envelope_adds_the_place() -> None:
    assert json.loads(envelope(PUBLICATION)) == {
        "channel": "news",
        "epoch": "epoch",
        "offset": 7,
        "data": {"title": "é", "n": 1.5},
    }


def test_an_envelope_does_not_write_the_data_anew() -> None:
    assert PUBLICATION.data is not None
    assert PUBLICATION.data in envelope(PUBLICATION)


@pytest.mark.parametrize("channel", ['a "quoted" name', "back\\slash", "日本", "😀"])
def test_any_channel_name_is_valid_json(channel: str) -> None:
    position = Position("epoch", 1)
    assert json.loads(envelope(Publication(channel, "epoch", 0, 1, "id", b"null")))["channel"] == channel
    assert json.loads(notice(channel, position, None))["channel"] == channel


@pytest.mark.parametrize(
    ("recovered", "expected"), [(True, {"recovered": True}), (False, {"recovered": False}), (None, {})]
)
def test_a_notice_tells_where_a_client_stands(recovered: bool | None, expected: dict[str, bool]) -> None:
    place = {"channel": "news", "epoch": "epoch", "offset": 7}
    assert json.loads(notice("news", Position("epoch", 7), recovered)) == place | expected


def test_where_nothing_is_recovered_no_place_is_told() -> None:
    assert json.loads(placeless(PUBLICATION)) == {"channel": "news", "data": {"title": "é", "n": 1.5}}
    assert json.loads(notice("news", None, None)) == {"channel": "news"}
    assert json.loads(notice("news", None, False)) == {"channel": "news", "recovered": False}


@pytest.mark.parametrize("data", [b"null", b"0", b'""', b"[]", b"false"])
def test_data_that_is_nothing_much_is_there_all_the_same(data: bytes) -> None:
    sent = json.loads(envelope(Publication("news", "epoch", 6, 7, "id", data)))
    assert "data" in sent
    assert sent["data"] == json.loads(data)
