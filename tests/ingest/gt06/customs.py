"""Values of the fields that GT06 alone has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from ingest.gt06.fields import BatteryOrVolts, Counted, Course, DeviceTime, Halves, ToText
from ingest.wire.fields import Field, Values
from ingest.wire.reader import Reader
from tests.ingest.wire.strategies import values_of

_FIRST, _LAST = datetime(2000, 1, 1), datetime(2255, 12, 31)  # noqa: DTZ001 hypothesis draws naive ones


def custom(field: Field, got: Values, version: int) -> st.SearchStrategy[Any] | None:
    """For `values_of`."""
    if isinstance(field, DeviceTime):
        moments = st.datetimes(min_value=_FIRST, max_value=_LAST)
        return st.none() | moments.map(lambda when: when.replace(microsecond=0).isoformat())
    if isinstance(field, Halves | Course):
        size = 1 if isinstance(field, Halves) else 2
        return st.binary(min_size=size, max_size=size).map(lambda raw: field.read(Reader(raw, version), got))
    if isinstance(field, Counted):
        return st.none() | values_of(field.fields, version, custom)
    if isinstance(field, ToText):
        return st.text("abcXYZ 019#,=;", max_size=30)
    if isinstance(field, BatteryOrVolts):
        levels = st.integers(0, 6).map(lambda level: {"level": level})
        return levels | st.integers(0x0700, 10_000).map(lambda word: {"volts": word / 100})
    return None
