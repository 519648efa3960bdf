"""Values of the fields that 905 alone has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from ingest.jt905.fields import BcdMinute, BcdNumber
from ingest.wire.fields import BEIJING, Field, Values
from ingest.wire.reader import Reader

_FIRST, _LAST = datetime(2000, 1, 1), datetime(2099, 12, 31)  # noqa: DTZ001 hypothesis draws naive ones


def custom(field: Field, _got: Values, version: int) -> st.SearchStrategy[Any] | None:
    """For `values_of`."""
    if isinstance(field, BcdNumber):
        digits = st.text("0123456789", min_size=2 * field.size, max_size=2 * field.size)
        return digits.map(lambda text: field.read(Reader(bytes.fromhex(text), version), {}))
    if isinstance(field, BcdMinute):
        moments = st.datetimes(min_value=_FIRST, max_value=_LAST)
        return st.none() | moments.map(lambda when: when.replace(second=0, microsecond=0, tzinfo=BEIJING).isoformat())
    return None
