"""The real files through MQTT: `publish` ▸ a real mosquitto ▸ `run`; the same count, the same tracks as by `ingest`."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Mosquitto
from tests.lucheng.real_data import answers
from tests.lucheng.real_data.real import FILES, SHENZHEN, TDRIVE, Real, judged, read
from tests.lucheng.service_process import ServiceProcess, answer

HEAD_ROWS = 30_000
PUBLISH_KEYS = ["points", "acknowledged", "skipped", "devices", "seconds"]
#: Protects from hanging; a whole file is half a million messages on a busy machine.
QUIET_S = 900.0


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service that takes in every device, on a mosquitto of its own."""
    with ServiceProcess(tmp_path / "data", mosquitto.url, env={"LUCHENG_DEVICES__UNKNOWN": "register"}) as made:
        yield made.start()


def head_of(real: Real, taxi_data: Path, tmp_path: Path) -> Path:
    """The beginning of a file: its first rows, in its own order. The whole of it is for `make soak`."""
    path = taxi_data / real.file
    head = tmp_path / "head.csv"
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as whole, head.open("wb") as out:
        out.writelines(itertools.islice(whole, HEAD_ROWS + 1))
    return head


def publish(service: ServiceProcess, real: Real, path: Path, rows: int, devices: int) -> None:
    assert service.broker is not None
    done = answer(service.data, "publish", *real.command(path), "--broker", service.broker, "--speed", "0")
    assert list(done) == PUBLISH_KEYS
    print(f"{real.name}: {rows} points published in {done.pop('seconds')} s")
    assert done == {"points": rows, "acknowledged": rows, "skipped": 0, "devices": devices}


def settled(service: ServiceProcess, rows: int) -> dict[str, Any]:
    """The status once so many rows came and all of them are accounted for."""
    service.wait_status(lambda now: now["received"] >= rows, f"{rows} rows", timeout_s=QUIET_S)
    return service.wait_quiet(timeout_s=QUIET_S)


def goes_through(service: ServiceProcess, real: Real, path: Path) -> None:
    """Publish the file and hold everything against pandas."""
    frame = judged(read(real, path))
    # Devices send in the order of time; the files are in that order by device, so the verdicts are the same.
    assert not frame["late"].any()
    publish(service, real, path, len(frame), frame["device"].nunique())
    answers.check_status(settled(service, len(frame)), frame)
    assert service.status()["devices"] == {"taxi": frame["device"].nunique()}
    answers.check_every_track(service.data, frame)
    devices = frame.groupby("device").size().sort_values().index
    answers.check_tracks(service.data, frame, [devices[-1], devices[0]][: len(devices)])
    answers.check_where(service.data, frame)


@pytest.mark.soak
def test_a_real_file_goes_through_the_broker_to_the_row(
    taxi_data: Path, tmp_path: Path, service: ServiceProcess
) -> None:
    goes_through(service, SHENZHEN, head_of(SHENZHEN, taxi_data, tmp_path))


@pytest.mark.soak
def test_a_file_taken_in_by_the_service_and_then_played_is_stored_once(
    taxi_data: Path, service: ServiceProcess
) -> None:
    path, data = taxi_data / TDRIVE.file, service.data
    frame = judged(read(TDRIVE, path))
    answers.check_totals(answer(data, "ingest", *TDRIVE.command(path)), frame)
    answers.check_totals(answer(data, "ingest", *TDRIVE.command(path)), frame, again=True)
    publish(service, TDRIVE, path, len(frame), TDRIVE.devices)
    answers.check_status(settled(service, 3 * len(frame)), frame, times=3)
    answers.check_every_track(data, frame)
    audited = [row["target"] for row in answer(data, "audit", "list") if row["action"] == "ingest.file"]
    assert audited == [TDRIVE.file] * 2


@pytest.mark.soak
@pytest.mark.parametrize("real", FILES, ids=lambda real: real.name)
def test_the_whole_of_a_real_file_goes_through_the_broker(real: Real, taxi_data: Path, service: ServiceProcess) -> None:
    goes_through(service, real, taxi_data / real.file)
