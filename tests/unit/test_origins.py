"""From which pages browsers may connect."""

from __future__ import annotations

import pytest

from cluster.origins import Origins

NONE, SOME, ALL = Origins(None), Origins("https://a.example http://B.example:8080"), Origins("*")
DIRECT = Origins(None, 8008)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://Example.COM", "example.com"),
        ("http://example.com:80", "example.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com:8008", "example.com:8008"),
        ("http://127.0.0.1:8008", "127.0.0.1:8008"),
        ("http://[::1]:8008", "[::1]:8008"),
    ],
)
def test_a_page_of_the_host_that_is_called_may_connect(origin: str, host: str) -> None:
    assert NONE.admit(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("http://example.com:8009", "example.com:8008"),
        ("http://example.com", "example.com:8008"),
        ("null", "example.com"),
        ("null", ""),
        ("", ""),
        ("https://", ""),
        ("http://[", "["),
        ("http://a:99999", "a:99999"),
        ("file://", "example.com"),
    ],
)
def test_another_page_may_not(origin: str, host: str) -> None:
    assert not NONE.admit(origin, host)
    assert not SOME.admit(origin, host)


@pytest.mark.parametrize(
    ("origins", "origin", "host"),
    [
        (DIRECT, "http://example.com:8008", "example.com:8100"),
        (DIRECT, "https://Example.com:8008", "example.com:8100"),
        (DIRECT, "http://[::1]:8008", "[::1]:8101"),
        (DIRECT, "http://example.com:8100", "example.com:8100"),
        (Origins(None, 80), "http://example.com", "example.com:8100"),
        (Origins(None, 443), "https://example.com", "example.com:8100"),
    ],
)
def test_a_page_of_the_public_port_may_connect_to_the_others_of_its_host(
    origins: Origins, origin: str, host: str
) -> None:
    assert origins.admit(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com:8009", "example.com:8100"),
        ("http://example.com:8100", "example.com:8101"),
        ("http://example.com", "example.com:8100"),
        ("http://evil.example:8008", "example.com:8100"),
        ("http://example.com:8008@evil.example", "example.com:8100"),
        ("null", "example.com:8100"),
        ("http://:8008", ":8100"),
    ],
)
def test_a_page_of_another_port_or_host_may_not(origin: str, host: str) -> None:
    assert not DIRECT.admit(origin, host)


def test_a_program_that_names_no_origin_may_connect() -> None:
    assert NONE.admit(None, "example.com")


@pytest.mark.parametrize("origin", ["https://a.example", "https://A.example", "http://b.example:8080"])
def test_a_listed_page_may_connect(origin: str) -> None:
    assert SOME.admit(origin, "example.com")


def test_a_star_lists_all() -> None:
    assert ALL.admit("https://evil.example", "example.com")
    assert ALL.admit("null", "example.com")
