"""Orders of passengers: given out, grabbed, done, cancelled; alarms confirmed and cleared."""

from __future__ import annotations

from ingest.jt905.fields import BcdNumber
from ingest.jt905.messages.positions import UNITS_PER_DEGREE
from ingest.jt905.messages.session import SOURCE
from ingest.wire.fields import BcdTime, Text, u8, u32
from ingest.wire.message import Message, Way
from model.codes import Word

_ORDER = u32("order", "its number")
_KIND = u8("kind", values={0: "now", 1: "booked", 2: "assigned"})

ORDERS = (
    Message(
        0x8B00,
        "order",
        Way.DOWN,
        Word("order of a passenger", "订单任务下发"),
        (_ORDER, _KIND, BcdTime("pick_up", 6), Text("text", meaning="where, in words", ended=True)),
        SOURCE,
    ),
    Message(0x0B01, "order_grabbed", Way.UP, Word("the driver wants the order", "驾驶员抢答"), (_ORDER,), SOURCE),
    Message(
        0x8B01,
        "order_given",
        Way.DOWN,
        Word("the driver has the order", "下发抢答结果信息"),
        (
            _ORDER,
            _KIND,
            BcdTime("pick_up", 6),
            u32("from_lon", "longitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
            u32("from_lat", "latitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
            u32("to_lon", "longitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
            u32("to_lat", "latitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
            BcdNumber("fee_cny", 2, "for the call", "CNY", 10),
            Text("passenger_number", ended=True),
            Text("text", meaning="where, in words", ended=True),
        ),
        SOURCE,
    ),
    Message(0x0B07, "order_done", Way.UP, Word("order done", "驾驶员电召任务完成确认"), (_ORDER,), SOURCE),
    Message(
        0x0B08,
        "order_cancelled_by_driver",
        Way.UP,
        Word("cancelled by the driver", "驾驶员取消订单"),
        (_ORDER, u8("reason", values={0: "accident", 1: "jam", 2: "other"})),
        SOURCE,
    ),
    Message(
        0x8B09,
        "order_cancelled_by_centre",
        Way.DOWN,
        Word("cancelled by the centre", "中心取消订单"),
        (_ORDER,),
        SOURCE,
    ),
    Message(0x8B0A, "confirm_alarm", Way.DOWN, Word("the desk has the alarm", "中心确认报警"), (), SOURCE),
    Message(0x8B0B, "clear_alarm", Way.DOWN, Word("the alarm is over", "中心解除报警"), (), SOURCE),
)
