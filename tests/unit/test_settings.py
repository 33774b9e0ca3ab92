"""Settings: read from the environment, refused with a reason, handed on to other processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cluster.bus import connect
from cluster.errors import ConfigurationError
from cluster.settings import Settings, environment, load


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)


def test_without_an_environment_every_setting_has_a_default() -> None:
    settings = load()
    assert settings.workers == (os.cpu_count() or 1)
    assert (settings.host, settings.port, settings.app) == ("127.0.0.1", 8008, "cluster.app:app")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("WORKERS", "3", 3),
        ("PING_INTERVAL", "2.5", 2.5),
        ("API_LOG_LEVEL", "debug", "debug"),
        ("RUN_DIR", "/run/cluster", Path("/run/cluster")),
        ("API_NAME", "Günther's API", "Günther's API"),
    ],
)
def test_a_variable_sets_the_setting_of_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: Any
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load(), variable.lower()) == expected


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "")
    monkeypatch.setenv("BUS_URL", "")
    assert load() == Settings()


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8010")
    monkeypatch.setenv("WORKERS", "3")
    settings = load(port=8020, workers=None)
    assert (settings.port, settings.workers) == (8020, 3)


def test_a_variable_of_another_program_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT_OF_SOMETHING_ELSE", "many")
    load()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("WORKERS", "0", "greater than or equal to 1"),
        ("WORKERS", "257", "less than or equal to 256"),
        ("WORKERS", "many", "valid integer"),
        ("WORKERS", "1.5", "valid integer"),
        ("PORT", "0", "greater than or equal to 1"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("PORT", "http", "valid integer"),
        ("WORKER_PORT", "-1", "greater than or equal to 1"),
        ("API_LOG_LEVEL", "loud", "'debug', 'info', 'warning', 'error' or 'critical'"),
        ("SHUTDOWN_GRACE", "0", "greater than 0"),
        ("SHUTDOWN_GRACE", "86401", "less than or equal to 86400"),
        ("PING_INTERVAL", "soon", "valid number"),
        ("PING_INTERVAL", "nan", "86400"),
        ("PING_TIMEOUT", "inf", "less than or equal to 86400"),
        ("BUS_TIMEOUT", "-1", "greater than 0"),
        ("BUS_QUEUE", "0", "greater than or equal to 1"),
        ("HISTORY_SIZE", "-1", "greater than or equal to 0"),
        ("HISTORY_SIZE", "1000001", "less than or equal to 1000000"),
        ("MAX_MESSAGE_BYTES", "16777217", "less than or equal to 16777216"),
        ("CLIENT_QUEUE_BYTES", "1023", "greater than or equal to 1024"),
        ("MESSAGES_PER_SECOND", "0.5", "greater than or equal to 1"),
    ],
)
def test_a_bad_value_is_told_with_its_variable_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as raised:
        load()
    message = str(raised.value)
    assert f"{variable}='{value}'" in message
    assert allowed in message
    assert str(Settings.model_fields[variable.lower()].description) in message


def test_a_bad_argument_is_told_like_a_bad_variable() -> None:
    with pytest.raises(ConfigurationError, match="PORT='many': input should be a valid integer"):
        load(port="many")


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("WORKERS", "0")
    with pytest.raises(ConfigurationError, match=r"WORKERS='0'.*PORT='0'"):
        load()


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


class TestDerived:
    def test_two_ports_have_two_run_directories_and_two_buses(self) -> None:
        one, two = load(port=8008), load(port=8010)
        assert one.directory != two.directory
        assert one.bus != two.bus

    def test_the_run_directory_belongs_to_the_user(self) -> None:
        assert str(os.getuid()) in str(load().directory)

    def test_a_run_directory_is_made_absolute(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        assert load(run_dir="run").directory == tmp_path / "run"

    def test_the_bus_is_in_the_run_directory_unless_told_otherwise(self) -> None:
        assert load(run_dir="/run/cluster").bus == "zmq+ipc:///run/cluster"
        assert load(run_dir="/run/cluster", bus_url="memory://x").bus == "memory://x"

    def test_the_default_run_directory_leaves_room_for_its_sockets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", "/tmp")
        connect(load(port=65535))


class TestEnvironment:
    CANDIDATES: tuple[Any, ...] = (
        7,
        2000,
        1.5,
        True,
        "debug",
        "full",
        "socket",
        "some text: ü %(x)s $y",
        "/some where/else",
    )

    def changed(self) -> Settings:
        """Settings that all differ from their defaults."""
        values: dict[str, Any] = {}
        for name in Settings.model_fields:
            for candidate in self.CANDIDATES:
                try:
                    settings = load(**{name: candidate})
                except ConfigurationError:
                    continue
                if getattr(settings, name) != getattr(Settings(), name):
                    values[name] = candidate
                    break
        assert set(values) == set(Settings.model_fields), "a setting for which no candidate is another value"
        return load(**values)

    @pytest.mark.parametrize("changed", [False, True])
    def test_another_process_loads_the_same_settings(self, monkeypatch: pytest.MonkeyPatch, changed: bool) -> None:
        settings = self.changed() if changed else load()
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        assert load() == settings

    def test_a_setting_that_is_empty_on_purpose_stays_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(forwarder_journal="")
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        assert load() == settings

    def test_what_was_left_open_stays_open(self) -> None:
        assert "RUN_DIR" not in environment(load())


class TestBus:
    @pytest.mark.parametrize("url", ["kafka://127.0.0.1", "zmq://x", "zmq+udp://127.0.0.1:1", "nonsense", "memory:x"])
    def test_an_unknown_bus_is_told_with_what_is_allowed(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"BUS_URL=.*zmq\+ipc://DIRECTORY.*zmq\+tcp://HOST:PORT"):
            connect(load(bus_url=url))

    @pytest.mark.parametrize(
        "url", ["memory://", "memory://name", "zmq+ipc:///run/cluster", "zmq+tcp://127.0.0.1:5550"]
    )
    def test_a_known_bus_is_made_and_not_yet_opened(self, url: str) -> None:
        connect(load(bus_url=url))
