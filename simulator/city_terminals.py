"""Taxis of a city whose terminals speak JT/T 808 and JT/T 905 to a gateway, in place of MQTT.

Purpose: let a demo's city come in by both ways at once. Invariants: a row of such a taxi goes to its terminal and to nobody
else, in order; what a terminal was not answered it sends again, after a break of its connection too; a taxi whose terminal
the platform does not let in goes on by MQTT. One thread drives; each terminal has its own that listens and obeys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from model.batch import PointBatch
from model.clock import Clock
from model.codes import Flag
from model.errors import TryAgain
from simulator.terminal import jt
from simulator.terminal.fix import Fix
from simulator.terminal.identity import Identity
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol

#: Places of one blind-zone message: what fits into one frame.
MAX_BATCH_PLACES = 25
#: How often each terminal's thread looks whether something has to be sent again: seldom, for there are many of them.
POLL_MS = 250
#: A full load: what 808 says of a taxi with a fare.
_LOADED_808 = 0b11 << 8
_PROTOCOLS = (Protocol.JT808, Protocol.JT905, Protocol.JT808_2019)
_DRAIN_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class TaxiTerminal:
    """Who a taxi's terminal is: what a registry has to know of it.

    Attributes:
        device: id of the taxi.
        protocol: what it speaks.
        number, plate: of its terminal and of the taxi.
    """

    device: str
    protocol: Protocol
    number: str
    plate: str

    @property
    def registered_as(self) -> str:
        """The protocol as a registry names it."""
        return self.protocol.value.partition("-")[0]


def terminals_of(devices: Sequence[str]) -> list[TaxiTerminal]:
    """A terminal for each of these taxis: JT/T 808 of 2013 and 2019 and JT/T 905 in turn. Numbers are made up."""
    made = []
    for at, device in enumerate(devices, start=1):
        protocol = _PROTOCOLS[at % len(_PROTOCOLS)]
        number = f"10{at:010d}" if protocol is Protocol.JT905 else f"138{at:08d}"
        made.append(TaxiTerminal(device, protocol, number, f"蒙BT{at:04d}"))
    return made


class _Driven(Terminal):
    """A terminal that is where its taxi was last."""

    last: Fix | None = None

    def fix_now(self) -> Fix:
        if self.last is None:
            return super().fix_now()
        return self._with_state(replace(self.last, time_ms=self.clock.now_ms() // 1000 * 1000))

    def status_of(self, *, occupied: bool) -> int:
        loaded = jt.HIRED_905 if self.protocol is Protocol.JT905 else _LOADED_808
        return jt.default_status(self.protocol) | self.ordered | (loaded if occupied else 0)


class CityTerminals:
    """The terminals of some taxis; a context manager, that ends their connections.

    Args:
        host, port: of the gateway.
        taxis: whose terminals they are.
        ids: device ids of the city, in its order: what the slots of its rows mean.
        clock: of the terminals.

    Attributes:
        places: sent by terminals.
        turned_away: taxis whose terminal was not let in.
    """

    def __init__(self, host: str, port: int, taxis: Sequence[TaxiTerminal], ids: Sequence[str], clock: Clock) -> None:
        slots = {device: slot for slot, device in enumerate(ids)}
        self._clock = clock
        self._taxis = {slots[one.device]: one for one in taxis}
        self._terminals = {slot: self._made(host, port, one) for slot, one in self._taxis.items()}
        self._mine = np.zeros(len(ids), np.bool_)
        self.places = 0
        self.turned_away: list[str] = []

    def _made(self, host: str, port: int, taxi: TaxiTerminal) -> _Driven:
        identity = Identity(plate=taxi.plate, terminal_id=taxi.number[-7:])
        terminal = _Driven(host, port, protocol=taxi.protocol, number=taxi.number, identity=identity, clock=self._clock)
        terminal.link.poll_ms = POLL_MS
        return terminal

    def come_online(self) -> None:
        """Register and authenticate all of them. One that is not let in keeps silent; its taxi's rows are not taken."""
        for slot, terminal in self._terminals.items():
            try:
                terminal.come_online()
            except TryAgain:
                terminal.close()
                self.turned_away.append(self._taxis[slot].device)
            else:
                self._mine[slot] = True

    def __len__(self) -> int:
        """How many were let in."""
        return int(self._mine.sum())

    def take(self, batch: PointBatch) -> PointBatch:
        """Send the rows of these taxis; returns the others. Raises TryAgain when the gateway is gone."""
        mine = self._mine[batch.slot]
        if not mine.any():
            return batch
        rows = np.flatnonzero(mine)
        slots = batch.slot[rows]
        for slot in np.unique(slots).tolist():
            self._send(self._terminals[slot], batch.take(rows[slots == slot]))
        return batch.take(np.flatnonzero(~mine))

    def _send(self, terminal: _Driven, rows: PointBatch) -> None:
        """Places now as they are; buffered ones in batches, as from a blind zone."""
        fixes = [
            Fix(time_ms, lat, lon, speed_kmh, int(heading_deg), status=terminal.status_of(occupied=occupied))
            for time_ms, lat, lon, speed_kmh, heading_deg, occupied in zip(
                rows.time_ms.tolist(),
                rows.lat.tolist(),
                rows.lon.tolist(),
                rows.speed_kmh.tolist(),
                rows.heading_deg.tolist(),
                ((rows.flags & Flag.OCCUPIED) != 0).tolist(),
                strict=True,
            )
        ]
        terminal.last = fixes[-1]
        size = MAX_BATCH_PLACES if rows.flags[0] & Flag.BUFFERED else 1
        for at in range(0, len(fixes), size):
            with _unbroken(terminal):
                some = fixes[at : at + size]
                terminal.send_positions(some) if size == 1 else terminal.send_batch(some)
        self.places += len(fixes)

    def press_sos(self) -> str:
        """The driver of the first taxi that has told its place presses the button; its id, "" when there is none."""
        for slot, terminal in self._terminals.items():
            if self._mine[slot] and terminal.last is not None:
                now_ms = max(self._clock.now_ms() // 1000 * 1000, terminal.last.time_ms + 1000)
                with _unbroken(terminal):
                    terminal.press_sos(replace(terminal.last, time_ms=now_ms))
                self.places += 1
                return self._taxis[slot].device
        return ""

    def drain(self, timeout_s: float) -> bool:
        """Wait until the platform has answered everything; whether it has."""
        until_s = self._clock.monotonic_s() + timeout_s
        while any(terminal.busy for terminal in self._terminals.values()):
            if self._clock.monotonic_s() >= until_s:
                return False
            self._clock.sleep(_DRAIN_POLL_S)
        return True

    def close(self) -> None:
        """End the connections."""
        for terminal in self._terminals.values():
            terminal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _unbroken(terminal: Terminal) -> Iterator[None]:
    """When the connection breaks under what is sent inside: come back, and send again what was never answered, this too.

    Raises TryAgain when it cannot come back.
    """
    try:
        yield
    except TryAgain:
        terminal.reconnect()
