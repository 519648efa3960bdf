"""`lucheng ingest` where no service runs: the same log, pipeline and store, under the writer lock, in one thread."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from lucheng.app import pipeline
from lucheng.ingesting import DirectSink, FileTotals, Progress, ingest_file
from lucheng.limits import clean_limits, rule_limits, runner_limits
from lucheng.rooms import Rooms, open_rooms, operating_system_user
from lucheng.runner import Runner
from lucheng.steps import Steps

if TYPE_CHECKING:
    from config.sections import Settings


def offline_runner(rooms: Rooms) -> Runner:
    """A runner over an open data folder that runs only when it is told to; recovered."""
    directory = rooms.directory

    def device_ids() -> list[str]:
        rooms.registry.refresh(directory)
        return directory.ids

    steps = Steps(
        clean_limits(rooms.settings),
        rooms.series,
        rooms.desk,
        device_ids,
        rooms.clock,
        rules=rule_limits(rooms.settings),
        load_fences=rooms.fences.load,
        kinds=lambda: directory.kind_of_slot,
        slots_of=lambda devices: rooms.nearby.slots_of(devices),  # noqa: PLW0108 made only when a fence names devices
    )
    runner = Runner(
        pipeline(steps),
        steps,
        rooms.points_log,
        rooms.series,
        rooms.clock,
        limits=runner_limits(rooms.settings),
    )
    runner.recover()
    return runner


def ingest_offline(
    data_dir: Path,
    settings: Settings,
    file: Path,
    file_format: str,
    *,
    day: date | None = None,
    progress: Progress | None = None,
) -> FileTotals:
    """Take a file in; see `lucheng.ingesting.ingest_file`. Work that an earlier stop left in the log comes first."""
    with open_rooms(data_dir, settings, write=True) as rooms:
        rooms.audit.append(
            operating_system_user(),
            "cli",
            "ingest.file",
            file.name[:200],
            "",
            {"via": "process", "format": file_format},
        )
        runner = offline_runner(rooms)
        while runner.run_once():
            pass
        try:
            return ingest_file(
                file,
                file_format,
                sink=DirectSink(rooms.points_log, runner),
                runner=runner,
                slots_of=rooms.registry.ensure,
                settings=settings,
                clock=rooms.clock,
                day=day,
                progress=progress,
            )
        finally:
            runner.snapshot()
