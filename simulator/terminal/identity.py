"""`Identity`: what a terminal says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.terminal.taxi import Driver


@dataclass(frozen=True, slots=True)
class Identity:
    """What a terminal says of itself when it registers."""

    plate: str = "蒙BT1234"
    maker: str = "LCSIM"
    model: str = "LC-T1"
    terminal_id: str = "0000001"
    imei: str = "860000000000001"
    iccid: str = "89860000000000000001"
    hardware: str = "H1.0"
    software: str = "S1.0"
    driver: Driver = field(default_factory=Driver)


#: Who a terminal is unless told otherwise.
DEFAULT_IDENTITY = Identity()
