"""What reaches workers, for tests of what stands before it: it writes down what is sent, and answers as it is told to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from lucheng.video.messages import ToWorker
    from lucheng.video.supervisor import Supervisor


@dataclass
class Reach:
    """Stands where the supervisor stands: cameras, which of them have a worker, which are set aside.

    Attributes:
        sent: what was sent, in order. known, parked: cameras. reached: whether they have a worker now.
    """

    known: set[str] = field(default_factory=lambda: {"camera/1", "camera/2"})
    aside: set[str] = field(default_factory=set)
    reached: bool = True
    sent: list[ToWorker] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, device: str, message: ToWorker) -> bool:
        """As `Supervisor.send`."""
        if not self.reached or device not in self.known:
            return False
        with self.lock:
            self.sent.append(message)
        return True

    def knows(self, device: str) -> bool:
        """As `Supervisor.knows`."""
        return device in self.known

    def parked(self, device: str) -> bool:
        """As `Supervisor.parked`."""
        return device in self.aside

    @property
    def supervisor(self) -> Supervisor:
        """This, as what takes its place."""
        return cast("Supervisor", self)
