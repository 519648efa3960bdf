"""What `lucheng store init` does on an InfluxDB server: buckets, retention, the down-sampling task. May be run again.

Beside the bucket of points and numbers lie `…_state` (position and counters, kept for ever) and `…_hourly` (what the task
leaves: per device and hour the way of points, mean and highest speed). Names of buckets are letters, digits, `-` and `_`
alone, since a task's text cannot take parameters.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.errors import UsageError
from store.series.influx.connection import Connection, Denied, Server, talking

if TYPE_CHECKING:
    from influxdb_client import InfluxDBClient

DAY_S = 86_400
#: Hours of fix time that the task counts again, so that late points are in.
DEFAULT_LATE_HOURS = 48
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

_TASK = """// Made by `lucheng store init`; what it changes here is written over.
option task = {{name: "{hourly}", every: 1h, offset: 15m}}

fixes = from(bucket: "{bucket}")
    |> range(start: -{hours}h)
    |> filter(fn: (r) => r._measurement == "fix")
    |> drop(columns: ["age"])

speed = fixes |> filter(fn: (r) => r._field == "speed_kmh") |> group(columns: ["device", "slot"])
each = (source, fn, field) => source
    |> aggregateWindow(every: 1h, fn: fn, createEmpty: false, timeSrc: "_start")
    |> set(key: "_measurement", value: "fix_hourly")
    |> set(key: "_field", value: field)
    |> group(columns: ["_measurement", "_field", "device", "slot"])
    |> to(bucket: "{hourly}")

each(source: speed, fn: mean, field: "speed_mean_kmh")
each(source: speed, fn: max, field: "speed_max_kmh")
each(
    source: fixes |> filter(fn: (r) => r._field == "flags") |> group(columns: ["device", "slot"]),
    fn: count,
    field: "fixes",
)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that `set_up` looked after: what it is called, and whether it was `made`, `changed` or `kept`."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be there: buckets with the days that the server keeps what is in them (0: for ever), and the task's script."""

    buckets: dict[str, int]
    task: str

    def commands(self, server: Server) -> list[str]:
        """The same as commands of InfluxData's `influx` in a shell, with a token of its owner that may do all; last, a token for
        the service, which needs no more than to read and write these buckets.
        """
        where = f"--host {shlex.quote(server.url)} --org {shlex.quote(server.org)}"
        made = [
            f"influx bucket create {where} --name {name} --retention {days * 24}h"
            for name, days in self.buckets.items()
        ]
        may = " ".join(
            f'--{verb}-bucket "$(influx bucket list {where} --name {name} --hide-headers | cut -f1)"'
            for name in self.buckets
            for verb in ("read", "write")
        )
        task = f"influx task create {where} - <<'FLUX'\n{self.task}FLUX"
        return [*made, task, f"influx auth create {where} --description lucheng {may}"]


def plan(
    server: Server,
    *,
    retention_days: int,
    late_days: int,
    hourly_days: int,
    late_hours: int = DEFAULT_LATE_HOURS,
) -> Plan:
    """What `set_up` makes, by the same arguments. Raises UsageError for a bucket's name."""
    if not _NAME.fullmatch(server.bucket):
        raise UsageError(
            "The bucket's name is not letters, digits, - and _ alone.", mend="Choose another influx.bucket."
        )
    return Plan(
        {
            server.bucket: retention_days + late_days if retention_days else 0,
            server.state_bucket: 0,
            server.hourly_bucket: hourly_days,
        },
        _TASK.format(bucket=server.bucket, hourly=server.hourly_bucket, hours=late_hours),
    )


def set_up(
    server: Server,
    *,
    retention_days: int,
    late_days: int,
    hourly_days: int,
    late_hours: int = DEFAULT_LATE_HOURS,
) -> list[Done]:
    """Make what is missing, and set the retention of what is there.

    Args:
        server: its token must be allowed to make buckets and tasks.
        retention_days: how long points are kept, counted from the store time; 0 for ever. The store deletes by it; the
            server itself goes by fix time and deletes `late_days` later, also when nobody runs the store.
        late_days: see `InfluxSeries`.
        hourly_days: how long the hourly values are kept; 0 for ever.
        late_hours: how far back the task counts again.

    Raises Away, Denied; UsageError for a bucket's name.
    """
    wanted = plan(
        server, retention_days=retention_days, late_days=late_days, hourly_days=hourly_days, late_hours=late_hours
    )
    connection = Connection(server)
    try:
        with talking(writing=False):
            done = [_bucket(connection.client, server, name, days) for name, days in wanted.buckets.items()]
            done.append(_task(connection.client, server, wanted.task))
        return done
    finally:
        connection.close()


def _bucket(client: InfluxDBClient, server: Server, name: str, days: int) -> Done:
    from influxdb_client import BucketRetentionRules  # noqa: PLC0415 see `connection`

    buckets = client.buckets_api()
    rules = BucketRetentionRules(type="expire", every_seconds=days * DAY_S)
    found = buckets.find_bucket_by_name(name)
    if found is None:
        buckets.create_bucket(bucket_name=name, retention_rules=[rules], org=server.org)
        return Done(f"bucket {name}", "made")
    held = found.retention_rules[0].every_seconds if found.retention_rules else 0
    if held == days * DAY_S:
        return Done(f"bucket {name}", "kept")
    found.retention_rules = [rules]
    buckets.update_bucket(found)
    return Done(f"bucket {name}", "changed")


def _task(client: InfluxDBClient, server: Server, script: str) -> Done:
    from influxdb_client import TaskCreateRequest, TaskUpdateRequest  # noqa: PLC0415 see `connection`

    tasks: Any = client.tasks_api()
    name = f"task {server.hourly_bucket}"
    for task in tasks.find_tasks(name=server.hourly_bucket):
        if task.flux.strip() == script.strip():
            return Done(name, "kept")
        tasks.update_task_request(task.id, TaskUpdateRequest(flux=script))
        return Done(name, "changed")
    organisations = client.organizations_api().find_organizations(org=server.org)
    if not organisations:
        raise Denied("There is no such organisation on the server.", mend="Mend influx.org.")
    tasks.create_task(task_create_request=TaskCreateRequest(org_id=organisations[0].id, flux=script, status="active"))
    return Done(name, "made")
