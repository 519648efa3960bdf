"""What a service needs to have its series in a test's influxd: buckets, a token's file, the settings by environment; and an
alarm that went all its way, for the series of its clocks.
"""

from __future__ import annotations

from pathlib import Path

from config.sections import Settings
from config.settings import load
from model.grant import Grant, Purpose
from model.signal import Signal
from store.desk.desk import DeskFile
from store.series.influx.setting_up import set_up
from tests.influx import TOKEN, Influxd, bucket_of


def influx_env(influxd: Influxd, folder: Path, *, mode: str = "store", made: bool = True) -> dict[str, str]:
    """Settings for the environment of a service whose series go to buckets of its own.

    Args:
        influxd: the server.
        folder: where the token's file is put; it names the buckets.
        mode: `influx.mode`.
        made: whether the buckets are made now.
    """
    token = folder / "influx.token"
    if not token.exists():
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
    if made:
        set_up(influxd.server(bucket_of(folder)), retention_days=0, late_days=30, hourly_days=0)
    return {
        "LUCHENG_INFLUX__MODE": mode,
        "LUCHENG_INFLUX__URL": influxd.url,
        "LUCHENG_INFLUX__BUCKET": bucket_of(folder),
        "LUCHENG_INFLUX__TOKEN_FILE": str(token),
        "LUCHENG_INFLUX__RETRY_MAX_MS": "500",
        "LUCHENG_INFLUX__WRITE_TIMEOUT_S": "3",
    }


def settings_of(env: dict[str, str]) -> Settings:
    """The settings that such a service has."""
    return load(None, env=env)


def failed(error: BaseException) -> None:
    """Of a duty: its store failed."""
    raise error


def panic(number: int, device: str, received_ms: int, *, late: bool = False) -> Signal:
    """Somebody pressed it two seconds ago."""
    return Signal(
        id=f"panic-{number}",
        device=device,
        kind="sos",
        source="message",
        time_ms=received_ms - 2_000,
        received_ms=received_ms,
        lat=40.6,
        lon=109.8,
        severity=1,
        late=late,
        note="",
        log_position=number,
    )


def answered(desk: DeskFile, signal: Signal) -> str:
    """The signal's alarm: shown, acknowledged, a unit on scene; its id."""
    desk.take([signal])
    alarm = desk.open_alarm(signal.device, [signal.kind])
    grant = Grant("tester", "test", Purpose("test"), None, 0, 1 << 52)
    unit = f"unit/{signal.id}"
    desk.set_unit(unit, "tester", level=1)
    desk.shown([alarm])
    version = desk.get(grant, alarm).alarm.version
    version = desk.acknowledge(alarm, version, "tester").alarm.version
    version = desk.dispatch(alarm, version, "tester", unit).alarm.version
    desk.arrive(alarm, version, "tester")
    return alarm
