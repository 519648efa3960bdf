"""Names of our own csv: whole ids, and bare names of taxis, in one file."""

from __future__ import annotations

from pathlib import Path

from ingest.files import open_file
from model.clock import FakeClock


def test_a_bare_name_is_a_taxis_and_the_same_device_as_its_whole_id(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    names = ["9", "taxi/9", "ebike/E1", "9", "B.1", "taxi/9", "bus/1", "../x", "taxi/"]
    rows = [f"{name},{1_760_000_000_000 + k},40.65,109.84" for k, name in enumerate(names)]
    path.write_text("device,time,lat,lon\n" + "\n".join(rows) + "\n")
    devices: list[str] = []
    refused = 0
    with open_file(path, "csv", time_zone="Asia/Shanghai", clock=FakeClock()) as reader:
        for batch in reader:
            devices += [batch.devices[index] for index in batch.device_index.tolist()]
            refused += len(batch.quarantined)
            assert len(set(batch.devices)) == len(batch.devices)
    assert devices == ["taxi/9", "taxi/9", "ebike/E1", "taxi/9", "taxi/B.1", "taxi/9"]
    assert refused == 3
