"""`Terminal`: one terminal on a real socket, good enough to test a gateway with.

Purpose: it registers, keeps its token, sends places, alarms and files, obeys what it is told and remembers it. Its calls
block; a thread of its own reads and answers. Invariants: `heard` has every message that came, after it was obeyed; what is
not answered in time is sent again with the same serial. `obey` says what it does when it is told something.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Self

from model.clock import Clock, SystemClock
from model.errors import TryAgain, UsageError
from simulator.terminal import gt06, jt, jt_down, obey, taxi
from simulator.terminal.fix import DEFAULT_PLACE, GT06_SOS, SOS_BIT, Fix, loop_fix
from simulator.terminal.hearing import DEFAULT_MAX_HEARD, Ears, Heard, Traffic
from simulator.terminal.identity import DEFAULT_IDENTITY, Identity
from simulator.terminal.jt_down import Values
from simulator.terminal.link import DEFAULT_ANSWER_TIMEOUT_S, DEFAULT_PART_TIMEOUT_S, DEFAULT_RESENDS, Link
from simulator.terminal.uploads import Upload
from simulator.terminal.wire import BadFrame, Packet, Protocol

#: Bytes of one part of a file.
DEFAULT_PART_BYTES = 512
_KIND_IMAGE, _KIND_AUDIO = 0, 1
_CODINGS = {_KIND_IMAGE: 0, _KIND_AUDIO: 3}
#: Messages up that nobody answers: they are answers themselves, or files that 8800 answers.
_ANSWERS_UP = frozenset({
    0x0001, 0x0005, 0x0104, 0x0107, 0x0201, 0x0500, 0x0801, 0x0802, 0x0805, 0x0B11, 0x1003, 0x1205,
    gt06.SHORT_REPLY, gt06.LONG_REPLY,
})  # fmt: skip


class Terminal:
    """One terminal.

    Args:
        host, port: of the gateway.
        protocol: what it speaks.
        number: its terminal number, digits; of GT06 the IMEI.
        identity: plate, maker, model and so on; `plate` replaces its plate.
        place, seed: where it drives when no fix is given.
        token: of an earlier registration.
        watch: called with every message, up and down, in the thread that sends or reads it.

    Attributes:
        heard: messages from the platform, newest last, at most `max_heard`.
        silent: messages down that it does not answer; refusing: those it answers with that result.
        latched: alarm bits that stay in every place until the platform confirms them.
        ordered: status bits that it was ordered: oil, circuit, doors.
        parameters, texts, calls, tracking, stored, uploads: what it was told and holds. A call is (listen only, number,
            longest call in seconds or None).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        protocol: Protocol = Protocol.JT808,
        number: str = "13800000001",
        plate: str = "",
        identity: Identity = DEFAULT_IDENTITY,
        place: tuple[float, float] = DEFAULT_PLACE,
        seed: int = 0,
        token: str = "",
        clock: Clock | None = None,
        watch: Callable[[Traffic], None] | None = None,
        answer_timeout_s: float = DEFAULT_ANSWER_TIMEOUT_S,
        resends: int = DEFAULT_RESENDS,
        part_timeout_s: float = DEFAULT_PART_TIMEOUT_S,
        max_heard: int = DEFAULT_MAX_HEARD,
    ) -> None:
        self.protocol, self.number, self.token = Protocol(protocol), number, token
        self.identity = replace(identity, plate=plate) if plate else identity
        self.place, self.seed = place, seed
        self.clock = clock or SystemClock()
        self.answer_timeout_s = answer_timeout_s
        self.link = Link(
            host, port, protocol=self.protocol, number=number, obey=self._came, missing=self._missing,
            clock=self.clock, answer_timeout_s=answer_timeout_s, resends=resends, part_timeout_s=part_timeout_s,
        )  # fmt: skip
        self.silent: set[int] = set()
        self.refusing: dict[int, int] = {}
        self.latched = self.ordered = self.calls_ended = 0
        self.parameters: dict[int, bytes] = {0x0001: b"\0\0\0\x1e", 0x0029: b"\0\0\0\x0a", 0x0055: b"\0\0\0\x64"}
        if self.protocol is Protocol.JT905:
            self.parameters = {number & 0xFF: value for number, value in self.parameters.items()}
        self.texts: list[str] = []
        self.calls: list[tuple[bool, str, int | None]] = []
        self.tracking: tuple[int, int] | None = None
        self.stored: dict[int, tuple[int, int, bytes]] = {}
        self.uploads: dict[int, Upload] = {}
        self._watch = watch
        self._ears = Ears(max_heard)
        self._media_id, self._piece_bytes = 0, DEFAULT_PART_BYTES

    # -- coming and going ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> Terminal:
        """Open the connection, and say nothing yet. TryAgain when nothing listens there."""
        self.link.connect()
        return self

    def come_online(self) -> Terminal:
        """Connect and do what its protocol wants before places count: register unless it has a token, authenticate, log in.

        TryAgain when the platform does not let it.
        """
        self.connect()
        if self.protocol.is_808 and not self.token:
            self._accepted("register", self.register())
        if self.protocol.is_808:
            self._accepted("authenticate", self.authenticate())
        elif self.protocol is Protocol.GT06:
            self._accepted("log in", self.login())
        return self

    def _accepted(self, what: str, result: int) -> None:
        if result:
            why = jt.REFUSED_REGISTRATION.get(result, "") if what == "register" else ""
            raise TryAgain(
                f"The platform does not let {self.number} {what}: result {result}{why and ', ' + why}.",
                mend="Register the terminal's number there, or have it released.",
            )

    def close(self) -> None:
        """End the connection in order."""
        self.link.close()

    def drop(self) -> None:
        """Break the connection as a power cut would."""
        self.link.close(abrupt=True)

    def reconnect(self) -> Terminal:
        """Come back with the token it has, and send again what was never answered."""
        self.come_online()
        self.link.resend_unanswered()
        return self

    def register(self, *, timeout_s: float | None = None) -> int:
        """0100; the platform's result (0 done, and the token is kept)."""
        one = self.identity
        body = jt.register(
            self.protocol, maker=one.maker, model=one.model, terminal_id=one.terminal_id, plate=one.plate
        )
        return self.wait_answer(self.send(0x0100, body, {"plate": one.plate}), timeout_s)

    def authenticate(self, token: str | None = None, *, timeout_s: float | None = None) -> int:
        """0102 with its token, or with another one; the platform's result."""
        one = self.identity
        said = self.token if token is None else token
        body = jt.authenticate(self.protocol, said, imei=one.imei, software=one.software)
        return self.wait_answer(self.send(0x0102, body), timeout_s)

    def login(self, *, timeout_s: float | None = None) -> int:
        """GT06: say the IMEI; 0 when it was answered."""
        return self.wait_answer(self.send(gt06.LOGIN, gt06.login(self.number), {"imei": self.number}), timeout_s)

    def heartbeat(self) -> int:
        """Serial of a heartbeat."""
        if self.protocol is Protocol.GT06:
            return self.send(gt06.HEARTBEAT, gt06.heartbeat(self._information()))
        return self.send(0x0002, b"")

    # -- places --------------------------------------------------------------------------------

    def fix_now(self) -> Fix:
        """Where it is now, on its loop, with the alarm and status bits that it holds."""
        return self._with_state(loop_fix(self.clock.now_ms(), place=self.place, seed=self.seed))

    def _with_state(self, fix: Fix) -> Fix:
        if self.protocol is Protocol.GT06:
            return fix
        status = jt.default_status(self.protocol) | self.ordered if fix.status is None else fix.status
        return replace(fix, alarm=fix.alarm | self.latched, status=status)

    def send_positions(self, fixes: Sequence[Fix]) -> list[int]:
        """One message a place; their serials."""
        return [self._send_fix(self._with_state(fix)) for fix in fixes]

    def _send_fix(self, fix: Fix, *, buffered: bool = False) -> int:
        values = fix.values()
        if self.protocol is not Protocol.GT06:
            return self.send(0x0200, jt.position(fix, self.protocol), values)
        if fix.alarm:
            return self.send(gt06.ALARM, gt06.alarm(fix, fix.alarm, self._information()), values)
        return self.send(gt06.POSITION, gt06.position(fix, buffered=buffered), values)

    def send_batch(self, fixes: Sequence[Fix], *, blind: bool = True) -> list[int]:
        """0704 (0203 of JT/T 905) with all places as they are; GT06 sends each as re-uploaded. Serials to wait for."""
        if self.protocol is Protocol.GT06:
            return [self._send_fix(fix, buffered=True) for fix in fixes]
        message_id = 0x0203 if self.protocol is Protocol.JT905 else 0x0704
        body = jt.batch(fixes, self.protocol, blind=blind)
        return [self.send(message_id, body, {"places": len(fixes), "blind": blind})]

    def press_sos(self, fix: Fix | None = None) -> int:
        """The button: a place with the alarm goes out at once; the bit stays until it is confirmed. Its serial."""
        if self.protocol is Protocol.GT06:
            return self._send_fix(replace(fix or self.fix_now(), alarm=GT06_SOS))
        self.latched |= SOS_BIT
        return self._send_fix(self._with_state(fix or self.fix_now()))

    def release_sos(self) -> None:
        """The driver let go: later places come without the bit."""
        self.latched &= ~SOS_BIT

    # -- files ---------------------------------------------------------------------------------

    def next_media_id(self) -> int:
        """A number for a new file."""
        self._media_id += 1
        return self._media_id

    def send_photo(
        self,
        data: bytes,
        media_id: int,
        *,
        lose: Collection[int] = (),
        part_bytes: int = DEFAULT_PART_BYTES,
        channel: int = 1,
        event: int = 2,
        fix: Fix | None = None,
    ) -> Upload:
        """A JPEG in parts; `lose` names parts that do not arrive until they are asked for again.

        `event` is why: of JT/T 808 0 the platform asked, 2 robbery; of JT/T 905 2 alarm, 3 the centre asked.
        """
        if self.protocol is Protocol.JT905:
            return self._send_taxi_photo(data, media_id, lose, part_bytes, channel, event, fix)
        return self.send_media(data, media_id, lose=lose, part_bytes=part_bytes, channel=channel, event=event, fix=fix)

    def send_audio(self, data: bytes, media_id: int, *, part_bytes: int = DEFAULT_PART_BYTES) -> Upload:
        """A WAV in parts (JT/T 808 alone)."""
        return self.send_media(data, media_id, kind=_KIND_AUDIO, part_bytes=part_bytes)

    def send_media(
        self,
        data: bytes,
        media_id: int,
        *,
        kind: int = _KIND_IMAGE,
        lose: Collection[int] = (),
        part_bytes: int = DEFAULT_PART_BYTES,
        channel: int = 1,
        event: int = 0,
        fix: Fix | None = None,
    ) -> Upload:
        """0801 in parts of `part_bytes`, done when 8800 asks for nothing more."""
        if not self.protocol.is_808:
            raise UsageError(f"{self.protocol} has no message for this file.", mend="Use jt808 or jt808-2019.")
        head = jt.media_head(media_id, kind=kind, coding=_CODINGS[kind], event=event, channel=channel)
        body = jt.media(head, fix or self.fix_now(), data, self.protocol)
        packets = self.link.prepare(0x0801, body, answered=False, max_body_bytes=part_bytes)
        return self._upload(media_id, packets, lose, len(data))

    def _upload(self, media_id: int, packets: list[Packet], lose: Collection[int], size_bytes: int) -> Upload:
        upload = self.uploads[media_id] = Upload(media_id, packets, by_replies=not self.protocol.is_808)
        note = f"{len(packets)} parts" + (f", lost {sorted(lose)}" if lose else "")
        self._saw(packets[0], up=True, values={"media_id": media_id, "bytes": size_bytes}, note=note)
        self.link.send_raw(b"".join(packet.raw for packet in packets if packet.index not in lose))
        return upload

    def _send_taxi_photo(
        self,
        data: bytes,
        media_id: int,
        lose: Collection[int],
        part_bytes: int,
        camera: int,
        reason: int,
        fix: Fix | None,
    ) -> Upload:
        """0800 of JT/T 905: the place and the picture, cut by offset; each piece is answered by 8001."""
        whole = jt.fixed_position(fix or self.fix_now(), self.protocol) + data
        bodies = jt.taxi_photo(media_id, whole, reason=reason, camera=camera, piece_bytes=part_bytes)
        packets = [
            replace(self.link.prepare(0x0800, body, answered=True)[0], index=index)
            for index, body in enumerate(bodies, start=1)
        ]
        self._piece_bytes = part_bytes
        return self._upload(media_id, packets, lose, len(data))

    def send_photo_again(self, media_id: int, offset: int) -> None:
        """JT/T 905: the photo from that offset on."""
        upload = self.uploads.get(media_id)
        if upload is not None:
            self.send_packets(upload.rest(offset // self._piece_bytes + 1))

    # -- a taxi's shift ------------------------------------------------------------------------

    def sign_on(self, *, fix: Fix | None = None) -> int:
        """0B03; its serial."""
        self._only_905()
        now = fix or self.fix_now()
        return self.send(0x0B03, taxi.sign_on(now, self.identity.driver, now.time_ms))

    def sign_off(self, shift: taxi.Shift = taxi.DEFAULT_SHIFT, *, hours: float = 8.0, fix: Fix | None = None) -> int:
        """0B04 after so many hours; its serial."""
        self._only_905()
        now = fix or self.fix_now()
        began_ms = now.time_ms - int(hours * 3_600_000)
        return self.send(0x0B04, taxi.sign_off(now, self.identity.driver, shift, began_ms, now.time_ms))

    def trip_record(self, began: Fix, ended: Fix, *, trip: int = 1, rating: int = 0) -> int:
        """0B05; its serial."""
        self._only_905()
        return self.send(0x0B05, taxi.trip_record(began, ended, trip=trip, rating=rating), {"trip": trip})

    def _only_905(self) -> None:
        if self.protocol is not Protocol.JT905:
            raise UsageError(f"{self.protocol} knows no shifts.", mend="Use jt905.")

    # -- what it hears -------------------------------------------------------------------------

    def wait_for(
        self, message_id: int, timeout_s: float = 10.0, where: Callable[[Values], bool] | None = None
    ) -> Heard:
        """The next message of that number (for which `where` holds); each is given once. TryAgain when none comes."""
        return self._ears.wait_for(message_id, timeout_s, where)

    @property
    def heard(self) -> list[Heard]:
        """Messages from the platform, newest last."""
        return self._ears.all()

    def wait_answer(self, serial: int, timeout_s: float | None = None) -> int:
        """The platform's result for what it sent with that serial. TryAgain when it says nothing."""
        return self.link.wait_answer(serial, self.answer_timeout_s if timeout_s is None else timeout_s)

    def wait_answers(self, serials: Sequence[int], timeout_s: float | None = None) -> list[int]:
        """The results of all, in order; the time-out is for each."""
        return [self.wait_answer(serial, timeout_s) for serial in serials]

    @property
    def busy(self) -> bool:
        """Whether the platform still has something to answer."""
        return self.link.up and bool(self.link.unanswered() or any(not one.done for one in self.uploads.values()))

    def longest_call_s(self) -> int | None:
        """What it was told about the longest single call; None: nothing."""
        value = self.parameters.get(obey.LONGEST_CALL)
        return None if value is None else int.from_bytes(value, "big")

    # -- used by `obey` ------------------------------------------------------------------------

    def send(self, message_id: int, body: bytes, values: Values | None = None) -> int:
        """Any message; the serial that answers it (of the last part). It is sent again when it awaits an answer."""
        answered = message_id in gt06.ANSWERED if self.protocol is Protocol.GT06 else message_id not in _ANSWERS_UP
        packets = self.link.prepare(message_id, body, answered=answered)
        self._saw(packets[-1], up=True, values=values or {})
        self.link.send_raw(b"".join(packet.raw for packet in packets))
        return packets[-1].serial

    def reply(self, packet: Packet, result: int) -> None:
        """0001 to a message of the platform."""
        values = {"serial": packet.serial, "message_id": packet.message_id, "result": result}
        self.send(0x0001, jt.reply(packet.serial, packet.message_id, result), values)

    def send_packets(self, packets: Sequence[Packet]) -> None:
        """Frames once more, as they were."""
        for packet in packets:
            self.link.send_raw(packet.raw)
            self._saw(packet, up=True, values={}, note=f"part {packet.index} again")

    def attributes(self) -> bytes:
        """Body of 0107."""
        one = self.identity
        return jt.attributes(
            self.protocol, maker=one.maker, model=one.model, terminal_id=one.terminal_id, iccid=one.iccid,
            hardware=one.hardware, software=one.software,
        )  # fmt: skip

    def _information(self) -> int:
        return gt06.information(cut=bool(self.ordered & jt.OIL_CUT), armed=False)

    def _missing(self, serial: int, parts: list[int]) -> None:
        self.send(0x0005, jt.parts_missing(serial, parts), {"serial": serial, "parts": parts})

    def _came(self, packet: Packet) -> None:
        taxi_or_808 = self.protocol is not Protocol.GT06
        try:
            if taxi_or_808:
                values = jt_down.read(packet.message_id, packet.body, self.protocol)
            else:
                values = gt06.read(packet.message_id, packet.body)
        except BadFrame as error:
            self.link.counts.bad.append(str(error))
            values = {"hex": packet.body.hex()}
            self._saw(packet, up=False, values=values, note=str(error))
            if taxi_or_808:
                self.reply(packet, obey.BAD_MESSAGE)
        else:
            self._saw(packet, up=False, values=values)
            (obey.obey_jt if taxi_or_808 else obey.obey_gt06)(self, packet, values)
        self._ears.add(Heard(packet.message_id, packet.serial, values, self.clock.monotonic_s()))

    def _saw(self, packet: Packet, *, up: bool, values: Values, note: str = "") -> None:
        if self._watch is not None:
            names = gt06.NAMES if self.protocol is Protocol.GT06 else jt.NAMES
            name = names.get(packet.message_id, "unknown")
            self._watch(Traffic(up, packet.message_id, name, packet.serial, values, packet.raw, note))
