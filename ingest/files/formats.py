"""The formats of files that can be read: which column is what.

Purpose: one table, used alike by the column parsers and the row reader. It reads nothing itself.

`csv` is our own format: UTF-8, comma-separated, one header line naming the columns in any order, one
point a line (a field may stand in double quotes, but not hold a line break). `device` (`kind/name`, or the bare name of a taxi), `time` (RFC 3339 with a zone, or whole milliseconds
since 1970), `lat` and `lon` (WGS-84 degrees) are required; further columns are those of `CSV_COLUMNS`, empty where a point has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from model.codes import Flag
from model.errors import BadInput, UsageError

#: Roles of fields that end as a flag: (flag, its "sent" flag).
FLAG_ROLES: dict[str, tuple[Flag, Flag]] = {
    "ignition": (Flag.IGNITION, Flag.IGNITION_SENT),
    "occupied": (Flag.OCCUPIED, Flag.OCCUPIED_SENT),
    "armed": (Flag.ARMED, Flag.ARMED_SENT),
    "valid": (Flag.VALID, Flag.VALID_SENT),
}
#: Roles that are float columns of a PointBatch.
FLOAT_ROLES = ("lat", "lon", "speed_kmh", "heading_deg", "alt_m", "acc_m")
#: Roles that are integer columns of a PointBatch, with the greatest value of each.
INTEGER_ROLES = {"seq": (1 << 53) - 1, "sat": (1 << 15) - 1, "battery_pct": (1 << 15) - 1}
#: Roles that are times; one of them in every format.
TIME_ROLES = ("epoch_s", "local", "clock", "time")
#: Roles without which there is no point.
REQUIRED_ROLES = ("device", "lat", "lon", *TIME_ROLES)
CSV_COLUMNS = ("device", "time", "lat", "lon", *FLOAT_ROLES[2:], *INTEGER_ROLES, *FLAG_ROLES, "alarms")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a file are laid out.

    Attributes:
        name: what the user calls the format.
        roles: what each field of a row is, in order.
        header: names in the first line, or () where the rows begin at once.
        prefix: put before a device's name to make its id.
        quotes: fields may stand in double quotes.
        day: local day of `clock` times.
    """

    name: str
    roles: tuple[str, ...]
    header: tuple[str, ...] = ()
    prefix: str = "taxi/"
    quotes: bool = False
    day: date | None = None


CABSPOTTING = Layout(
    "cabspotting",
    ("epoch_s", "device", "lat", "lon", "occupied"),
    ("ts_utc", "cab_id", "lat", "lon", "occupied"),
)
TDRIVE = Layout("tdrive", ("device", "local", "lon", "lat"), ("TaxiID", "TimeStamp", "Longitude", "Latitude"))
SHENZHEN = Layout("shenzhen", ("device", "clock", "lon", "lat", "occupied", "speed_kmh"))
CSV = Layout("csv", (), ("device", "time", "lat", "lon"), prefix="", quotes=True)
FORMATS: dict[str, Layout] = {layout.name: layout for layout in (CABSPOTTING, TDRIVE, SHENZHEN, CSV)}


def layout_of(name: str, day: date | None) -> Layout:
    """The layout of this format.

    Raises UsageError when there is no such format, or the day is missing or not wanted.
    """
    layout = FORMATS.get(name)
    if layout is None:
        raise UsageError(f"There is no file format {name[:40]!r}.", mend="Use one of " + ", ".join(FORMATS) + ".")
    needs_day = "clock" in layout.roles
    if needs_day and day is None:
        raise UsageError(f"A {name} file holds times without a date.", mend="Give --date YYYY-MM-DD.")
    if day is not None and not needs_day:
        raise UsageError(f"A {name} file holds its own dates.", mend="Leave out --date.")
    return Layout(layout.name, layout.roles, layout.header, layout.prefix, layout.quotes, day)


def with_header(layout: Layout, names: tuple[str, ...], place: str) -> Layout:
    """The layout after its header line was read.

    Args:
        layout: what the format wants.
        names: what the first line says.
        place: `file:line`, for the error.

    Raises BadInput when the header is not that of the format.
    """
    if not layout.quotes:
        if names != layout.header:
            shown = ",".join(names)[:120]
            raise BadInput(
                f"{place}: the columns are {shown!r}, not {','.join(layout.header)!r}: this is no {layout.name} file.",
                mend="Check the file, or give its --format: " + ", ".join(FORMATS) + ".",
            )
        return layout
    missing = [name for name in layout.header if name not in names]
    unknown = [name for name in names if name not in CSV_COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    for what, which in (("lacks", missing), ("does not know", unknown), ("may hold only once", twice)):
        if which:
            listed = ", ".join(repr(name[:40]) for name in which[:5])
            raise BadInput(
                f"{place}: the header of a csv file {what} the column {listed}.",
                mend="The first line names the columns: " + ", ".join(CSV_COLUMNS) + "; the first four are required.",
            )
    return Layout(layout.name, names, names, layout.prefix, layout.quotes, layout.day)
