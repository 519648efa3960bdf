"""Frames of places made ahead of time, many at once, so that sending them costs next to nothing.

Purpose: the messages of one terminal of a fleet: message `n` always holds the same places, whatever is sent again or made
twice. Invariants: one place a `step_ms`, on the loop of `fix`; the bytes are those that `jt` and `wire` make one by one
(tests compare them). NumPy columns: a block of K messages is a byte matrix of K rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.terminal.fix import DEFAULT_PLACE, DEFAULT_RADIUS_M, DEFAULT_SPEED_KMH
from simulator.terminal.jt import default_status
from simulator.terminal.wire import Protocol, escape, pack, unescape

Bytes = NDArray[np.uint8]
_BCD: Bytes = np.array([(at // 10) << 4 | at % 10 for at in range(100)], np.uint8)
_METRES_PER_DEGREE = 111_195.08
_DAY_S, _ZONE_S = 86_400, 8 * 3_600
_PLACE_808 = np.dtype([
    ("alarm", ">u4"), ("status", ">u4"), ("lat", ">u4"), ("lon", ">u4"), ("altitude", ">u2"), ("speed", ">u2"),
    ("heading", ">u2"), ("time", np.uint8, 6),
])  # fmt: skip
#: Additional items as most terminals send them: mileage of 0.1 km, signal strength, satellites; number and length before each.
_ITEMS_808 = np.dtype([
    ("head_01", ">u2"), ("mileage", ">u4"), ("head_30", ">u2"), ("signal", np.uint8), ("head_31", ">u2"), ("satellites", np.uint8),
])  # fmt: skip
_ITEMS_905 = np.dtype([("head_01", ">u2"), ("mileage", ">u4")])
_ITEM_VALUES = {"head_01": 0x0104, "head_30": 0x3001, "signal": 23, "head_31": 0x3101, "satellites": 11}
#: 0.1 km, of which a vehicle at `DEFAULT_SPEED_KMH` makes one in ten seconds; 200,000 km.
_MOST_MILEAGE = 2_000_000
_PLACE_905 = np.dtype([
    ("alarm", ">u4"), ("status", ">u4"), ("lat", ">u4"), ("lon", ">u4"), ("speed", ">u2"), ("heading", np.uint8),
    ("time", np.uint8, 6),
])  # fmt: skip


def bcd_times(seconds: NDArray[np.int64]) -> Bytes:
    """`YYMMDDhhmmss` of Beijing time: (K, 6) bytes of K epoch seconds."""
    local = seconds + _ZONE_S
    days = (local // _DAY_S).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    of_day = local % _DAY_S
    number = months.astype(np.int64)
    parts = (
        number // 12 % 100 + 70,
        number % 12 + 1,
        (days - months).astype(np.int64) + 1,
        of_day // 3_600,
        of_day // 60 % 60,
        of_day % 60,
    )
    return np.stack([_BCD[part % 100] for part in parts], axis=1)


class Stock:
    """What one terminal of a fleet sends.

    Args:
        protocol: JT/T 808 or 905.
        number: of the terminal.
        start_ms, step_ms: device time of place 0, whole seconds; from place to place.
        places: to a message: 1 as 0200, more as 0704 (0203 of JT/T 905).
        seed: where on the loop it is.
        items: whether each place has additional items: mileage, of JT/T 808 also signal strength and satellites. A 0203 has none.
    """

    def __init__(
        self,
        protocol: Protocol,
        number: str,
        *,
        start_ms: int,
        step_ms: int,
        places: int,
        seed: int,
        place: tuple[float, float] = DEFAULT_PLACE,
        items: bool = False,
    ) -> None:
        self.places = places
        self._taxi = protocol is Protocol.JT905
        self._start_s, self._step_s = start_ms // 1000, step_ms // 1000
        self._phase = seed * 2.399963
        self._place = place
        self._status = default_status(protocol)
        self._single = places == 1
        message_id = 0x0200 if self._single else 0x0203 if self._taxi else 0x0704
        fixed = _PLACE_905 if self._taxi else _PLACE_808
        more = (
            (_ITEMS_905 if self._taxi else _ITEMS_808) if items and (self._single or not self._taxi) else np.dtype([])
        )
        self._form = np.dtype(fixed.descr + more.descr if more.names else fixed)
        size = self._form.itemsize
        body = size if self._single else places * size if self._taxi else 3 + places * (2 + size)
        template = unescape(pack(protocol, message_id, bytes(body), number=number)[0][1:-1])
        self._head = np.frombuffer(template[: len(template) - body - 1], np.uint8)
        self._body_bytes = body

    def times_ms(self, messages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Device times of all places of those messages, in order."""
        positions = messages[:, None] * self.places + np.arange(self.places)
        return (self._start_s + positions.ravel() * self._step_s) * 1000

    def make(self, first: int, count: int, serial: int) -> list[bytes]:
        """Frames of messages `first` .. `first + count - 1`, with serials from `serial` on."""
        width = self._head.size + self._body_bytes + 1
        rows = np.zeros((count, width), np.uint8)
        rows[:, : self._head.size] = self._head
        serials = (serial + np.arange(count)) & 0xFFFF
        rows[:, self._head.size - 2] = serials >> 8
        rows[:, self._head.size - 1] = serials & 0xFF
        body = rows[:, self._head.size : -1]
        positions = self._positions(first * self.places, count * self.places)
        if self._single:
            body[:] = positions
        elif self._taxi:
            body[:] = positions.reshape(count, -1)
        else:
            body[:, :3] = (self.places >> 8, self.places & 0xFF, 0)
            items = body[:, 3:].reshape(count, self.places, -1)
            items[:, :, 1] = positions.shape[1]
            items[:, :, 2:] = positions.reshape(count, self.places, -1)
            body[:, 3:] = items.reshape(count, -1)
        rows[:, -1] = np.bitwise_xor.reduce(rows[:, :-1], axis=1)
        plain = rows.tobytes()
        return [b"\x7e" + escape(plain[at : at + width]) + b"\x7e" for at in range(0, len(plain), width)]

    def _positions(self, first: int, count: int) -> Bytes:
        seconds = self._start_s + (first + np.arange(count, dtype=np.int64)) * self._step_s
        angle = (DEFAULT_SPEED_KMH / 3.6 / DEFAULT_RADIUS_M * seconds + self._phase) % math.tau
        scale = 600_000 if self._taxi else 1_000_000
        narrow = math.cos(math.radians(self._place[0]))
        made = np.zeros(count, self._form)
        made["status"] = self._status
        made["lat"] = np.rint((self._place[0] + DEFAULT_RADIUS_M / _METRES_PER_DEGREE * np.cos(angle)) * scale)
        made["lon"] = np.rint(
            (self._place[1] + DEFAULT_RADIUS_M / (_METRES_PER_DEGREE * narrow) * np.sin(angle)) * scale
        )
        heading = (np.degrees(angle) + 90.0).astype(np.int64) % 360
        made["heading"] = heading // 2 if self._taxi else heading
        made["speed"] = round(DEFAULT_SPEED_KMH * 10)
        made["time"] = bcd_times(seconds)
        for name in (self._form.names or ())[len((_PLACE_905 if self._taxi else _PLACE_808).names or ()) :]:
            made[name] = seconds // 10 % _MOST_MILEAGE if name == "mileage" else _ITEM_VALUES[name]
        return made.view(np.uint8).reshape(count, -1)
