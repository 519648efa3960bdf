"""What the gateway needs of the house around it, as Protocols, and the order it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from devices.terminals import RegisterAnswer, Registering
from ingest.decode.decoder import Decoded
from model.command import Reply
from model.evidence import NewEvidence, Report

#: Takes what was decoded; calls the second argument once, from any thread, when all of it is durable.
Take = Callable[[Decoded, Callable[[], None]], None]


class Terminal(Protocol):
    """A registered terminal, as `devices.terminals` knows it."""

    @property
    def slot(self) -> int: ...

    @property
    def device(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    @property
    def enabled(self) -> bool: ...

    @property
    def model(self) -> str: ...


class Terminals(Protocol):
    """Who is registered. Called on the gateway's thread and on those that send orders; must be quick."""

    def find(self, number: str) -> Terminal | None:
        """The terminal of that number (digits without leading zeros, or IMEI)."""
        ...

    def register_all(self, asked: Sequence[Registering]) -> Sequence[RegisterAnswer]:
        """Answer registrations, durably, in one transaction; see `devices.terminals`."""
        ...

    def check(self, number: str, token: str) -> bool:
        """Whether that token was given to that number and still holds."""
        ...

    def bound(self, device_slot: int) -> bool:
        """Whether a terminal is bound to the device in that slot."""
        ...


class GatewayEvents(Protocol):
    """What the gateway tells. All of it is called on its thread, must be quick and must not raise."""

    def online(self, slot: int, device: str, protocol: str) -> None:
        """A terminal has a session."""
        ...

    def offline(self, slot: int, device: str) -> None:
        """Its session ended and no newer one took its place."""
        ...

    def reply(self, reply: Reply) -> None:
        """A terminal answered an order."""
        ...

    def media(self, new: NewEvidence, done: Callable[[], None]) -> None:
        """A photo, sound or clip is complete. `done` from any thread once it is durable, never if it is not."""
        ...

    def report(self, report: Report, done: Callable[[], None]) -> None:
        """Anything else that a terminal tells. `done` from any thread once it is durable."""
        ...


class Claims(Protocol):
    """Sessions across several gateways: `store.nats.claims`. Called on the gateway's thread; nothing in it may wait or raise."""

    def claim(
        self, connection: int, number: str, *, slot: int, device: str, protocol: str, address: str, since_ms: int
    ) -> None:
        """A terminal has a session here now, by a connection whose number is higher than any before."""
        ...

    def release(self, number: str, connection: int) -> None:
        """That session is over, and no newer one here took its place."""
        ...

    def host_of(self, number: str) -> str:
        """The host from which a terminal is connected to whichever gateway; "" when it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A command to send now.

    Attributes:
        command: id of the command, given back in `Reply.command`.
        slot: registry slot of the device.
        name: as in `model.command.COMMANDS` (or what a protocol's `orders` knows besides).
        args: checked arguments.
    """

    command: str
    slot: int
    name: str
    args: dict[str, Any] = field(default_factory=dict)
