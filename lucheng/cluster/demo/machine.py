"""One of three machines: its processes, its cable, and what becomes of both."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console.client import RemoteClient
from lucheng.rooms import SOCKET_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from lucheng.cluster.demo.network import Host, Network
    from lucheng.cluster.demo.programs import Program


@dataclass(slots=True)
class Machine:
    """One machine.

    Attributes:
        host: its place. nats, lucheng: its processes. data: the data folder of the second.
        cut: whether its cable is pulled.
    """

    host: Host
    nats: Program
    lucheng: Program
    data: Path
    network: Network
    cut: bool = False
    programs: list[Program] = field(default_factory=list)

    @property
    def name(self) -> str:
        """`m1`, …."""
        return self.host.name

    @property
    def alive(self) -> bool:
        """Whether all its processes run."""
        return all(program.alive for program in self.programs)

    def client(self, *, answer_timeout_s: float = 30.0) -> RemoteClient:
        """Of its API."""
        return RemoteClient(self.data / SOCKET_FILE, answer_timeout_s=answer_timeout_s)

    def kill(self) -> None:
        """A power cut: the cable first, where there is one, so that no connection is ended in order."""
        self.pull()
        for program in self.programs:
            program.kill()

    def pull(self) -> None:
        """Cut it off from all others, where it has a namespace."""
        if self.network.apart and not self.cut:
            self.network.cut(self.host)
            self.cut = True

    def plug(self) -> None:
        """The end of `pull`."""
        if self.cut:
            self.network.heal(self.host)
            self.cut = False

    def freeze(self) -> None:
        """Stop all its processes without a word, where it cannot be cut off."""
        for program in self.programs:
            program.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """The end of `freeze`."""
        for program in self.programs:
            program.send(signal.SIGCONT)

    def boot(self) -> None:
        """Start what does not run, on what its disks hold."""
        self.plug()
        for program in self.programs:
            if not program.alive:
                program.start()

    def ready(self) -> bool:
        """Whether its lucheng process says that it is ready."""
        return "\nready: " in "\n" + self.lucheng.said
