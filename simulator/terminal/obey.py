"""What a terminal does when the platform says something.

Purpose: one function a message down, in a table; each answers as the standard wants it and changes the terminal as a real
one would. Invariants: runs in the reading thread, one message after the other; a message that is not in the table is
answered "not supported". Source: JT/T 808-2019 chapter 7, JT/T 905.2-2014, GT06.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.terminal import gt06, jt, media, taxi
from simulator.terminal.jt_down import Values
from simulator.terminal.wire import Packet, Protocol

if TYPE_CHECKING:
    from simulator.terminal.terminal import Terminal

OK, FAILED, BAD_MESSAGE, NOT_SUPPORTED = 0, 1, 2, 3
#: Parameter: longest single call, seconds; the platform ends a call by setting it.
LONGEST_CALL = 0x0046
#: Photos of one order; a larger number is cut to it.
MAX_PHOTOS = 10
#: Longest sound that is really made, seconds.
MAX_SOUND_S = 5
_PHOTO = (320, 240)
_EVENT_PLATFORM = 0
_REASON_PLATFORM_905 = 3
_KIND_IMAGE = 0


def obey_jt(terminal: Terminal, packet: Packet, values: Values) -> None:
    """Do what it says, unless the terminal is told to refuse it or to stay silent."""
    handler = _ANSWERS.get(packet.message_id)
    if handler is not None:
        handler(terminal, packet, values)
        return
    if packet.message_id in terminal.silent:
        return
    refused = terminal.refusing.get(packet.message_id)
    if refused is not None:
        terminal.reply(packet, refused)
        return
    _ORDERS.get(packet.message_id, _unknown)(terminal, packet, values)


# -- answers to what the terminal sent -----------------------------------------------------------


def _replied(terminal: Terminal, _packet: Packet, values: Values) -> None:
    terminal.link.answer(values["serial"], values["result"], values["message_id"])
    if values["result"] == OK:
        for upload in list(terminal.uploads.values()):
            upload.replied(values["serial"])


def _registered(terminal: Terminal, _packet: Packet, values: Values) -> None:
    if values["result"] == OK:
        terminal.token = values["token"]
    terminal.link.answer(values["serial"], values["result"], 0x0100)


def _parts_wanted(terminal: Terminal, _packet: Packet, values: Values) -> None:
    for upload in list(terminal.uploads.values()):
        if upload.first_serial == values["serial"]:
            terminal.send_packets(upload.wanted(values["parts"]))


def _media_received(terminal: Terminal, _packet: Packet, values: Values) -> None:
    upload = terminal.uploads.get(values["media_id"])
    if upload is not None:
        terminal.send_packets(upload.wanted(values["parts"]))


# -- orders --------------------------------------------------------------------------------------


def _unknown(terminal: Terminal, packet: Packet, _values: Values) -> None:
    terminal.reply(packet, NOT_SUPPORTED)


def _accept(terminal: Terminal, packet: Packet, _values: Values) -> None:
    terminal.reply(packet, OK)


def _set_parameters(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.parameters.update(values["parameters"])
    if values["parameters"].get(LONGEST_CALL) in (b"\0\0", b"\0\0\0\0"):
        terminal.calls_ended += 1
    terminal.reply(packet, OK)


def _get_parameters(terminal: Terminal, packet: Packet, values: Values) -> None:
    wanted = values.get("ids") or list(terminal.parameters)
    found = {number: terminal.parameters[number] for number in wanted if number in terminal.parameters}
    terminal.send(0x0104, jt.parameters(terminal.protocol, packet.serial, found))


def _get_attributes(terminal: Terminal, _packet: Packet, _values: Values) -> None:
    terminal.send(0x0107, terminal.attributes())


def _get_position(terminal: Terminal, packet: Packet, _values: Values) -> None:
    body = packet.serial.to_bytes(2, "big") + jt.position(terminal.fix_now(), terminal.protocol)
    terminal.send(0x0201, body)


def _track(terminal: Terminal, packet: Packet, values: Values) -> None:
    stop = values["interval_s"] == 0 or values.get("kind") == 0xFF
    terminal.tracking = None if stop else (values["interval_s"], values["for_s"])
    terminal.reply(packet, OK)


def _confirm(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.latched &= ~values["kinds"]
    terminal.reply(packet, OK)


def _clear(terminal: Terminal, packet: Packet, _values: Values) -> None:
    terminal.latched = 0
    terminal.reply(packet, OK)


def _text(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.texts.append(values["text"])
    terminal.reply(packet, OK)


def _call_back(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.calls.append((values["listen"], values["number"], terminal.longest_call_s()))
    terminal.reply(packet, OK)


def _control_vehicle(terminal: Terminal, packet: Packet, values: Values) -> None:
    bits = {0: jt.OIL_CUT, 1: jt.CIRCUIT_CUT, 2: jt.DOOR_LOCKED, "door": jt.DOOR_LOCKED}
    bit = bits.get(values["item"], 0)
    terminal.ordered = terminal.ordered | bit if values["on"] else terminal.ordered & ~bit
    body = packet.serial.to_bytes(2, "big") + jt.position(terminal.fix_now(), terminal.protocol)
    terminal.send(0x0500, body)


def _take_photo(terminal: Terminal, packet: Packet, values: Values) -> None:
    count = min(values["count"], MAX_PHOTOS) if values["count"] != 0xFFFF else 1
    terminal.reply(packet, OK)
    numbers = [terminal.next_media_id() for _ in range(count)]
    if terminal.protocol.is_808:
        terminal.send(0x0805, jt.photo_taken(packet.serial, numbers))
    for number in numbers:
        data = media.picture(*_PHOTO, seed=number)
        terminal.stored[number] = (_KIND_IMAGE, values["channel"], data)
        if not values["save"] or not terminal.protocol.is_808:
            event = _EVENT_PLATFORM if terminal.protocol.is_808 else _REASON_PLATFORM_905
            terminal.send_photo(data, number, channel=values["channel"], event=event)


def _find_media(terminal: Terminal, packet: Packet, values: Values) -> None:
    place = jt.fixed_position(terminal.fix_now(), Protocol.JT808)
    rows = [
        (number, kind, channel, _EVENT_PLATFORM, place)
        for number, (kind, channel, _data) in terminal.stored.items()
        if kind == values["kind"] and values["channel"] in (0, channel)
    ]
    terminal.send(0x0802, jt.media_found(packet.serial, rows))


def _upload_media(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.reply(packet, OK)
    if terminal.protocol is Protocol.JT905:
        terminal.send_photo_again(values["media_id"], values["offset"])
        return
    for number, (kind, channel, data) in list(terminal.stored.items()):
        if kind == values["kind"] and values["channel"] in (0, channel):
            terminal.send_media(data, number, kind=kind, channel=channel)


def _upload_one(terminal: Terminal, packet: Packet, values: Values) -> None:
    found = terminal.stored.get(values["media_id"])
    terminal.reply(packet, OK if found is not None else FAILED)
    if found is not None:
        terminal.send_media(found[2], values["media_id"], kind=found[0], channel=found[1])


def _record_sound(terminal: Terminal, packet: Packet, values: Values) -> None:
    terminal.reply(packet, OK)
    if values["on"]:
        number = terminal.next_media_id()
        seconds = min(max(values["seconds"], 1), MAX_SOUND_S)
        terminal.send_audio(media.sound(seconds), number)


def _inspect(terminal: Terminal, _packet: Packet, _values: Values) -> None:
    status = jt.default_status(terminal.protocol) | terminal.ordered
    terminal.send(0x0B11, taxi.inspected(terminal.number[-10:], status, terminal.latched))


def _get_av(terminal: Terminal, _packet: Packet, _values: Values) -> None:
    terminal.send(0x1003, bytes((19, 1, 0, 1, 1, 64, 1, 98, 1, 4)))


def _list_av(terminal: Terminal, packet: Packet, _values: Values) -> None:
    terminal.send(0x1205, packet.serial.to_bytes(2, "big") + bytes(4))


_Handler = Callable[["Terminal", Packet, Values], None]
_ANSWERS: dict[int, _Handler] = {0x8001: _replied, 0x8100: _registered, 0x8003: _parts_wanted, 0x8800: _media_received}
_ORDERS: dict[int, _Handler] = {
    0x8103: _set_parameters, 0x8104: _get_parameters, 0x8106: _get_parameters, 0x8105: _accept,
    0x8107: _get_attributes, 0x8201: _get_position, 0x8202: _track, 0x8203: _confirm, 0x8300: _text,
    0x8400: _call_back, 0x8401: _accept, 0x8500: _control_vehicle, 0x8801: _take_photo, 0x8802: _find_media,
    0x8803: _upload_media, 0x8804: _record_sound, 0x8805: _upload_one, 0x8B0A: _accept, 0x8B0B: _clear,
    0x8B11: _inspect, 0x9003: _get_av, 0x9101: _accept, 0x9102: _accept, 0x9205: _list_av,
    **dict.fromkeys(range(0x8600, 0x8608), _accept),
}  # fmt: skip


# -- GT06 ----------------------------------------------------------------------------------------


def obey_gt06(terminal: Terminal, packet: Packet, values: Values) -> None:
    """Match an answer, or carry out a command and answer it in words, as Concox trackers do."""
    if packet.message_id != gt06.COMMAND:
        terminal.link.answer(packet.serial, OK, packet.message_id)
        return
    if packet.message_id in terminal.silent:
        return
    terminal.texts.append(values["text"])
    number, content = gt06.command_reply(values["flag"], _carried_out(terminal, values["text"]))
    terminal.send(number, content)


def _carried_out(terminal: Terminal, text: str) -> str:
    name, _, rest = text.rstrip("#").partition(",")
    if gt06.COMMAND in terminal.refusing:
        return f"{name} FAIL!"
    if name == "RELAY":
        terminal.ordered = jt.OIL_CUT if rest == "1" else 0
        return "Cut off the fuel supply: Success!" if rest == "1" else "Restore fuel supply: Success!"
    if name in ("WHERE", "URL"):
        fix = terminal.fix_now()
        return f"Lat:N{fix.lat:.6f},Lon:E{fix.lon:.6f},Course:{fix.heading_deg},Speed:{fix.speed_kmh:.4f}"
    return f"{name} OK!"
