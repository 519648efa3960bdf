"""What `lucheng doctor` looks at for time series in InfluxDB: the server, the buckets and how long they keep, the mirror.

Invariants: it changes nothing and raises nothing; where `influx.mode` is off nothing is said. What a token may not see is not
judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.client import RemoteClient
from lucheng.finding import Finding, State
from lucheng.rooms import SOCKET_FILE
from lucheng.series_choice import INFLUX_FILE, influx_position, server_of
from model.codes import Word
from model.errors import LuchengError

if TYPE_CHECKING:
    from config.sections import Settings
    from store.series.influx.connection import Server

_ANSWER_S = 5.0
_ANSWER_MS = 5_000
_INIT = "lucheng store init"


def series(data_dir: Path, settings: Settings) -> Iterator[Finding]:
    """Everything that time series in InfluxDB need."""
    if settings.influx.mode == "off":
        return
    try:
        server = replace(server_of(settings), query_timeout_ms=_ANSWER_MS)
    except LuchengError as error:
        yield Finding("InfluxDB", State.MISSING, Word(error.message, error.message), error.mend)
        return
    yield from _server(server, settings, data_dir)
    yield from _running(data_dir)


def _server(server: Server, settings: Settings, data_dir: Path) -> Iterator[Finding]:
    from store.series.influx import reading, state  # noqa: PLC0415 needed by those alone whose series are in InfluxDB
    from store.series.influx.connection import Away, Connection, Denied  # noqa: PLC0415 as above

    connection = Connection(server)
    try:
        if settings.influx.mode == "store":
            if settings.nats.mode == "log" and (held := state.load_partitions(connection)):
                position = sum(one.counters.get(state.POSITION, 0) for one in held.values())
            else:
                position = state.load(connection).get(state.POSITION, 0)
            yield Finding(
                "InfluxDB",
                State.OK,
                Word(f"{server.url} has the log up to {position}", f"{server.url} 已入库至日志位置 {position}"),
            )
            yield from _behind(data_dir, position)
        elif connection.ready():
            yield Finding("InfluxDB", State.OK, Word(f"{server.url} answers", f"{server.url} 有应答"))
        else:
            raise Away(f"{server.url} does not answer.", mend="start it, or correct influx.url")
        if settings.influx.mode == "store":
            reading.hours(connection, 0, 1)  # whether the bucket of points may be read
        yield from _buckets(connection, settings)
    except Denied as error:
        yield Finding("InfluxDB", State.MISSING, Word(error.message, f"服务器拒绝访问：{error.message}"), error.mend)
    except LuchengError as error:  # the service runs without it for a while: its log holds what comes in
        yield Finding("InfluxDB", State.WARN, Word(error.message, f"服务器无应答：{error.message}"), error.mend)
    finally:
        connection.close()


def _behind(data_dir: Path, position: int) -> Iterator[Finding]:
    known = influx_position(data_dir) if (data_dir / INFLUX_FILE).exists() else 0
    if position < known:
        found = Word(
            f"the server is at {position} of the log and was at {known}: it was set back",
            f"服务器位置 {position} 落后于 {known}，疑被回退",
        )
        yield Finding(
            "InfluxDB position", State.WARN, found, "restore the server and this folder from back-ups of one time"
        )


def _buckets(connection: Any, settings: Settings) -> Iterator[Finding]:
    """Whether each bucket keeps what it should for as long as the settings say."""
    from lucheng.moving import wanted  # noqa: PLC0415 as above
    from store.series.influx.connection import talking  # noqa: PLC0415 as above
    from store.series.influx.setting_up import DAY_S  # noqa: PLC0415 as above

    _, plan = wanted(settings)
    wrong = []
    for name, days in plan.buckets.items():
        with talking(writing=False):
            found = connection.client.buckets_api().find_bucket_by_name(name)
        if found is None:
            wrong.append(f"{name}: -")
            continue
        kept_s = found.retention_rules[0].every_seconds if found.retention_rules else 0
        if kept_s != days * DAY_S:
            wrong.append(f"{name}: {kept_s // DAY_S} d, {days} d")
    if wrong:
        text = "; ".join(wrong)
        found_words = Word(
            f"not there, or kept for other times than the settings say: {text}", f"缺失，或保存期与设置不符：{text}"
        )
        yield Finding("InfluxDB buckets", State.WARN, found_words, _INIT)
    else:
        names = ", ".join(plan.buckets)
        yield Finding("InfluxDB buckets", State.OK, Word(names, names))


def _running(data_dir: Path) -> Iterator[Finding]:
    """What the running service says."""
    try:
        status: Mapping[str, Any] = RemoteClient(data_dir / SOCKET_FILE, answer_timeout_s=_ANSWER_S).call("status")
    except LuchengError:
        return
    found, live = status.get("series", {}), status.get("live", {})
    if found.get("away"):
        waiting = status.get("in_flight", 0)
        words = Word(
            f"away for {found['away_s']} s, {waiting} points wait in the log: {found['away']}",
            f"已离线 {found['away_s']} 秒，日志中有 {waiting} 个定位点等待入库：{found['away']}",
        )
        yield Finding("InfluxDB outage", State.WARN, words, "start it; what came in stays in the log until then")
    missed = int(live.get("series_mirror_missed", 0))
    if missed:
        words = Word(f"the mirror does not have {missed} points", f"镜像缺失 {missed} 个定位点")
        yield Finding(
            "InfluxDB mirror",
            State.WARN,
            words,
            "lucheng store copy --from embedded --to influx, while no service runs",
        )
    dropped = int(live.get("series_numbers_dropped", 0))
    if dropped:
        words = Word(f"{dropped} samples of health were dropped", f"已丢弃 {dropped} 个健康样本")
        yield Finding("InfluxDB samples", State.WARN, words, "raise influx.max_pending_numbers")
