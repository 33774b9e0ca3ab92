"""The text of supervisord's and nginx's configuration."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from cluster.render import Place, nginx_conf, supervisord_conf

CONF = Path(__file__).parents[2] / "conf"
USER = pwd.getpwuid(os.getuid()).pw_name
PLACE = Place(Path("/run/cluster"), Path("/home/user/project"), Path("/venv/bin/python"), USER, 4096)


def supervisord(place: Place = PLACE, *, workers: int = 2, shutdown_grace: float = 10, forwarder: bool = True) -> str:
    templates = {name: (CONF / name).read_text() for name in ("supervisord.conf", "forwarder.conf")}
    return supervisord_conf(templates, place, workers=workers, shutdown_grace=shutdown_grace, forwarder=forwarder)


def nginx(place: Place = PLACE, **changes: Any) -> str:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 8008,
        "upstream": ["127.0.0.1:8100", "127.0.0.1:8101"],
        "static_dir": Path("/static"),
        "ping_interval": 25.0,
        "connections_per_address": 1000,
    }
    return nginx_conf((CONF / "nginx.conf").read_text(), place, **values | changes)


def sections(text: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, inline_comment_prefixes=(";",), delimiters=("=",))
    parser.read_string(text)
    return parser


def directives(text: str, name: str) -> list[str]:
    """The values of every directive `name` of an nginx configuration."""
    return re.findall(rf"^\s*{name}\s+(.*);$", text, re.MULTILINE)


def understood(text: str, tmp_path: Path) -> ServerOptions:
    """What supervisor itself makes of a configuration."""
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


def commands(options: ServerOptions) -> dict[str, str]:
    return {
        process.name: process.command for group in options.process_group_configs for process in group.process_configs
    }


class TestSupervisord:
    def test_runs_forwarder_nginx_workers_and_watchdog(self, tmp_path: Path) -> None:
        place = PLACE._replace(run_dir=tmp_path, directory=tmp_path)
        assert commands(understood(supervisord(place, workers=3), tmp_path)) == {
            "forwarder": "/venv/bin/python -m cluster forwarder --with-parent",
            "nginx": "/venv/bin/python -m cluster nginx",
            "api-0": "/venv/bin/python -m cluster worker 0",
            "api-1": "/venv/bin/python -m cluster worker 1",
            "api-2": "/venv/bin/python -m cluster worker 2",
            "watchdog": "/venv/bin/python -m cluster watchdog",
        }

    def test_runs_no_forwarder_where_the_bus_is_elsewhere(self, tmp_path: Path) -> None:
        place = PLACE._replace(run_dir=tmp_path, directory=tmp_path)
        found = commands(understood(supervisord(place, forwarder=False), tmp_path))
        assert "nginx" in found
        assert "forwarder" not in found

    @pytest.mark.parametrize("name", ["100%", "%(here)s", "%%", "a b", "ü"])
    def test_a_directory_may_be_named_anything(self, tmp_path: Path, name: str) -> None:
        directory = tmp_path / name
        directory.mkdir()
        place = PLACE._replace(run_dir=directory, directory=directory)
        options = understood(supervisord(place), tmp_path)
        assert options.pidfile == f"{directory}/supervisord.pid"
        assert options.directory == str(directory)
        assert options.serverurl == f"unix://{directory}/supervisor.sock"

    @pytest.mark.parametrize("name", ["100%", "my project", "it's"])
    def test_python_may_lie_in_a_directory_named_anything(self, tmp_path: Path, name: str) -> None:
        python = tmp_path / name / "bin" / "python"
        place = PLACE._replace(run_dir=tmp_path, directory=tmp_path, python=python)
        options = understood(supervisord(place), tmp_path)
        # supervisor splits a command as a shell would.
        assert shlex.split(commands(options)["nginx"]) == [str(python), "-m", "cluster", "nginx"]

    def test_control_is_a_socket_in_the_run_directory_for_this_user_alone(self) -> None:
        found = sections(supervisord())
        assert found["unix_http_server"] == {"file": "/run/cluster/supervisor.sock", "chmod": "0700"}
        assert found["supervisorctl"]["serverurl"] == "unix:///run/cluster/supervisor.sock"
        assert "inet_http_server" not in found

    def test_workers_stop_before_nginx_and_nginx_before_the_forwarder(self) -> None:
        found = sections(supervisord())
        priorities = [int(found[f"program:{name}"]["priority"]) for name in ("forwarder", "nginx", "api")]
        assert priorities == sorted(set(priorities))

    @pytest.mark.parametrize("grace", [0.4, 10, 60.5])
    def test_a_worker_is_not_killed_within_its_grace(self, grace: float) -> None:
        assert float(sections(supervisord(shutdown_grace=grace))["program:api"]["stopwaitsecs"]) > grace

    def test_every_program_is_started_again_and_writes_to_stdout(self) -> None:
        found = sections(supervisord())
        programs = [found[name] for name in found.sections() if name.startswith("program:")]
        assert len(programs) == 3
        for program in programs:
            assert program["autorestart"] == "true"
            assert (program["stdout_logfile"], program["redirect_stderr"]) == ("/dev/fd/1", "true")

    def test_nothing_is_left_to_fill_in(self) -> None:
        assert "$" not in supervisord()


class TestNginx:
    def test_the_upstream_is_every_worker_and_none_is_ever_avoided(self) -> None:
        assert directives(nginx(upstream=[f"127.0.0.1:{port}" for port in range(8100, 8103)]), "server") == [
            '"127.0.0.1:8100" max_fails=0',
            '"127.0.0.1:8101" max_fails=0',
            '"127.0.0.1:8102" max_fails=0',
        ]

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("127.0.0.1", "127.0.0.1:8010"),
            ("0.0.0.0", "0.0.0.0:8010"),
            ("localhost", "localhost:8010"),
            ("::1", "[::1]:8010"),
            ("::", "[::]:8010"),
        ],
    )
    def test_listens_on_the_host_and_port_given(self, host: str, expected: str) -> None:
        (listen,) = directives(nginx(host=host, port=8010), "listen")
        assert listen.split()[0] == expected

    def test_everything_it_writes_is_in_the_run_directory(self) -> None:
        text = nginx()
        written = [value for name in ("pid", r"\w+_temp_path") for value in directives(text, name)]
        assert len(written) == 6
        assert all(value.strip('"').startswith("/run/cluster/") for value in written)

    def test_serves_the_files_of_the_static_directory(self) -> None:
        assert [value.strip('"') for value in directives(nginx(static_dir=Path("/ui")), "root")] == ["/ui"]

    def test_serves_no_files_when_there_are_none(self) -> None:
        (root,) = directives(nginx(static_dir=None), "root")
        assert root.strip('"') == "/run/cluster/no-files"

    @pytest.mark.parametrize("interval", [1.0, 25.0, 3600.0])
    def test_a_socket_may_be_silent_for_longer_than_between_two_pings(self, interval: float) -> None:
        (timeout,) = directives(nginx(ping_interval=interval), "proxy_read_timeout")
        assert int(timeout.removesuffix("s")) > 2 * interval

    def test_the_connections_of_one_address_may_be_limited(self) -> None:
        assert directives(nginx(connections_per_address=7), "limit_conn") == ["addresses 7"]
        assert directives(nginx(connections_per_address=0), "limit_conn") == []

    def test_a_path_with_a_space_stays_one_path(self) -> None:
        text = nginx(PLACE._replace(run_dir=Path("/my run")), static_dir=Path("/my files"))
        assert directives(text, "pid") == ['"/my run/nginx.pid"']
        assert directives(text, "root") == ['"/my files"']

    def test_upgrades_a_websocket_and_keeps_the_host_it_was_called_by(self) -> None:
        text = nginx()
        assert "Upgrade $http_upgrade" in directives(text, "proxy_set_header")
        assert "Connection $connection_upgrade" in directives(text, "proxy_set_header")
        assert "Host $http_host" in directives(text, "proxy_set_header")
        assert directives(text, "proxy_buffering") == ["off"]

    def test_only_nginx_s_own_variables_are_left(self) -> None:
        assert "${" not in nginx()
        assert "$$" not in nginx()
