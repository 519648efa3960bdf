"""Bodies of a taxi's shift: sign-on, sign-off, trip record and inspection of JT/T 905.

Source: JT/T 905.2-2014, the tables of 0B03, 0B04, 0B05 and 0B11. Digits are BCD, times `YYYYMMDDhhmm` of Beijing time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.terminal.fix import Fix
from simulator.terminal.jt import fixed_position, text
from simulator.terminal.wire import Protocol, bcd

_BEIJING = timedelta(hours=8)


def minute_time(time_ms: int) -> bytes:
    """`YYYYMMDDhhmm`."""
    return bytes.fromhex((datetime.fromtimestamp(time_ms // 1000, UTC) + _BEIJING).strftime("%Y%m%d%H%M"))


@dataclass(frozen=True, slots=True)
class Driver:
    """Who drives for whom.

    Attributes:
        company: licence of the company, up to 16 characters.
        licence: certificate of the driver, up to 19 characters.
        plate: without its Chinese sign, six characters, e.g. `BT1234`.
    """

    company: str = "150200000001"
    licence: str = "150202198001011234"
    plate: str = "BT1234"

    def names(self) -> bytes:
        return text(self.company, 16) + text(self.licence, 19) + text(self.plate, 6)


@dataclass(frozen=True, slots=True)
class Shift:
    """What the meter counted in a shift; money in cents, kilometres in tenths.

    Attributes:
        k: pulses a kilometre.
        distance, hired_distance: of the shift, 0.1 km; between: since the shift before.
        trips, card_trips: their numbers.
        waited: `hhmmss` for which the meter counted time.
        income, card_income: 0.1 yuan.
        total, total_hired: of the meter's life, 0.1 km; total_trips.
        price: 0.01 yuan a kilometre.
    """

    k: int = 600
    distance: int = 1_523
    hired_distance: int = 801
    trips: int = 21
    waited: int = 3_115
    income: int = 4_125
    card_income: int = 220
    card_trips: int = 2
    between: int = 15
    total: int = 1_203_456
    total_hired: int = 650_123
    price: int = 150
    total_trips: int = 65_537

    def digits(self) -> bytes:
        widths = (
            (self.distance, 3), (self.hired_distance, 3), (self.trips, 2), (self.waited, 3), (self.income, 3),
            (self.card_income, 3), (self.card_trips, 2), (self.between, 2), (self.total, 4), (self.total_hired, 4),
            (self.price, 2),
        )  # fmt: skip
        return b"".join(bcd(str(value), size) for value, size in widths)


#: A plausible one.
DEFAULT_SHIFT = Shift()


def sign_on(fix: Fix, driver: Driver, started_ms: int) -> bytes:
    """Body of 0B03."""
    return fixed_position(fix, Protocol.JT905) + driver.names() + minute_time(started_ms)


def sign_off(fix: Fix, driver: Driver, shift: Shift, started_ms: int, ended_ms: int, *, how: int = 0) -> bytes:
    """Body of 0B04. `how`: 0 with the card, 1 by the meter, 2 by the terminal itself."""
    times = minute_time(started_ms) + minute_time(ended_ms)
    end = struct.pack(">IB", shift.total_trips, how)
    return fixed_position(fix, Protocol.JT905) + driver.names() + bcd(str(shift.k), 2) + times + shift.digits() + end


def trip_record(
    began: Fix,
    ended: Fix,
    *,
    trip: int,
    rating_id: int = 0,
    rating: int = 0,
    rating_detail: int = 0,
    order: int = 0,
    meter: bytes = b"",
) -> bytes:
    """Body of 0B05: where it began and ended, the passenger's rating, and the meter's own record."""
    places = fixed_position(began, Protocol.JT905) + fixed_position(ended, Protocol.JT905)
    return places + struct.pack(">IIBHI", trip, rating_id, rating, rating_detail, order) + meter


def inspected(serial_digits: str, status: int, alarm: int, waiting: tuple[int, int, int, int] = (0, 0, 0, 0)) -> bytes:
    """Body of 0B11 for the terminal itself (device type 0): number, versions, status, alarms and what waits to be sent."""
    content = bcd(serial_digits, 5) + b"\x01" + b"\x02\x00" + struct.pack(">II4B", status, alarm, *waiting)
    return bytes((0, len(content))) + content
