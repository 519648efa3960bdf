"""`replay`: tracks played back true to time, on a terminal; as lines, as fast as they come, elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from console.client import Client
from lucheng.cli import output
from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import reading
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Purpose, Times
from lucheng.cli.replay_lines import Line, event_lines, frame_lines, merged, point_lines
from lucheng.cli.texts import text
from lucheng.cli.times import parse_time
from model.clock import Clock, SystemClock
from model.device import check_device_id

DEFAULT_RATE = 16.0
#: Of all devices there are frames alone, as often.
DEFAULT_STEP_S = 60.0


def replay(
    context: typer.Context,
    *,
    devices: Annotated[list[str] | None, typer.Argument(help=text("replay.devices"), metavar="[DEVICE]...")] = None,
    start: Annotated[str, typer.Option("--from", help=text("opt.from"), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=text("opt.to"), metavar="TIME")],
    kind: Annotated[str, typer.Option("--kind", help=text("replay.kind"), metavar="KIND")] = "",
    rate: Annotated[float, typer.Option("--rate", help=text("replay.rate"))] = DEFAULT_RATE,
    step_s: Annotated[float | None, typer.Option("--step", help=text("replay.step"), min=0.1, max=86_400.0)] = None,
    cameras: Annotated[bool, typer.Option("--cameras/--no-cameras", help=text("replay.cameras"))] = True,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Annotated[bool, typer.Option("--json", help=text("replay.json"))] = False,
) -> None:
    from analytics.replay.clock import checked_rate  # noqa: PLC0415 used by this alone

    for device in devices or []:
        check_device_id(device)
    checked_rate(rate)
    with reading(place(context)) as client:
        times = Times(client)
        found = client.call(
            "replay",
            from_ms=times.read(start),
            to_ms=times.read(end),
            devices=devices or None,
            kind=kind,
            points=as_json,
            cameras=cameras,
            purpose=purpose,
            approval=approval,
        )
        if as_json:
            for line in _lines(client, found, step_s):
                output.as_json(line)
        elif sys.stdout.isatty():
            _play(client, found, times.zone, rate, SystemClock())
        else:
            _print(client, found, times.zone, step_s)


def _lines(client: Client, found: dict[str, Any], step_s: float | None) -> Iterator[Line]:
    """Everything in order; frames where they were asked for, or where there is nothing else."""
    if found["tracks"] is None:
        return merged(frame_lines(client, found["replay"], _step_ms(step_s)))
    sources: list[Any] = [point_lines(found["tracks"]), event_lines(found["tracks"], found["events"])]
    if step_s is not None:
        sources.append(frame_lines(client, found["replay"], _step_ms(step_s)))
    return merged(*sources)


def _step_ms(step_s: float | None) -> int:
    return round((DEFAULT_STEP_S if step_s is None else step_s) * 1_000)


def _print(client: Client, found: dict[str, Any], zone: str, step_s: float | None) -> None:
    """Lines for people who are no terminal: what happened, or how many had a place."""
    from lucheng.cli.replay_screen import event_text  # noqa: PLC0415 rich costs 0.1 s
    from lucheng.cli.times import local_text  # noqa: PLC0415 as above

    for line in _lines(client, found, step_s):
        if line["what"] == "frame":
            placed = text("replay.placed", placed=len(line["of"]["device"]), vehicles=found["vehicles"])
            typer.echo(f"{local_text(line['time'], zone)[:-4]}  {placed}")
        else:
            typer.echo(event_text(line, zone))
    _say_what_is_left_out(found)


def _play(client: Client, found: dict[str, Any], zone: str, rate: float, clock: Clock) -> None:
    from analytics.replay.clock import MediaClock  # noqa: PLC0415 what follows costs 0.2 s
    from lucheng.cli.replay_playing import Frames, Keys, play  # noqa: PLC0415 as above
    from lucheng.cli.replay_screen import Screen  # noqa: PLC0415 as above

    window = parse_time(found["from"], "UTC"), parse_time(found["to"], "UTC")
    tracks = found["tracks"]
    events = [] if tracks is None else event_lines(tracks, found["events"])
    lines = [(piece["lat"], piece["lon"]) for track in tracks or () for piece in track["line"]]
    screen = Screen(
        [track["device"] for track in tracks or ()],
        found["vehicles"],
        zone,
        None if tracks is None else lines,
    )
    media = MediaClock(*window, now_s=clock.monotonic_s(), rate=rate, playing=True)
    with Frames(client, found["replay"]) as frames, Keys() as keys, screen:
        times_ms = [parse_time(line["time"], "UTC") for line in events]
        play(clock, media, window, frames, events, times_ms, keys, screen.show)
    _say_what_is_left_out(found)


def _say_what_is_left_out(found: dict[str, Any]) -> None:
    for track in found["tracks"] or ():
        if track["left_out"]:
            typer.echo(text("replay.left_out", device=track["device"], what=", ".join(track["left_out"])), err=True)
