"""Every payload of `golden/` decodes to what stands beside it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ingest.decode.decoder import Decoder
from ingest.mqtt.messages import Messages
from model.batch import PointBatch
from model.codes import Flag, alarm_names

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
RECEIVED_MS = 1_760_000_000_500


def shown(batch: PointBatch, row: int, ids: list[str]) -> dict[str, Any]:
    """One row as the golden files write it: null for not sent, names for bits."""

    def number(name: str) -> float | None:
        value = float(batch.column(name)[row])
        return None if math.isnan(value) else value

    floats = ("lat", "lon", "speed_kmh", "heading_deg", "alt_m", "acc_m")
    extra = batch.extra.get(row)
    return {
        "device": ids[batch.slot[row]],
        **{name: number(name) for name in floats},
        **{name: int(batch.column(name)[row]) for name in ("time_ms", "seq", "sat", "battery_pct")},
        "flags": [flag.name for flag in Flag if batch.flags[row] & flag],
        "alarms": alarm_names(int(batch.alarm_bits[row])),
        "extra": None if extra is None else json.loads(extra),
    }


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) > 50


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path, decoder: Decoder, directory: Any) -> None:
    case = json.loads(path.read_text())
    expect = case["expect"]
    neighbour = b'{"ts":77,"lat":3,"lon":4}'
    items = [(case["topic"], case["payload"].encode())]
    decoded = decoder.decode(Messages.of(items, retain=case["retain"]), RECEIVED_MS)
    for got, wanted in zip(
        [shown(decoded.batch, row, directory.ids) for row in range(len(decoded.batch))], expect["points"], strict=True
    ):
        assert {**got, "flags": sorted(got["flags"])} == {**wanted, "flags": sorted(wanted["flags"])}
    assert set(decoded.batch.received_ms.tolist()) <= {RECEIVED_MS}
    assert len(decoded.quarantined) == len(expect["quarantined"]), decoded.quarantined
    for entry, (reason, rows, detail) in zip(decoded.quarantined, expect["quarantined"], strict=True):
        assert (entry.reason.name, entry.rows, entry.source) == (reason, rows, case["topic"])
        assert detail in entry.detail
        assert entry.raw in case["payload"].encode()
    for signal, wanted in zip(decoded.signals, expect["signals"], strict=True):
        assert asdict(signal) == asdict(signal) | wanted
        assert signal.received_ms == RECEIVED_MS
        assert signal.log_position == 0
    assert [asdict(status) for status in decoded.statuses] == expect["statuses"]
    assert decoded.urgent is expect["urgent"]

    # the same between two neighbours: it costs them nothing
    around = Messages.of([("lucheng/v1/taxi/2/up/point", neighbour), *items, ("lucheng/v1/taxi/2/up/point", neighbour)])
    around.heads[1] |= 1 if case["retain"] else 0
    batch = decoder.decode(around, RECEIVED_MS).batch
    assert batch.time_ms[batch.slot == 1].tolist() == [77, 77]
    assert len(batch) == len(expect["points"]) + 2
