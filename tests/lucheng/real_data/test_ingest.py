"""`lucheng ingest` of the real files: every row accounted for, against a count by pandas; twice stores nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lucheng import in_process, service_process
from tests.lucheng.real_data import answers
from tests.lucheng.real_data.real import CABSPOTTING, FILES, SHENZHEN, Real, judged, read


@pytest.mark.parametrize(
    "real",
    [pytest.param(real, marks=[pytest.mark.soak] if real is CABSPOTTING else []) for real in FILES],
    ids=lambda real: real.name,
)
def test_a_real_file_goes_in_to_the_row(real: Real, taxi_data: Path, tmp_path: Path) -> None:
    path, data = taxi_data / real.file, tmp_path / "data"
    frame = judged(read(real, path))
    assert (len(frame), frame["device"].nunique()) == (real.rows, real.devices)
    if real is SHENZHEN:
        assert (int(frame["same_time"].sum()), int(frame["jump"].sum())) == (real.repeated_seconds, real.jumps)
    if real is CABSPOTTING:
        assert 0.005 < frame["jump"].sum() / len(frame) < 0.01

    answers.check_totals(service_process.answer(data, "ingest", *real.command(path)), frame)
    answers.check_totals(service_process.answer(data, "ingest", *real.command(path)), frame, again=True)
    answers.check_status(in_process.answer(data, "status"), frame, times=2)

    answers.check_every_track(data, frame)
    devices = frame.groupby("device").size().sort_values().index
    answers.check_tracks(data, frame, [devices[-1], devices[len(devices) // 2]][: real.devices])
    answers.check_where(data, frame)
    assert in_process.answer(data, "store", "check") == {"ok": True, "problems": []}
