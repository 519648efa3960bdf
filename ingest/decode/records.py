"""28-byte records of gateways to columns.

Purpose: payloads of many fixed little-endian records, all messages of a batch at once, without a Python
step per record. Invariants: a record counts only for a device bound to the gateway that sent it; a payload
of another length touches no other. Values are not judged.

Format (mqtt.md): `id u4, ts i8, lon i4, lat i4 (1e-6°), speed u2 (0.1 km/h), heading u2 (0.1°), alt i2 (m),
status u1, sat u1`. Status bits: 0 valid, 1 ignition, 2 occupied, 3 armed, 4 buffered, 5 sos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ingest.decode.points import Bad
from ingest.decode.topics import DirectoryView
from model.batch import PointBatch
from model.codes import ALARM_BY_NAME, Flag, Reason

RECORD = np.dtype(
    [
        ("id", "<u4"),
        ("ts", "<i8"),
        ("lon", "<i4"),
        ("lat", "<i4"),
        ("speed", "<u2"),
        ("heading", "<u2"),
        ("alt", "<i2"),
        ("status", "u1"),
        ("sat", "u1"),
    ]
)
RECORD_BYTES = 28
assert RECORD.itemsize == RECORD_BYTES

#: What a record's status always says, as "sent".
_SENT = Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT | Flag.ARMED_SENT
_STATUS_FLAGS = (Flag.VALID, Flag.IGNITION, Flag.OCCUPIED, Flag.ARMED, Flag.BUFFERED)
_FLAG_OF_STATUS = np.array(
    [
        int(_SENT) | sum(int(flag) for bit, flag in enumerate(_STATUS_FLAGS) if status >> bit & 1)
        for status in range(256)
    ],
    np.uint16,
)
_SOS_BIT = 5
_ALARMS_OF_STATUS = np.array([(status >> _SOS_BIT & 1) << ALARM_BY_NAME["sos"].bit for status in range(256)], np.uint64)


def decode_records(
    gateways: Sequence[int], payloads: Sequence[bytes], directory: DirectoryView, received_ms: int
) -> tuple[PointBatch, list[Bad]]:
    """Columns of all records, and what could not be trusted. Never raises.

    Args:
        gateways: slot of the gateway that sent each payload.
        payloads: whole records each.
        directory: which device is bound to which gateway.
        received_ms: receive time of all of them, UTC ms.
    """
    bad: list[Bad] = []
    good = [index for index, payload in enumerate(payloads) if payload and len(payload) % RECORD_BYTES == 0]
    if len(good) != len(payloads):
        kept = set(good)
        for index, payload in enumerate(payloads):
            if index not in kept:
                detail = f"{len(payload)} bytes are not a whole number of {RECORD_BYTES}-byte records"
                bad.append(Bad(index, Reason.BAD_RECORD_LENGTH, 1, detail, payload))
    records = np.frombuffer(b"".join([payloads[index] for index in good]), RECORD)
    if not len(records):
        return PointBatch.empty(), bad
    counts = np.array([len(payloads[index]) // RECORD_BYTES for index in good])
    gateway = np.repeat(np.array([gateways[index] for index in good], np.int32), counts)
    slot, refused = _slots(records, gateway, directory)
    if refused.any():
        bad += _refusals(records, refused, np.repeat(np.array(good), counts))
        accepted = refused == 0
        records, slot = records[accepted], slot[accepted]
    return _columns(records, slot, received_ms), bad


def _slots(
    records: npt.NDArray[np.void], gateway: npt.NDArray[np.int32], directory: DirectoryView
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Slot of each record, and the reason to refuse it (0: none)."""
    enabled, bound = directory.enabled, directory.gateway_of_slot
    known = min(len(enabled), len(bound))
    slot = records["id"].astype(np.int64) - 1
    inside = (slot >= 0) & (slot < known)
    refused = np.zeros(len(records), np.uint8)
    if not inside.all():
        slot[~inside] = 0
        refused[~inside] = Reason.IDENTITY_MISMATCH
    if known:
        refused[(refused == 0) & (bound[slot] != gateway)] = Reason.IDENTITY_MISMATCH
        refused[(refused == 0) & ~enabled[slot]] = Reason.DISABLED_DEVICE
    return slot.astype(np.int32), refused


def _refusals(
    records: npt.NDArray[np.void], refused: npt.NDArray[np.uint8], message: npt.NDArray[np.int64]
) -> list[Bad]:
    """One entry per message and reason, with the number of records and their bytes."""
    bad = []
    for reason, words in (
        (Reason.IDENTITY_MISMATCH, "not bound to this gateway"),
        (Reason.DISABLED_DEVICE, "disabled"),
    ):
        rows = np.flatnonzero(refused == reason)
        for index in np.unique(message[rows]).tolist():
            mine = rows[message[rows] == index]
            numbers = ", ".join(map(str, np.unique(records["id"][mine])[:5].tolist()))
            detail = f"{len(mine)} records of devices that are {words}, numbers {numbers}"
            bad.append(Bad(index, reason, len(mine), detail, records[mine].tobytes()))
    return bad


def _columns(records: npt.NDArray[np.void], slot: npt.NDArray[np.int32], received_ms: int) -> PointBatch:
    count = len(records)
    status = records["status"]
    missing = np.full(count, np.nan, "<f4")
    return PointBatch(
        slot=slot,
        time_ms=records["ts"].astype("<i8"),
        received_ms=np.full(count, received_ms, "<i8"),
        seq=np.full(count, -1, "<i8"),
        lat=records["lat"] / 1e6,
        lon=records["lon"] / 1e6,
        speed_kmh=(records["speed"] / 10).astype("<f4"),
        heading_deg=(records["heading"] / 10).astype("<f4"),
        alt_m=records["alt"].astype("<f4"),
        acc_m=missing,
        sat=records["sat"].astype("<i2"),
        battery_pct=np.full(count, -1, "<i2"),
        flags=_FLAG_OF_STATUS[status],
        alarm_bits=_ALARMS_OF_STATUS[status],
        marks=np.zeros(count, "<u2"),
    )
