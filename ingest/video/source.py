"""`Source`: one stream opened by FFmpeg, and its compressed pictures, one after the other.

Invariants: only video packets come out, as bytes of our own, with ticks that go on and a time on our clock; nothing larger
than its limit; nothing is opened but the pinned address (`preflight` before, `peers` after). Every failure is a
`StreamLost` without credentials; FFmpeg's own log is off, since it writes URLs. One thread opens, reads and closes;
`interrupt` is for any other. A read that hangs in spite of its time-out is the `watchdog`'s.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import av.container
import av.logging
import av.video.stream
from av.stream import Discard

from ingest.video.address import PinnedAddress
from ingest.video.lost import StreamLost, lost_from
from ingest.video.media_clock import MediaClock, Timeline
from ingest.video.parameter_sets import changed, is_annex_b, joined, parameter_sets, picture_size
from ingest.video.peers import PEERS, Claim
from ingest.video.preflight import Described, looked_at
from ingest.video.seams import LossReason
from model.clock import Clock
from model.video import TICKS_PER_S, Packet, StreamInfo

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
MAX_PACKET_BYTES = 8 * 1024 * 1024
CODECS = frozenset({"h264", "hevc"})
#: FFmpeg looks at the first packet and no further: to guess the reordering of H.264 it waits for eight, 40 s at 0.2 fps.
_PROBE_BYTES = 32
_PAUSE_S = 0.2
#: A stream that ends after so much of its time-out without a picture has timed out.
_SILENT_SHARE = 0.9
_MAX_FPS = 1_000.0
_FALLBACK_FPS = Fraction(25)

# FFmpeg's messages hold addresses with credentials.
av.logging.set_level(None)


class Source:
    """One stream, opened once.

    Args:
        address: what is opened.
        transport: `tcp` or `udp` of RTSP.
        open_timeout_s, read_timeout_s: silence after which opening and reading end.
        max_packet_bytes: a larger packet is dropped; the one after it is marked corrupt.
        clock: for receive times and the pace of files.
        epoch: of `StreamInfo`.
        pace: whether a file is played at the pace of its pictures, else as fast as it is taken.
        loop: whether a file is played for ever.

    Attributes:
        described: what the server said before it was opened; None of files, and before `open`.
        audio: whether there is sound.
        dropped: packets over the limit or without bytes.
        media_clock: of this stream.
    """

    def __init__(
        self,
        address: PinnedAddress,
        *,
        transport: str = "tcp",
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        clock: Clock,
        epoch: int = 1,
        pace: bool = True,
        loop: bool = True,
    ) -> None:
        self.described: Described | None = None
        self.audio = False
        self.dropped = 0
        self.media_clock = MediaClock()
        self._address = address
        self._transport = "tcp" if address.scheme == "rtsps" else transport
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
        self._max_packet_bytes = max_packet_bytes
        self._clock = clock
        self._epoch = epoch
        self._pace = pace
        self._loop = loop
        self._timeline = Timeline()
        self._container: av.container.InputContainer | None = None
        self._stream: av.video.stream.VideoStream | None = None
        self._claim: Claim | None = None
        self._info: StreamInfo | None = None
        self._sets: tuple[bytes, ...] = ()
        self._interrupted = threading.Event()
        self._corrupt_next = False
        self._returned_ms = 0
        self._returned_s = self._gap_s = 0.0

    # -- opening ------------------------------------------------------------------------------

    def open(self) -> StreamInfo:
        """Open it. Raises StreamLost."""
        try:
            self._open()
            assert self._info is not None
            return self._info
        except Exception as error:
            self.close()
            raise lost_from(error) from None

    def _open(self) -> None:
        self._returned_s = self._clock.monotonic_s()
        address = self._address
        if address.file is not None:
            self._container = av.open(address.url, "r", format=address.format, options=self._options())
        else:
            tls = ssl.create_default_context() if address.scheme == "rtsps" else None
            with looked_at(address, timeout_s=self._open_timeout_s, tls=tls) as self.described:
                self._stop_if_interrupted()
                # FFmpeg's own time-out is not heard while UDP is silent. PyAV's takes the lock of the interpreter for each
                # read, so TCP goes without.
                limits = (self._open_timeout_s, self._read_timeout_s) if self._transport == "udp" else None
                with PEERS.opening(address.ip, address.port) as opening:
                    self._container = av.open(
                        address.url, "r", format=address.format, options=self._options(), timeout=limits
                    )
                    self._claim = opening.claim()
                if self._transport == "udp":
                    PEERS.check_datagrams(address.ip)
        self._stop_if_interrupted()
        self.audio = bool(self._container.streams.audio) or (self.described is not None and self.described.audio)
        self._choose(self._container)

    def _stop_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise StreamLost(LossReason.STOPPED, "it was stopped while it was opened")

    def _options(self) -> dict[str, str]:
        address = self._address
        if address.file is not None:
            return {
                "protocol_whitelist": address.protocols,
                "format_whitelist": av.ContainerFormat(address.format).name,
            }
        options = {
            "protocol_whitelist": address.protocols,
            "rtsp_transport": self._transport,
            "allowed_media_types": "video",
            "timeout": str(round(self._read_timeout_s * 1_000_000)),
            "probesize": str(_PROBE_BYTES),
            "fpsprobesize": "0",
        }
        if self._transport == "udp":
            options["rtsp_flags"] = "filter_src"
        if address.scheme == "rtsps":
            options |= {"tls_verify": "1", "verifyhost": address.host}
            bundle = ssl.get_default_verify_paths().cafile
            if bundle:
                options["ca_file"] = bundle
        return options

    def _choose(self, container: av.container.InputContainer) -> None:
        if not container.streams.video:
            reason = LossReason.AUDIO_ONLY if container.streams.audio else LossReason.NOT_VIDEO
            raise StreamLost(
                reason, "there is sound and no picture" if container.streams.audio else "there is no picture"
            )
        stream = next((s for s in container.streams.video if s.codec_context.name in CODECS), None)
        if stream is None:
            name = container.streams.video[0].codec_context.name
            raise StreamLost(LossReason.UNSUPPORTED, f"the pictures are {name}, not H.264 or H.265")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        self._stream = stream
        context = stream.codec_context
        extradata = bytes(context.extradata or b"")
        self._sets = parameter_sets(context.name, extradata + b"\0\0\1\0\0") if is_annex_b(extradata) else ()
        rate = stream.average_rate or stream.guessed_rate
        self._info = StreamInfo(
            codec=context.name,
            width_px=context.width,
            height_px=context.height,
            extradata=extradata,
            declared_fps=float(rate) if rate and 0 < rate <= _MAX_FPS else 0.0,
            epoch=self._epoch,
        )

    # -- reading ------------------------------------------------------------------------------

    def packets(self) -> Iterator[Packet]:
        """The packets, until the stream ends (StreamLost) or, for a file that is not played for ever, the file does.

        The `info` of a packet is another object when the stream's parameters changed with it.
        """
        try:
            if self._address.file is None:
                yield from self._demuxed()
                raise self._ended()
            yield from self._played()
        except Exception as error:
            if self._interrupted.is_set():
                raise StreamLost(LossReason.STOPPED, "it was stopped") from None
            raise lost_from(error) from None

    def _ended(self) -> StreamLost:
        """Why reading came to its end: after a time-out FFmpeg says no more than that."""
        if self._interrupted.is_set():
            return StreamLost(LossReason.STOPPED, "it was stopped")
        if self._claim is not None and self._claim.doubted:
            return StreamLost(LossReason.UNREACHABLE, "another stream of this address was led elsewhere")
        # The picture that FFmpeg still held comes out at the end, after the silence.
        silent_s = max(self._gap_s, self._clock.monotonic_s() - self._returned_s)
        if silent_s >= _SILENT_SHARE * self._read_timeout_s:
            return StreamLost(LossReason.TIMED_OUT, "the camera said nothing in time")
        return StreamLost(LossReason.ENDED, "the camera ended the stream")

    def _demuxed(self) -> Iterator[Packet]:
        assert self._container is not None
        assert self._stream is not None
        time_base = self._stream.time_base or Fraction(1, TICKS_PER_S)
        scale = time_base * TICKS_PER_S
        whole = scale.numerator if scale.denominator == 1 else 0
        for raw in self._container.demux(self._stream):
            if self._interrupted.is_set() or (self._claim is not None and self._claim.doubted):
                return
            if not raw.size:
                continue
            pts, dts = raw.pts, raw.dts
            if whole != 1:
                pts = None if pts is None else round(pts * scale)
                dts = None if dts is None else round(dts * scale)
            packet = self._packet(raw, pts, dts)
            if packet is not None:
                yield packet

    def _packet(self, raw: av.Packet[av.video.stream.VideoStream], pts: int | None, dts: int | None) -> Packet | None:
        if raw.size > self._max_packet_bytes:
            self.dropped += 1
            self._corrupt_next = True
            return None
        data = bytes(raw)
        keyframe = raw.is_keyframe
        if keyframe:
            self._look_for_change(data)
        received_ms = self._received_ms()
        pts, dts = self._timeline.place(pts, dts, self._clock.monotonic_s())
        corrupt, self._corrupt_next = raw.is_corrupt or self._corrupt_next, False
        assert self._info is not None
        time_ms = self.media_clock.time_ms(pts, received_ms) if self._pace else received_ms
        return Packet(data, pts, dts, time_ms, received_ms, keyframe, corrupt, self._info)

    def _received_ms(self) -> int:
        """When the picture that was returned just now came: of RTSP, FFmpeg returns one once it sees the next begin.

        So it came when the one before was returned; with a picture each 5 s that is 5 s ago.
        """
        before_ms, self._returned_ms = self._returned_ms, self._clock.now_ms()
        now_s = self._clock.monotonic_s()
        self._gap_s, self._returned_s = now_s - self._returned_s, now_s
        return before_ms if before_ms and self._address.file is None else self._returned_ms

    def _look_for_change(self, data: bytes) -> None:
        info = self._info
        assert info is not None
        if not is_annex_b(info.extradata):
            return
        seen = parameter_sets(info.codec, data)
        known = changed(info.codec, self._sets, seen) if seen else None
        if known is None:
            return
        self._sets = known
        width_px, height_px = picture_size(info.codec, data)
        self._info = replace(
            info,
            extradata=joined(known),
            width_px=width_px or info.width_px,
            height_px=height_px or info.height_px,
        )

    # -- files --------------------------------------------------------------------------------

    def _played(self) -> Iterator[Packet]:
        start_s = self._clock.monotonic_s()
        base = played = 0
        while True:
            first: int | None = None
            end = 0
            for raw_packet, pts, dts, step in self._file_packets():
                first = dts if first is None else first
                at = base + dts - first
                played += 1
                if self._pace:
                    self._wait(start_s + at / TICKS_PER_S)
                if self._interrupted.is_set():
                    return
                packet = self._packet(raw_packet, at + max(0, pts - dts), at)
                end = at + step
                if packet is not None:
                    yield packet
            if not self._loop or not played:
                return
            base, played = end, 0
            self._again()

    def _file_packets(self) -> Iterator[tuple[av.Packet[av.video.stream.VideoStream], int, int, int]]:
        """Packets of the file with PTS, DTS and length in ticks; made from the frame rate where the file has none."""
        assert self._container is not None
        assert self._stream is not None
        scale = (self._stream.time_base or Fraction(1, TICKS_PER_S)) * TICKS_PER_S
        rate = self._stream.average_rate or self._stream.guessed_rate or _FALLBACK_FPS
        usual = max(1, round(TICKS_PER_S / rate))
        next_dts = 0
        for raw in self._container.demux(self._stream):
            if not raw.size:
                continue
            dts = next_dts if raw.dts is None else round(raw.dts * scale)
            pts = dts if raw.pts is None else round(raw.pts * scale)
            step = round(raw.duration * scale) if raw.duration else usual
            next_dts = dts + step
            yield raw, pts, dts, step

    def _wait(self, until_s: float) -> None:
        while not self._interrupted.is_set():
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            self._clock.sleep(min(left_s, _PAUSE_S))

    def _again(self) -> None:
        assert self._container is not None
        self._container.close()
        self._container = av.open(self._address.url, "r", format=self._address.format, options=self._options())
        info = self._info
        self._choose(self._container)
        if info is not None and self._info == info:
            self._info = info

    # -- ending -------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Have `open` or `packets` end soon; from any thread."""
        self._interrupted.set()
        self.end_read()

    def end_read(self) -> None:
        """Have a read that takes too long end, as if the camera had gone; from any thread."""
        claim = self._claim
        if claim is not None:
            claim.end()

    def take_dropped(self) -> int:
        """How many packets were dropped since this was asked last."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    def close(self) -> None:
        """Let everything go; any number of times, on the reading thread."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            container.close()
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()
