"""What a process of the cluster does: ingest, analyze, desk, video, or several of them.

Invariants: a role is started only where the settings give it what it needs; what is missing is said before anything is opened.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from model.codes import Word
from model.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from config.sections import Settings


class Role(StrEnum):
    """A part of the work."""

    INGEST = "ingest"
    ANALYZE = "analyze"
    DESK = "desk"
    VIDEO = "video"


ALL = frozenset(Role)
ALL_WORD = "all"
ROLE_WORDS: dict[Role, Word] = {
    Role.INGEST: Word("takes in what devices send", "接入"),
    Role.ANALYZE: Word("judges and stores", "分析入库"),
    Role.DESK: Word("alarms, API and console", "指挥台"),
    Role.VIDEO: Word("watches cameras", "视频"),
}


def roles_of(text: str) -> frozenset[Role]:
    """The roles of `--role`, e.g. `ingest,desk`; `all` are all. Raises UsageError."""
    wanted = {part.strip().lower() for part in text.split(",") if part.strip()}
    if wanted == {ALL_WORD}:
        return ALL
    known = {role.value for role in Role}
    for name in sorted(wanted - known):
        raise UsageError(f"{name[:40]!r} is no role.", mend=f"Write {ALL_WORD}, or some of {', '.join(Role)}.")
    if not wanted:
        raise UsageError("There is no role.", mend=f"Write {ALL_WORD}, or some of {', '.join(Role)}.")
    return frozenset(Role(name) for name in wanted)


def check_roles(settings: Settings, roles: frozenset[Role]) -> None:
    """Raise SettingsError where the settings do not carry these roles."""
    if settings.nats.mode != "log":
        if roles != ALL:
            raise SettingsError(
                "Some roles alone need nats-servers to meet the others.",
                mend='Set nats.mode = "log" and nats.urls, or leave --role out: one process does everything.',
            )
        return
    if settings.nats.mqtt and settings.mqtt.url is None and roles & {Role.INGEST, Role.DESK}:
        raise SettingsError(
            "nats.mqtt is set, and nothing says where the servers' MQTT listener is.",
            mend="Set mqtt.url, mqtt.username and mqtt.password_file as docs/design/mqtt_cluster.md says.",
        )
    embedded = settings.influx.mode != "store"
    if embedded and settings.nats.partitions != 1 and Role.ANALYZE in roles:
        raise SettingsError(
            f"The embedded time-series store has one position, and there are {settings.nats.partitions} partitions.",
            mend='Set influx.mode = "store", or nats.partitions = 1 (and partition(1,1) in the servers\' lucheng.conf).',
        )
    if roles != ALL:
        missing = [
            key
            for key, lacks in (("database.url", not shares_database(settings)), ('influx.mode = "store"', embedded))
            if lacks
        ]
        if missing:
            raise SettingsError(
                f"Several processes share the city, but {' and '.join(missing)} is not set.",
                mend="Set it; files in a data folder belong to one process.",
            )


def shares_database(settings: Settings) -> bool:
    """Whether registry, desk and audit lie where every process reaches them."""
    database = getattr(settings, "database", None)
    return database is not None and bool(database.url)
