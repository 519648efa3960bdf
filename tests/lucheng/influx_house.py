"""What a service needs to have its series in a test's influxd: buckets, a token's file, and the settings by environment."""

from __future__ import annotations

from pathlib import Path

from config.sections import Settings
from config.settings import load
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
        set_up(influxd.server(bucket_of(folder)), retention_days=90, late_days=30, hourly_days=0)
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
