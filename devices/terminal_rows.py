"""What is said to and by `devices.terminals.Terminals`. It holds nothing and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Terminal(NamedTuple):
    """A device that speaks under a number.

    Attributes:
        slot: of the device; device: its id.
        protocol: what the registry says it speaks, "" not said.
        enabled: False: nothing of it is taken.
        plate: the vehicle's, as registered; "" unknown.
        model: the device's, as registered; "" unknown.
    """

    slot: int
    device: str
    protocol: str
    enabled: bool
    plate: str
    model: str


class Result(IntEnum):
    """Results of a registration, numbered as the terminal answer 8100 of JT/T 808 has them."""

    OK = 0
    VEHICLE_TAKEN = 1
    NO_VEHICLE = 2
    TERMINAL_TAKEN = 3
    NO_TERMINAL = 4


@dataclass(frozen=True, slots=True)
class Registering:
    """What a terminal says of itself when it registers; times by our clock, UTC ms.

    `plate` is "" where the message has none (JT/T 808: the plate colour 0 means that the field is no plate).
    """

    number: str
    plate: str
    terminal_id: str
    maker: str
    model: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """`result`, the `token` to authenticate with ("" unless it is OK), and `why` in words, for the service's log."""

    result: Result
    token: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """A terminal that is bound to a device, as `Terminals.list` shows it; `registered_ms` is UTC ms."""

    slot: int
    device: str
    number: str
    protocol: str
    enabled: bool
    plate: str
    terminal_id: str
    maker: str
    model: str
    generation: int
    registered_ms: int
