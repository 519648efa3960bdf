"""What many messages have in common: fix, cell, states."""

from __future__ import annotations

from collections.abc import Callable

from ingest.gt06.fields import BatteryOrVolts, Course, DeviceTime, Halves
from ingest.wire.fields import Bytes, Field, Int, Values, u8, u16, u32
from ingest.wire.groups import Group, List, When

SOURCE = "Concox GT06 1.8, 5"
#: Added to the number of a message that means something else in a long frame (79 79).
LONG = 0x7900
#: Units of a coordinate in one degree: 1/30,000 of a minute.
UNITS_PER_DEGREE = 1_800_000

#: Magnitudes: `course` says whether north and west.
PLACE: tuple[Field, ...] = (
    u32("lat", "latitude, 1/30,000 minute", unit="°", scale=UNITS_PER_DEGREE),
    u32("lon", "longitude, 1/30,000 minute", unit="°", scale=UNITS_PER_DEGREE),
    u8("speed_kmh", unit="km/h"),
    Course(),
)
SKY = Halves("sky", "size", "satellites")
FIX: tuple[Field, ...] = (DeviceTime(), SKY, *PLACE)
FIX_BYTES = 18


def _two_byte_mnc(got: Values, _version: int, _left: int) -> bool:
    return bool(got["mcc"] >> 15)


def _one_byte_mnc(got: Values, _version: int, _left: int) -> bool:
    return not got["mcc"] >> 15


#: Country and network; the top bit of the country says that the network has two bytes.
NETWORK: tuple[Field, ...] = (
    u16("mcc", "country; top bit: the network has two bytes"),
    When(u8("mnc", "network"), _one_byte_mnc, "top bit of mcc clear"),
    When(u16("mnc2", "network"), _two_byte_mnc, "top bit of mcc set"),
)
#: 8 bytes, or 9.
CELL: tuple[Field, ...] = (*NETWORK, u16("lac", "area"), Int("cell", 3, "its number"))
#: 15 bytes, or 16: of 4G.
LONG_CELL: tuple[Field, ...] = (*NETWORK, u32("lac", "area"), Int("cell", 8, "its number"))

INFORMATION_BITS = {
    0: "armed",
    1: "ignition",
    2: "charging",
    3: "alarm_1",
    4: "alarm_2",
    5: "alarm_3",
    6: "positioning",
    7: "power_cut_off",
}
INFORMATION = u8("information", "states; bits 3 to 5 are a number: see `STATE_ALARMS`", bits=INFORMATION_BITS)
#: States and the code of an alarm, 5 bytes.
STATUS: tuple[Field, ...] = (
    INFORMATION,
    u8("battery", "0 to 6, or %"),
    u8("signal", "0 to 4, or CSQ"),
    u8("alarm", "code: see `ALARMS`"),
    u8("language", values={1: "zh", 2: "en"}),
)
STATUS_BYTES = 5
#: Why it was sent, 3 bytes.
UPLOAD: tuple[Field, ...] = (
    u8("ignition", values={0: "off", 1: "on"}),
    u8("why", "by time, distance, turn, ignition, …"),
    u8("buffered", values={0: "live", 1: "buffered"}),
)
#: Seven neighbours; the first one is where the device is.
NEIGHBOURS = List("cells", (u16("lac"), Int("cell", 3), u8("signal")), count=lambda _got: 7)
LONG_NEIGHBOURS = List("cells", (u32("lac"), Int("cell", 8), u8("signal")), count=lambda _got: 7)
POWER = BatteryOrVolts()


def left_is(*sizes: int) -> Callable[[Values, int, int], bool]:
    """There when so many bytes are left."""
    return lambda _got, _version, left: left in sizes


def left_from(size: int) -> Callable[[Values, int, int], bool]:
    """There when so many bytes are left, or more."""
    return lambda _got, _version, left: left >= size


def without(name: str, size: int = 1) -> Callable[[Values, int, int], bool]:
    """There when the field `name` is not and so many bytes are left, or more."""
    return lambda got, _version, left: name not in got and left >= size


def given(name: str) -> Callable[[Values, int, int], bool]:
    """There when the field `name` is."""
    return lambda got, _version, _left: name in got


def fix(there: Callable[[Values, int, int], bool] | None = None) -> Field:
    """The 18 bytes of a fix."""
    group = Group("fix", FIX)
    return group if there is None else When(group, there, "by size")


def cell(there: Callable[[Values, int, int], bool] | None = None) -> Field:
    """The cell."""
    group = Group("cell", CELL)
    return group if there is None else When(group, there, "by size")


WIFI = List("wifi", (Bytes("mac", 6), u8("signal")), count_size=1)
