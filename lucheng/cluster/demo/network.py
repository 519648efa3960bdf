"""Three machines on one: a network namespace and an address each, joined by a bridge; else loopback addresses alone.

Invariants: what is made is taken away again, and what an earlier demo that was killed left is taken away first; addresses are of the range
that is set aside for tests of networks (198.18.0.0/15), of a part that nobody here has. A namespace needs root: without it the machines are
addresses of the loopback interface, which nothing can cut off from each other, and `why` says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from model.errors import LuchengError, UsageError

_FOLDER = Path("/run/netns")
_PREFIX = "lucheng"
_MADE = re.compile(rf"{_PREFIX}-(\d+)-m\d")
_PARTS = 256
_CLONE_NEWNET = 0x40000000
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Host:
    """One machine's place in the network.

    Attributes:
        name: `m1`, `m2`, …. address: where the others reach it.
        namespace: its network namespace, "" where it has none. cable: the other end of its cable, at the bridge.
    """

    name: str
    address: str
    namespace: str = ""
    cable: str = ""

    @property
    def prefix(self) -> list[str]:
        """What stands before a command that is to run on it."""
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    def enter(self) -> None:
        """Let sockets that the calling thread makes from now on be of this machine."""
        if self.namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            with (_FOLDER / self.namespace).open() as file:
                if libc.setns(file.fileno(), _CLONE_NEWNET):
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))


class Network:
    """The machines' network; a context manager.

    Args:
        count: machines.
        namespaces: False takes loopback addresses also where namespaces could be had.

    Attributes:
        hosts: the machines. gateway: the address of what lies beside them, as they reach it.
        why: why there are no namespaces, "" where there are.
    """

    def __init__(self, count: int, *, namespaces: bool = True) -> None:
        self.why = "" if namespaces else "not wanted"
        self._bridge = f"lc{os.getpid()}b"
        self.gateway = "127.0.0.1"
        self.subnet = "127.0.0.0/8"
        self.hosts = tuple(Host(f"m{number}", f"127.0.0.{10 + number}") for number in range(1, count + 1))
        self._count = count

    def __enter__(self) -> Self:
        if self.why:
            return self
        self.why = self._why_not()
        if not self.why:
            try:
                self._make()
            except LuchengError as error:
                self.close()
                self.why = error.message
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def apart(self) -> bool:
        """Whether each machine has a namespace of its own, so that one can be cut off."""
        return not self.why

    def cut(self, host: Host) -> None:
        """Pull the machine's cable."""
        self._pull(host, "down")

    def heal(self, host: Host) -> None:
        """Put it in again."""
        self._pull(host, "up")

    def _pull(self, host: Host, state: str) -> None:
        if not host.cable:
            raise UsageError("A machine without a namespace cannot be cut off.", mend="Run as root.")
        _ip("link", "set", host.cable, state)

    def _why_not(self) -> str:
        if shutil.which("ip") is None:
            return "there is no program `ip` (apt-get install iproute2)"
        if os.geteuid() != 0:
            return "network namespaces need root"
        return ""

    def _make(self) -> None:
        _sweep()
        part = self._free_part()
        net = f"198.18.{part}"
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.254/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        hosts = []
        for number in range(1, self._count + 1):
            space, cable = f"{_PREFIX}-{os.getpid()}-m{number}", f"lc{os.getpid()}m{number}"
            _ip("netns", "add", space)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", cable, "master", self._bridge, "up")
            _ip("-n", space, "addr", "add", f"{net}.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
            hosts.append(Host(f"m{number}", f"{net}.{number}", space, cable))
        self.hosts, self.gateway, self.subnet = tuple(hosts), f"{net}.254", f"{net}.0/24"

    def _free_part(self) -> int:
        taken = _ip("-o", "addr") + _ip("route", "show", "table", "all")
        for offset in range(_PARTS):
            part = (os.getpid() + offset) % _PARTS
            if f"198.18.{part}." not in taken:
                return part
        raise UsageError("Every part of 198.18.0.0/16 is taken here.", mend="Free one, or run without root.")

    def close(self) -> None:
        """Take everything away."""
        _take_away([f"{_PREFIX}-{os.getpid()}-m{number}" for number in range(1, self._count + 1)], self._bridge)


def _sweep() -> None:
    """Take away what demos left that no longer run."""
    for path in _FOLDER.glob(f"{_PREFIX}-*-m*"):
        made = _MADE.fullmatch(path.name)
        if made and not Path(f"/proc/{made[1]}").exists():
            _take_away([path.name], f"lc{made[1]}b")


def _take_away(spaces: Sequence[str], bridge: str) -> None:
    for space in spaces:
        if (_FOLDER / space).exists():
            with contextlib.suppress(LuchengError):
                # Its end of the cable may live as long as a socket in the namespace does: the other end goes at once.
                _ip("netns", "del", space)
    for name in [*(bridge.removesuffix("b") + space[-2:] for space in spaces), bridge]:
        if Path("/sys/class/net", name).exists():
            with contextlib.suppress(LuchengError):
                _ip("link", "del", name)


def _ip(*words: str) -> str:
    """Run `ip`; what it said. Raises UsageError with its words."""
    done = subprocess.run(  # noqa: S603 our own words, no shell
        ["ip", *words],  # noqa: S607 wherever the system has it
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise UsageError(
            f"`ip {' '.join(words)}` failed: {done.stderr.strip()[:200]}", mend="Network namespaces need root."
        )
    return done.stdout
