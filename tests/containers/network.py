"""The network between containers: namespaces joined by links that can be cut, or only addresses of the loopback.

An engine and the clients are in one namespace. Each container has two links to it: `bus` leads to the engine, `web` to
the clients, and over these the containers reach one another.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
from pathlib import Path
from typing import Self

import psutil

from tests.waiting import wait_for

CLONE_NEWNET = 0x40000000
ISOLATED = [
    # The kernel ends the first process of the container with this one, and all others of it with the first.
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"),
]
START = 'hostname "$0" && ip -batch - && exec "$@"'
"""What a container's first process does: it reads how to set up its network, and becomes the program."""


class Loopback:
    """Where namespaces are not permitted: an address each is all that sets containers apart."""

    host = "127.0.0.1"
    """The engine's address."""
    isolated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def address(self, number: int) -> str:
        """The address at which clients reach container `number`, from 1 on."""
        return f"127.0.0.{1 + number}"

    def command(self, name: str, program: list[str]) -> list[str]:
        """How to run `program` as a container of this host name. It begins once it is joined."""
        return program

    def join(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Give the container that `process` is its links."""

    def inside(self, process: subprocess.Popen[bytes], program: list[str]) -> list[str]:
        """How to run another program in that container."""
        return program

    def cut(self, number: int) -> None:
        """Cut the link between container `number` and the engine."""
        raise NotImplementedError

    def heal(self, number: int) -> None:
        """Undo `cut`."""
        raise NotImplementedError


class Namespaces(Loopback):
    """While entered, this thread and what it starts are in a network namespace of their own.

    It is gone with the last process in it, and all links with it: nothing has a name elsewhere.
    """

    host = "10.0.0.100"
    isolated = True

    def __enter__(self) -> Self:
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _system_call("unshare", CLONE_NEWNET)
        _ip("link set lo up", f"address add {self.host} dev lo")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return self

    def __exit__(self, *exception: object) -> None:
        _system_call("setns", self._before, CLONE_NEWNET)
        os.close(self._before)

    def address(self, number: int) -> str:
        return f"10.0.1.{number}"

    def command(self, name: str, program: list[str]) -> list[str]:
        return [*ISOLATED, "sh", "-c", START, name, *program]

    def join(self, number: int, process: subprocess.Popen[bytes]) -> None:
        def apart() -> bool:
            assert process.poll() is None, "the container ended at once"
            return os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/thread-self/ns/net")

        wait_for(apart, "the container has a network of its own")
        within = ["link set lo up"]
        for link, ours, theirs in (
            ("bus", self.host, f"10.0.0.{number}"),
            ("web", "10.0.1.100", self.address(number)),
        ):
            _ip(
                f"link add {link}{number} type veth peer name {link} netns {process.pid}",
                f"address add {ours} peer {theirs} dev {link}{number}",
                f"link set {link}{number} up",
            )
            within += [f"address add {theirs} peer {ours} dev {link}", f"link set {link} up"]
        within.append("route add 10.0.1.0/24 via 10.0.1.100")
        assert process.stdin is not None, "a pipe was asked for"
        process.stdin.write("\n".join(within).encode())
        process.stdin.close()

    def inside(self, process: subprocess.Popen[bytes], program: list[str]) -> list[str]:
        (first,) = psutil.Process(process.pid).children()
        return ["nsenter", "--all", f"--wd={Path.cwd()}", f"--target={first.pid}", *program]

    def cut(self, number: int) -> None:
        _ip(f"link set bus{number} down")

    def heal(self, number: int) -> None:
        _ip(f"link set bus{number} up")


@functools.cache
def refusal() -> str:
    """Why namespaces cannot be had here; empty if they can."""
    try:
        probe = ["ip", "link", "add", "bus", "type", "veth", "peer", "name", "web"]
        subprocess.run([*ISOLATED, *probe], check=True, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip()
    return ""


def network() -> Loopback:
    """The best there is; not yet entered."""
    return Loopback() if refusal() else Namespaces()


def _ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), check=True, text=True)


def _system_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
