"""Messages about the files that belong to an alarm of active safety; the files themselves go over another connection.

Source: T/JSATL 12-2017, chapter 4.
"""

from __future__ import annotations

from ingest.jt808.items import attachment_mark
from ingest.wire.fields import Bytes, Field, Text, u8, u16, u32
from ingest.wire.groups import List
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "T/JSATL 12-2017 4"
FILES = {0: "photo", 1: "audio", 2: "video", 3: "text", 4: "other"}


def _file() -> tuple[Field, ...]:
    return Text("file", length_size=1), u8("kind", values=FILES), u32("size_bytes", unit="byte")


MESSAGES = (
    Message(
        0x9208,
        "attachments_wanted",
        Way.DOWN,
        Word("send the files of an alarm", "报警附件上传指令"),
        (
            Text("address", length_size=1),
            u16("tcp_port"),
            u16("udp_port"),
            attachment_mark(),
            Text("alarm", 32, "the platform's number of the alarm"),
            Bytes("reserved", 16),
        ),
        _SOURCE,
    ),
    Message(
        0x1210,
        "attachments",
        Way.UP,
        Word("the files of an alarm", "报警附件信息"),
        (
            Text("terminal_id", 7, "the terminal, the maker's own"),
            attachment_mark(),
            Text("alarm", 32, "the platform's number of the alarm"),
            u8("kind", values={0: "normal", 1: "again"}),
            List("files", (Text("file", length_size=1), u32("size_bytes", unit="byte")), count_size=1),
        ),
        _SOURCE,
    ),
    Message(0x1211, "attachment_begins", Way.UP, Word("a file follows", "文件信息上传"), _file(), _SOURCE),
    Message(0x1212, "attachment_ends", Way.UP, Word("a file was sent", "文件上传完成消息"), _file(), _SOURCE),
    Message(
        0x9212,
        "attachment_reply",
        Way.DOWN,
        Word("a file has come, or pieces of it are missing", "文件上传完成消息应答"),
        (
            Text("file", length_size=1),
            u8("kind", values=FILES),
            u8("result", values={0: "complete", 1: "pieces_missing"}),
            List("missing", (u32("offset_bytes", unit="byte"), u32("size_bytes", unit="byte")), count_size=1),
        ),
        _SOURCE,
    ),
)
