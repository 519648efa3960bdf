"""How cameras are, told by the machines that have them and kept by every desk: what is shown of them, and what nobody watches.

Invariants: a row that changed its state is told at once, every row within `ALL_EVERY_S`; a row that was not told for `STALE_S`
counts for nothing: such a camera is offline, because nobody watches it. Rows are for showing; signals and alarms go their own way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from console.camera_seams import CameraRow
from model.camera import CameraState

if TYPE_CHECKING:
    from lucheng.video.sharing.known import KnownCameras
    from model.clock import Clock

TELL_EVERY_S = 1.0
ALL_EVERY_S = 10
STALE_S = 25.0
#: Rows in one message.
MAX_ROWS = 1_000
#: What stands as the loss of a camera that no machine has.
UNWATCHED, UNWATCHED_WHY = "no_machine", "no video machine watches it"

_encoder = msgspec.msgpack.Encoder()


class Told(msgspec.Struct, frozen=True):
    """Rows of one machine."""

    machine: str
    rows: list[CameraRow]


_decoder = msgspec.msgpack.Decoder(Told)


class RowTeller:
    """What a machine tells, second by second. One thread.

    Args:
        machine: its name.
    """

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._states: dict[str, CameraState] = {}
        self._second = 0

    def next(self, rows: Mapping[str, CameraRow]) -> list[bytes]:
        """The messages of this second."""
        turn, self._second = self._second % ALL_EVERY_S, self._second + 1
        due = [
            row
            for number, (device, row) in enumerate(rows.items())
            if number % ALL_EVERY_S == turn or self._states.get(device) is not row.state
        ]
        self._states = {device: row.state for device, row in rows.items()}
        return [_encoder.encode(Told(self._machine, due[at : at + MAX_ROWS])) for at in range(0, len(due), MAX_ROWS)]


class FarRows:
    """What a desk knows. Any thread.

    Args:
        known: the cameras of the registry.
        clock: source of time.
    """

    def __init__(self, known: KnownCameras, clock: Clock) -> None:
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[float, CameraRow]] = {}
        #: Since when a camera was not told of: monotonic, and UTC ms.
        self._unwatched: dict[str, tuple[float, int]] = {}

    def take(self, subject: str, said: bytes) -> bytes | None:
        """A machine has told; on the link's loop."""
        del subject
        try:
            told = _decoder.decode(said)
        except msgspec.MsgspecError:
            return None
        now_s = self._clock.monotonic_s()
        with self._lock:
            for row in told.rows:
                self._rows[row.device] = (now_s, replace(row, machine=told.machine))
        return None

    def states(self) -> dict[str, CameraRow]:
        """How each enabled camera is now, as far as this desk was told."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        known = self._known.now()
        found: dict[str, CameraRow] = {}
        with self._lock:
            for device in self._rows.keys() - known.setups.keys():
                del self._rows[device]
            for device in self._unwatched.keys() - known.setups.keys():
                del self._unwatched[device]
            for device in known.setups:
                told = self._rows.get(device)
                if told is not None and now_s - told[0] < STALE_S:
                    self._unwatched.pop(device, None)
                    age_s = told[1].media_age_s + now_s - told[0]
                    found[device] = replace(told[1], media_age_s=age_s)
                else:
                    since = self._unwatched.setdefault(device, (now_s, now_ms))
                    state = CameraState.PARKED if device in known.parked else CameraState.OFFLINE
                    found[device] = CameraRow(device, state, since[1], loss=UNWATCHED, detail=UNWATCHED_WHY)
        return found

    def unwatched(self, for_s: float) -> list[str]:
        """Cameras that nobody has told of for so long beyond `STALE_S`."""
        now_s = self._clock.monotonic_s()
        self.states()
        parked = self._known.now().parked
        with self._lock:
            return [
                device
                for device, (since_s, _) in self._unwatched.items()
                if now_s - since_s >= for_s and device not in parked
            ]

    def codec_of(self, device: str) -> str:
        """Codec of a camera's stream, "" not known."""
        with self._lock:
            told = self._rows.get(device)
        return told[1].codec if told is not None else ""


class UnwatchedCameras:
    """Raises `offline` for cameras that no machine has; whoever has one at last ends that alarm. One thread.

    Args:
        rows: what is known.
        offline_after_s: as for cameras that somebody watches.
        raised: called with each such camera, once until it is watched again.
    """

    def __init__(self, rows: FarRows, offline_after_s: float, raised: Callable[[str], None]) -> None:
        self._rows = rows
        self._offline_after_s = offline_after_s
        self._raised = raised
        self._told: set[str] = set()

    def look(self) -> None:
        """To be called about once a second, by the desk that has the duty."""
        now: Iterable[str] = self._rows.unwatched(self._offline_after_s)
        found = set(now)
        for device in found - self._told:
            self._raised(device)
        self._told = found
