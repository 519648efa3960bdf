"""Sightings by tag readers to points of the tag's device: `{ts, tag, rssi_dbm}`.

Purpose: an e-bike whose tag a reader hears leaves a coarse track: the reader's place, `acc_m` how far off it may be
(`model.sighting`), flag SIGHTED so that nobody takes it for a fix. Invariants: one message is one point or one
quarantine entry; nothing that comes from outside raises. `tag` is a device id, or the name of an e-bike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from ingest.decode.limits import BAD_PAYLOAD, TEXT_CHARS, judge
from ingest.decode.points import Bad
from model.batch import PointBatch
from model.codes import Flag, Reason
from model.sighting import sighting_uncertainty_m

if TYPE_CHECKING:
    from ingest.decode.topics import DirectoryView

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
PlaceOf = Callable[[int], tuple[float, float] | None]


class SightingMessage(msgspec.Struct, gc=False):
    """A sighting as it comes."""

    ts: _Int64
    tag: str
    rssi_dbm: float | None = None


_DECODE = msgspec.json.Decoder(SightingMessage).decode


def decode_sightings(
    messages: Sequence[tuple[str, int, bytes]], directory: DirectoryView, place_of: PlaceOf, received_ms: int
) -> tuple[PointBatch, list[Bad]]:
    """Points of what was seen, in order, and what could not be trusted.

    Args:
        messages: (reader's id, its slot, payload).
        directory: who is registered.
        place_of: place of a reader by its slot.
        received_ms: our clock, UTC ms.
    """
    rows: list[tuple[int, int, float, float, float]] = []
    bad: list[Bad] = []
    for index, (_, reader_slot, payload) in enumerate(messages):
        found = _one(reader_slot, payload, directory, place_of)
        if isinstance(found[0], Reason):
            bad.append(Bad(index, found[0], 1, str(found[1])[:TEXT_CHARS], payload))
        else:
            rows.append(found)  # type: ignore[arg-type] # the other form begins with a Reason
    slot, time_ms, lat, lon, rssi = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    columns = {
        "slot": np.array(slot, np.int32),
        "time_ms": np.array(time_ms, np.int64),
        "received_ms": received_ms,
        "lat": np.array(lat, np.float64),
        "lon": np.array(lon, np.float64),
        "acc_m": sighting_uncertainty_m(np.array(rssi, np.float64)).astype(np.float32),
        "flags": int(Flag.SIGHTED),
    }
    return PointBatch.of(len(rows), columns), bad


def _one(
    reader_slot: int, payload: bytes, directory: DirectoryView, place_of: PlaceOf
) -> tuple[int, int, float, float, float] | tuple[Reason, str]:
    try:
        payload.decode()
        said = _DECODE(payload)
    except BAD_PAYLOAD as error:
        return judge(error)
    place = place_of(reader_slot)
    if place is None:
        return Reason.MISSING_FIELD, "The reader has no place in the registry: give it one"
    device = said.tag if "/" in said.tag else f"ebike/{said.tag}"
    slot = directory.slot_of.get(device)
    if slot is None:
        if device in directory.disabled:
            return Reason.DISABLED_DEVICE, f"{device[:80]} is disabled"
        return Reason.UNKNOWN_DEVICE, f"No device {device[:80]!r} is registered"
    rssi = said.rssi_dbm if said.rssi_dbm is not None else np.nan
    return slot, said.ts, place[0], place[1], rssi
