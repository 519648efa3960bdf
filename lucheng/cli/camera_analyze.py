"""`camera analyze` and `camera bench`: a file looked at as a camera would be, and what this machine can watch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.camera_commands import MAX_SETTINGS_FILE_BYTES, SettingsFile
from lucheng.cli.choose import settings_of
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text
from model.errors import BadInput

if TYPE_CHECKING:
    from model.camera import CameraSettings

VideoFile = Annotated[Path, typer.Argument(help=text("camera.file"), metavar="FILE")]


def camera_analyze(
    context: typer.Context,
    *,
    file: VideoFile,
    settings_file: SettingsFile = None,
    keyframes: Annotated[bool, typer.Option("--keyframes", help=text("camera.keyframes"))] = False,
    as_json: Json = False,
) -> None:
    """Every decoded picture gives a row with `--json`; else only what changes is printed, and the summary."""
    from ingest.video.lost import StreamLost  # noqa: PLC0415 PyAV and OpenCV cost 0.3 s
    from lucheng.video.analyzing import Analyzer  # noqa: PLC0415
    from lucheng.video.detectors import open_detector  # noqa: PLC0415
    from model.clock import SystemClock  # noqa: PLC0415

    detect = settings_of(place(context)).detect
    analyzer = Analyzer(
        _file(file),
        _settings(settings_file),
        SystemClock(),
        detector=open_detector(detect),
        min_score=detect.min_score,
        keyframes=keyframes,
    )
    before: tuple[Any, ...] = ()
    try:
        for row in analyzer.rows():
            if as_json:
                output.as_json(row)
                continue
            now = row["motion"], row["health"], sorted({one["kind"] for one in row["objects"]})
            if now != before:
                before = now
                typer.echo(_line(row))
    except StreamLost as error:
        raise BadInput(f"{file} is no video that can be read: {error.detail}.", mend="Name a video file.") from error
    summary = analyzer.summary.as_json()
    if as_json:
        output.as_json(summary)
    else:
        for key, value in summary.items():
            if key != "summary":
                typer.echo(f"{key}\t{output.cell(value)}")


def camera_bench(
    context: typer.Context,
    *,
    file: Annotated[Path | None, typer.Argument(help=text("camera.bench_file"), metavar="[FILE]")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, max=60, help=text("camera.bench_seconds"))] = 2.0,
    as_json: Json = False,
) -> None:
    from ingest.video.lost import StreamLost  # noqa: PLC0415 as above
    from lucheng.video.benching import measure  # noqa: PLC0415
    from model.clock import SystemClock  # noqa: PLC0415

    del context
    try:
        found = measure(_file(file) if file is not None else None, SystemClock(), measure_s=seconds).as_json()
    except StreamLost as error:
        raise BadInput(f"{file} is no video that can be read: {error.detail}.", mend="Name a video file.") from error
    if as_json:
        output.as_json(found)
        return
    for key, value in found.items():
        typer.echo(f"{key}\t{output.cell(value)}")


def _file(path: Path) -> Path:
    from ingest.video.address import FILE_FORMATS  # noqa: PLC0415 as above

    if not path.is_file():
        raise BadInput(f"There is no file {path}.", mend="Name a video file.")
    if path.suffix.lower() not in FILE_FORMATS:
        known = ", ".join(sorted(FILE_FORMATS))
        raise BadInput(f"{path} is no video file by its name.", mend=f"Name a file that ends in {known}.")
    return path


def _settings(file: Path | None) -> CameraSettings:
    from devices.camera_checks import read_settings  # noqa: PLC0415 shapely costs 0.2 s

    if file is None:
        return read_settings({})
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_SETTINGS_FILE_BYTES + 1)
        if len(raw) > MAX_SETTINGS_FILE_BYTES:
            raise BadInput(f"{file} is larger than {MAX_SETTINGS_FILE_BYTES} bytes.", mend="Name a settings file.")
        return read_settings(tomllib.loads(raw.decode()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"{file} cannot be read: {error}.", mend="Write key = value, [[zones]] for each zone."
        ) from error


def _line(row: dict[str, Any]) -> str:
    """`12.40 s  motion 318 px  covered  car person`."""
    parts = [f"{row['pts_s']:.2f} s", f"motion {row['motion_px']} px" if row["motion"] else "still", *row["health"]]
    kinds = [one["kind"] for one in row["objects"]]
    parts += [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    return "\t".join(parts)
