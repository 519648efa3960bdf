"""Times as people type them: RFC 3339, a local time of the city, or epoch milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from model.errors import SettingsError, UsageError

_EPOCH_MS = re.compile(r"0|[0-9]{11,15}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9].*)?", re.ASCII)
_FORMS = "Write 2026-11-22T08:00:00Z, a local time like '2026-11-22 08:00', or epoch milliseconds."


def zone(name: str) -> ZoneInfo:
    """The time zone `name`; raises SettingsError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"{name!r} is no time zone.", mend="Set city.time_zone to one like Asia/Shanghai."
        ) from error


def parse_time(text: str, time_zone: str) -> int:
    """UTC milliseconds of `text`; a time without an offset is local in `time_zone`.

    Raises UsageError for anything else, naming the forms.
    """
    given = text.strip()
    if _EPOCH_MS.fullmatch(given):
        return int(given)
    if not _DATE.fullmatch(given):
        raise UsageError(f"{text[:60]!r} is no time.", mend=_FORMS)
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone(time_zone))
        since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text[:60]!r} is no time: {error}.", mend=_FORMS) from error
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def local_text(rfc3339: str, time_zone: str) -> str:
    """`2026-11-22T08:00:00.000Z` as local time with milliseconds, for tables."""
    moment = datetime.fromisoformat(rfc3339).astimezone(zone(time_zone))
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
