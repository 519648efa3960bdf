"""Work of a taxi: signing on and off, the record of a trip."""

from __future__ import annotations

from ingest.jt905.fields import BcdMinute, BcdNumber
from ingest.jt905.messages.positions import POSITION
from ingest.jt905.messages.session import SOURCE
from ingest.wire.fields import Bcd, Bytes, Field, Text, u8, u16, u32
from ingest.wire.groups import Group, When
from ingest.wire.message import Message, Way
from model.codes import Word

_WHO: tuple[Field, ...] = (
    Text("company_licence", 16),
    Text("driver_licence", 19, "the driver's certificate"),
    Text("plate", 6, "without the Chinese character"),
)
#: What the meter wrote of a trip, 66 bytes; another size is kept as hex.
METER_BYTES = 66
METER: tuple[Field, ...] = (
    Text("plate", 6, "without the Chinese character"),
    Text("company_licence", 16),
    Text("driver_licence", 19, "the driver's certificate"),
    BcdMinute("got_in", 5),
    Bcd("got_out", 2, "hhmm"),
    BcdNumber("distance_km", 3, "hired", "km", 10),
    BcdNumber("distance_vacant_km", 2, "vacant before it", "km", 10),
    BcdNumber("surcharge_cny", 3, "", "CNY", 10),
    Bcd("waiting", 2, "hhmm"),
    BcdNumber("amount_cny", 3, "", "CNY", 10),
    u32("trip", "its number on the meter"),
    u8("paid_by", values={0: "cash", 1: "m1_card", 2: "cpu_card", 9: "other"}),
)

TRIPS = (
    Message(
        0x0B03,
        "sign_on",
        Way.UP,
        Word("the driver signs on", "上班签到信息上传"),
        (Group("position", POSITION), *_WHO, BcdMinute("on"), Bytes("extra", None, "what the place adds")),
        SOURCE,
    ),
    Message(
        0x0B04,
        "sign_off",
        Way.UP,
        Word("the driver signs off", "下班签退信息上传"),
        (
            Group("position", POSITION),
            *_WHO,
            Bcd("meter_k", 2, "pulses per km"),
            BcdMinute("on"),
            BcdMinute("off"),
            BcdNumber("shift_mileage_km", 3, "", "km", 10),
            BcdNumber("shift_hired_mileage_km", 3, "", "km", 10),
            BcdNumber("shift_trips", 2),
            Bcd("shift_metered_time", 3, "hhmmss"),
            BcdNumber("shift_income_cny", 3, "", "CNY", 10),
            BcdNumber("shift_card_income_cny", 3, "", "CNY", 10),
            BcdNumber("shift_card_trips", 2),
            BcdNumber("mileage_between_shifts_km", 2, "", "km", 10),
            BcdNumber("total_mileage_km", 4, "", "km", 10),
            BcdNumber("total_hired_mileage_km", 4, "", "km", 10),
            BcdNumber("price_cny", 2, "of one km", "CNY", 100),
            u32("total_trips"),
            u8("how", "how the driver signed off", values={0: "meter", 1: "automatic"}),
            Bytes("extra", None, "what the place adds"),
        ),
        SOURCE,
    ),
    Message(
        0x0B05,
        "trip",
        Way.UP,
        Word("record of a trip", "运营数据上传"),
        (
            Group("hired_at", POSITION, "where it became hired"),
            Group("vacant_at", POSITION, "where it became vacant"),
            u32("trip", "its number"),
            u32("rating_id"),
            u8("rating", values={0: "none", 1: "satisfied", 2: "fair", 3: "unsatisfied", 4: "complaint"}),
            u16("rating_extra"),
            u32("order", "0: none"),
            When(Group("meter", METER), lambda _got, _version, left: left == METER_BYTES, f"if {METER_BYTES} bytes are left"),
            When(Bytes("meter_raw"), lambda got, _version, left: left > 0 and "meter" not in got, "of another size"),
        ),
        SOURCE,
    ),
)  # fmt: skip
