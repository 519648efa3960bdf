"""The command `lucheng`: every command in one list, in the groups of `--help`."""

from __future__ import annotations

from typing import Annotated

import typer

import lucheng.cli.account_commands as accounts
import lucheng.cli.alarm_commands as alarms
import lucheng.cli.approval_commands as approvals
import lucheng.cli.camera_analyze as analyzing
import lucheng.cli.camera_commands as cameras
import lucheng.cli.cluster_commands as clusters
import lucheng.cli.command_commands as commands
import lucheng.cli.decode_command as decoding
import lucheng.cli.desk_commands as seats
import lucheng.cli.device_commands as devices
import lucheng.cli.ebike_commands as ebikes
import lucheng.cli.evidence_commands as pieces
import lucheng.cli.export_commands as exports
import lucheng.cli.fence_commands as fences
import lucheng.cli.install_commands as installing
import lucheng.cli.keep_commands as keep
import lucheng.cli.read_commands as read
import lucheng.cli.replay_command as replaying
import lucheng.cli.report_commands as reports
import lucheng.cli.rule_commands as rules
import lucheng.cli.search_commands as searching
import lucheng.cli.service_commands as service
import lucheng.cli.simulate_command as simulating
import lucheng.cli.store_commands as storing
import lucheng.cli.terminal_commands as terminals
import lucheng.cli.trip_commands as trips
import lucheng.cli.unit_commands as units
from lucheng.cli.frame import Config, Data, command, group, place
from lucheng.cli.texts import text

app = group("app", name="lucheng", context_settings={"help_option_names": ["-h", "--help"]})


def _version(asked: bool) -> None:  # noqa: FBT001 Typer calls it with the flag
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 needed for this alone

        typer.echo(version("lucheng"))
        raise typer.Exit


@app.callback()
def lucheng(
    context: typer.Context,
    *,
    data: Data = None,
    config: Config = None,
    _show_version: Annotated[
        bool, typer.Option("--version", help=text("opt.version"), callback=_version, is_eager=True)
    ] = False,
) -> None:
    here = place(context)
    here.data, here.config = data, config


for name, function, panel in (
    ("run", service.run, "panel.service"),
    ("demo", service.demo, "panel.service"),
    ("ingest", service.ingest, "panel.service"),
    ("publish", service.publish, "panel.service"),
    ("track", read.track, "panel.read"),
    ("trips", trips.trips, "panel.read"),
    ("replay", replaying.replay, "panel.read"),
    ("where", read.where, "panel.read"),
    ("status", read.status, "panel.read"),
    ("doctor", service.doctor, "panel.keep"),
    ("decode", decoding.decode, "panel.keep"),
):
    app.command(name, help=text(name), rich_help_panel=text(panel))(command(function))

for name, sub, panel in (
    ("alarm", alarms.alarm, "panel.alarms"),
    ("command", commands.commands, "panel.alarms"),
    ("unit", units.unit, "panel.alarms"),
    ("ebike", ebikes.ebike, "panel.alarms"),
    ("evidence", pieces.evidence, "panel.alarms"),
    ("search", searching.search, "panel.read"),
    ("report", reports.report, "panel.read"),
    ("export", exports.export, "panel.read"),
    ("approval", approvals.approval, "panel.read"),
    ("quarantine", read.quarantine, "panel.read"),
    ("signal", read.signal, "panel.read"),
    ("device", devices.device, "panel.devices"),
    ("site", devices.site, "panel.devices"),
    ("camera", cameras.camera_app, "panel.devices"),
    ("terminal", terminals.terminal, "panel.devices"),
    ("jurisdiction", devices.jurisdiction, "panel.devices"),
    ("fence", fences.fence, "panel.fences"),
    ("broker", devices.broker, "panel.devices"),
    ("account", accounts.account, "panel.keep"),
    ("audit", read.audit, "panel.keep"),
    ("store", keep.store, "panel.keep"),
    ("cluster", clusters.cluster, "panel.keep"),
    ("config", keep.config, "panel.keep"),
    ("rules", rules.rules, "panel.keep"),
):
    app.add_typer(sub, name=name, rich_help_panel=text(panel))

alarms.alarm.command("seats", help=text("alarm.seats"))(command(seats.alarm_seats))
alarms.alarm.command("figures", help=text("alarm.figures"))(command(seats.alarm_figures))
read.audit.command("search", help=text("audit.search"))(command(seats.audit_search))
devices.device.add_typer(installing.photo, name="photo")
cameras.camera_app.command("analyze", help=text("camera.analyze"))(command(analyzing.camera_analyze))
cameras.camera_app.command("bench", help=text("camera.bench"))(command(analyzing.camera_bench))
terminals.terminal.command("simulate", help=text("simulate"), epilog=simulating.epilog())(command(simulating.simulate))
keep.store.command("init", help=text("store.init"))(command(storing.store_init))
keep.store.command("copy", help=text("store.copy"))(command(storing.store_copy))
