"""One camera in its worker: from its packets to the ring, the recorder, live views and the slab.

Invariants: what a camera sends is taken on its connection's own thread, so one that hangs, hangs alone; where masks are
set, nothing but masked packets goes beyond `on_packet`; every stay in a decoder leaves a crumb. Others ask it things from
their threads: those only set marks that its own thread reads, or read numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.gate.planner import Decode, DecodePlanner
from ingest.video.connection import CameraConnection, ConnectionLimits
from ingest.video.decoding import PictureDecoder
from ingest.video.jpeg import jpeg_of, picture_at
from ingest.video.recorder import SegmentWriter
from ingest.video.ring import PacketRing
from ingest.video.seams import LossReason
from ingest.video.transcoding import MaskedStream
from lucheng.video.live_view import PLAYABLE_CODEC, LiveView
from lucheng.video.messages import Noticed, Piece, Report
from lucheng.video.rates import StreamRates
from lucheng.video.rule_watch import RuleWatch
from model.video import Fragment

if TYPE_CHECKING:
    from analytics.gate.limits import PlanLimits
    from config.cameras import Camera
    from ingest.video.address import PinnedAddress
    from ingest.video.decoding import Picture
    from ingest.video.opening import OpenTurns
    from ingest.video.recording_disk import RecordingDisk
    from ingest.video.seams import Loss
    from ingest.video.watchdog import Watchdog
    from lucheng.video.crumbs import Crumb, Crumbs
    from lucheng.video.outbox import Outbox
    from lucheng.video.slab import Looked, Slab
    from model.camera import CameraSetup
    from model.clock import Clock
    from model.video import Packet, StreamInfo

#: Of MJPEG: pictures a second at most, quality and width.
JPEG_EVERY_MS = 250
JPEG_QUALITY = 75
JPEG_WIDTH_PX = 960
SNAPSHOT_QUALITY = 90
#: So long a demand for pictures is renewed for while somebody looks at them.
DEMAND_MS = 5_000
#: A sub-stream's ring: enough to begin a live view.
SUB_RING_S = 10.0
#: Motion between two looks counts so long at most.
MAX_MOVED_MS = 10_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all cameras of a worker share.

    Attributes:
        limits: of the settings. plan: of the decode policy.
        clock, turns, watchdog, crumbs, slab, outbox, disk: see their rooms.
        address: checks and pins an address, anew at each open.
        look: hands a picture to the detector; None where there is none.
        hung: told of a camera whose thread was given up.
        seed: of jitter.
    """

    limits: Camera
    plan: PlanLimits
    clock: Clock
    turns: OpenTurns
    watchdog: Watchdog
    crumbs: Crumbs
    slab: Slab
    outbox: Outbox
    disk: RecordingDisk
    address: Callable[[str], PinnedAddress]
    look: Callable[[WatchedCamera, Looked], None] | None
    hung: Callable[[str], None]
    seed: int


class WatchedCamera:
    """See the module.

    Args:
        setup: of the camera.
        row: its row of the slab and of the crumbs.
        around: see there.
    """

    def __init__(self, setup: CameraSetup, row: int, around: Surroundings) -> None:
        self.setup = setup
        self.row = row
        self._around = around
        settings = setup.settings
        self.ring = PacketRing(max_s=around.limits.ring_s, max_bytes=around.limits.ring_bytes)
        self.planner = DecodePlanner(settings, has_substream=bool(setup.sub_url), limits=around.plan, seed=setup.slot)
        self.rules = RuleWatch(setup.device, settings, self._notice)
        self.masked = bool(settings.masks)
        self._rates = StreamRates()
        self._masking: MaskedStream | None = None
        self._quick: PictureDecoder | None = None
        self._full: PictureDecoder | None = None
        self._info: StreamInfo | None = None
        self._loss: Loss | None = None
        self._seen: Looked | None = None
        self._decoded = self._bad = 0
        self._jpeg_until_ms = 0
        self._jpeg_ms = 0
        self._view = LiveView(setup.device, self._deliver_mp4, masked=self.masked)
        self._view_of_sub = False
        self._sub: _SubStream | None = None
        self._sub_lock = threading.Lock()
        self._recorder = SegmentWriter(
            setup.device,
            around.disk,
            mode=settings.record,
            masked=self.masked,
            after_s=settings.post_roll_s,
        )
        self._connection = self._connect(setup.url, self)

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch."""
        settings = self.setup.settings
        self._around.slab.enter(
            self.row,
            self,
            sensitivity=settings.sensitivity,
            zones=self.rules.zone_labels,
            ignore=self.rules.ignored,
        )
        self._connection.start()

    def stop(self, timeout_s: float) -> None:
        """Watch no more; what is being recorded is finished."""
        self._connection.stop(timeout_s)
        self._end_sub(timeout_s)
        self._view.end()
        self._recorder.close()
        self._around.slab.leave(self.row)
        self._around.crumbs.clear(self.row)

    def _connect(self, url: str, sink: WatchedCamera | _SubStream) -> CameraConnection:
        around, limits = self._around, self._around.limits
        return CameraConnection(
            self.setup.device,
            lambda: around.address(url),
            sink,
            turns=around.turns,
            watchdog=around.watchdog,
            clock=around.clock,
            transport=self.setup.settings.transport,
            limits=ConnectionLimits(
                open_timeout_s=limits.open_timeout_s,
                read_timeout_s=limits.read_timeout_s,
                stuck_after_s=limits.stuck_after_s,
                decode_timeout_s=limits.decode_timeout_s,
                back_off_min_s=limits.back_off_min_s,
                back_off_max_s=limits.back_off_max_s,
                max_packet_bytes=limits.max_packet_bytes,
            ),
            seed=around.seed + 2 * self.setup.slot + isinstance(sink, _SubStream),
        )

    # -- its packets, on its own thread -------------------------------------------------------

    def on_open(self, info: StreamInfo) -> None:
        """See `PacketSink`."""
        before, self._info, self._loss = self._info, info, None
        same = before is not None and _same_pictures(before, info)
        if before is None or before.epoch != info.epoch:
            self._rates.reset()
        if self.masked:
            self._masking = MaskedStream(info, self.setup.settings.masks)
        else:
            self._opened(info, same=same)

    def _opened(self, info: StreamInfo, *, same: bool) -> None:
        max_pixels = self._around.limits.max_pixels
        for decoder in (self._quick, self._full):
            if decoder is not None:
                decoder.close()
        self._quick = PictureDecoder(info, fast=True, max_pixels=max_pixels)
        self._full = PictureDecoder(info, fast=False, max_pixels=max_pixels)
        if same:
            self.planner.interrupted()
        else:
            self.planner.reset()
            self._around.slab.reset(self.row)

    def on_packet(self, packet: Packet) -> None:
        """See `PacketSink`."""
        self._rates.take(packet)
        if self._masking is None:
            self._take(packet)
            return
        with self._crumb():
            masked = self._masking.push(packet)
        for one in masked:
            if self._quick is None or one.info is not self._masked_info:
                same = self._quick is not None and _same_pictures(self._masked_info, one.info)
                self._masked_info = one.info
                self._opened(one.info, same=same)
            self._take(one)

    _masked_info: StreamInfo

    def on_lost(self, loss: Loss) -> None:
        """See `PacketSink`."""
        self._loss = loss
        self._recorder.broke()
        if loss.reason in {LossReason.STUCK, LossReason.DECODE}:
            self._around.hung(self.setup.device)
        self.rules.stopped(self._around.clock.now_ms())

    def _take(self, packet: Packet) -> None:
        self.ring.append(packet)
        self._recorder.put(packet)
        if self._view.on and not self._view_of_sub:
            self._view.push(packet)
        action = self.planner.decide(
            len(packet.data), keyframe=packet.keyframe, time_ms=packet.time_ms, corrupt=packet.corrupt
        )
        if action is not Decode.SKIP:
            self._decode(packet, action)
        if packet.keyframe:
            self._follow_substream()

    def _decode(self, packet: Packet, action: Decode) -> None:
        assert self._quick is not None
        assert self._full is not None
        with self._crumb():
            if action is Decode.KEYFRAME:
                one = self._quick.keyframe_only(packet)
                pictures = [one] if one is not None else []
            elif action is Decode.CATCH_UP:
                self._full.drain()  # what it knew is of another time
                pictures = []
                for earlier in self.ring.from_last_keyframe():
                    pictures = self._full.decode(earlier) or pictures
            else:
                pictures = self._full.decode(packet)
            if pictures:
                self._look(pictures[-1])
        self._decoded += len(pictures)
        self._bad = self._quick.errors + self._full.errors

    def _look(self, picture: Picture) -> None:
        """A picture was decoded: it goes to the slab and to who watches by pictures."""
        slab = self._around.slab
        if slab.wants(self.row, picture.time_ms):
            slab.put(self.row, picture, keep=self._around.look is not None and self.rules.wants_objects)
        now_ms = self._around.clock.now_ms()
        if self._jpeg_until_ms > now_ms and not 0 <= picture.time_ms - self._jpeg_ms < JPEG_EVERY_MS:
            self._jpeg_ms = picture.time_ms
            data = jpeg_of(picture, quality=JPEG_QUALITY, max_width_px=JPEG_WIDTH_PX)
            fragment = Fragment(
                self.setup.device, "jpeg", keyframe=True, data=data, time_ms=picture.time_ms, transcoded=self.masked
            )
            self._around.outbox.put_live(Piece("jpeg", fragment))

    def _crumb(self) -> Crumb:
        return self._around.crumbs.enter(self.row, self._around.clock.monotonic_s())

    # -- its sub-stream -----------------------------------------------------------------------

    def _follow_substream(self) -> None:
        """Open the sub-stream where it is wanted, and close it where it is not."""
        wanted = bool(self.setup.sub_url) and not self.masked and (self.planner.wants_substream or self._view_of_sub)
        with self._sub_lock:
            if wanted and self._sub is None:
                self._sub = _SubStream(self)
                self._sub.connection = self._connect(self.setup.sub_url, self._sub)
                self._sub.connection.start()
        if not wanted:
            self._end_sub(0.0)

    def _end_sub(self, timeout_s: float) -> None:
        with self._sub_lock:
            sub, self._sub = self._sub, None
        if sub is not None and sub.connection is not None:
            sub.connection.stop(timeout_s)

    # -- what others ask, from their threads --------------------------------------------------

    def demand(self, until_ms: int) -> None:
        """Decode everything until then."""
        self.planner.demand(until_ms)

    def start_live(self, mode: str) -> None:
        """Send fragments from now on."""
        if mode == "jpeg":
            self._jpeg_until_ms = 1 << 62
            self.renew_demand()
            return
        packets = self.ring.from_last_keyframe()
        hard = packets[-1].info.codec != PLAYABLE_CODEC if packets else False
        self._view_of_sub = hard and bool(self.setup.sub_url) and not self.masked
        if self._view_of_sub:
            self._follow_substream()
            packets = self._sub.ring.from_last_keyframe() if self._sub is not None else []
        self._view.begin(packets)

    def stop_live(self, mode: str) -> None:
        """Send no more."""
        if mode == "jpeg":
            self._jpeg_until_ms = 0
        else:
            self._view.end()
            self._view_of_sub = False

    def renew_demand(self) -> None:
        """Somebody looks at single pictures still; to be called now and then."""
        if self._jpeg_until_ms > self._around.clock.now_ms():
            self.planner.demand(self._around.clock.now_ms() + DEMAND_MS)

    def snapshot(self) -> tuple[bytes, int]:
        """The newest picture as a JPEG, and when it was taken; b"" where the ring holds none.

        Decodes on the caller's thread. Raises NotFound: none could be decoded cleanly.
        """
        packets = self.ring.from_last_keyframe()
        if not packets:
            return b"", 0
        with self._crumb():
            newest = picture_at(packets, max_pixels=self._around.limits.max_pixels)
            return jpeg_of(newest, quality=SNAPSHOT_QUALITY), newest.time_ms

    # -- what it tells ------------------------------------------------------------------------

    @property
    def rates(self) -> tuple[float, float, float, float]:
        """See `Watcher`."""
        rates = self._rates
        return rates.fps, rates.bitrate_kbps, rates.keyframe_gap_s, rates.corrupt_share

    def looked(self, seen: Looked) -> None:
        """See `Watcher`; on the slab's thread."""
        self.planner.saw(seen.time_ms, moved=seen.moving, still=seen.still)
        before, self._seen = self._seen, seen
        self.rules.looked(seen)
        if seen.motion:
            self.event(seen.time_ms)
            if before is not None and before.motion:
                self._recorder.moved(min(max(0, seen.time_ms - before.time_ms), MAX_MOVED_MS))
        if seen.picture is not None and seen.motion and self._around.look is not None:
            self._around.look(self, seen)

    def _notice(self, noticed: Noticed) -> None:
        if not noticed.cleared and noticed.kind != "camera_state":
            self.event(noticed.time_ms)
        self._around.outbox.put(noticed)

    def event(self, time_ms: int) -> None:
        """Something happens: a camera that records events records it, with what came before."""
        if self.setup.settings.record != "events":
            return
        from_ms = time_ms - round(self.setup.settings.pre_roll_s * 1000)
        self._recorder.event(time_ms, () if self._recorder.recording else self.ring.since_keyframe(from_ms))

    def _deliver_mp4(self, fragment: Fragment) -> None:
        self._around.outbox.put_live(Piece("mp4", fragment))

    def report(self) -> Report:
        """How it is now."""
        rates, plan, seen, info = self._rates, self.planner.status, self._seen, self._info
        age_s = float("inf")
        if self._connection.last_packet_s is not None:
            age_s = self._around.clock.monotonic_s() - self._connection.last_packet_s
        recall = plan.gate.recall
        return Report(
            device=self.setup.device,
            epoch=info.epoch if info is not None else 0,
            link=self._connection.state,
            media_age_s=age_s,
            lag_ms=rates.lag_ms,
            fps=rates.fps,
            bitrate_kbps=rates.bitrate_kbps,
            keyframe_gap_s=rates.keyframe_gap_s,
            codec=info.codec if info is not None else "",
            width_px=info.width_px if info is not None else 0,
            height_px=info.height_px if info is not None else 0,
            mode=plan.mode.value + (" thinned" if plan.thinned else ""),
            gate=plan.gate.state,
            gate_recall=recall if recall is not None else -1.0,
            gate_why_en=plan.gate.why.en,
            gate_why_zh=plan.gate.why.zh,
            health=seen.health if seen is not None else 0,
            moving=seen is not None and seen.motion and self._loss is None,
            motion_share=seen.motion_share if seen is not None else 0.0,
            loss=self._loss.reason.value if self._loss is not None else "",
            loss_detail=self._loss.detail if self._loss is not None else "",
            ring_ms=self.ring.span_ms,
            ring_bytes=self.ring.bytes,
            decoded=self._decoded,
            bad=self._bad,
            recording=self._recorder.recording,
            masked=self.masked,
        )


class _SubStream:
    """The sub-stream of a camera, while it is open: decoded for the slab, or viewed. Its own thread calls it."""

    def __init__(self, camera: WatchedCamera) -> None:
        self._camera = camera
        self.ring = PacketRing(max_s=SUB_RING_S, max_bytes=camera._around.limits.ring_bytes)  # noqa: SLF001 a part of it
        self.connection: CameraConnection | None = None
        self._decoder: PictureDecoder | None = None

    def on_open(self, info: StreamInfo) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = PictureDecoder(info, fast=False, max_pixels=self._camera._around.limits.max_pixels)  # noqa: SLF001
        self._camera.planner.reset_sub()

    def on_packet(self, packet: Packet) -> None:
        camera = self._camera
        self.ring.append(packet)
        if camera._view_of_sub:  # noqa: SLF001
            camera._view.push(packet)  # noqa: SLF001
        if camera.planner.decide_sub(keyframe=packet.keyframe, corrupt=packet.corrupt) is Decode.ALL:
            assert self._decoder is not None
            with camera._crumb():  # noqa: SLF001
                pictures = self._decoder.decode(packet)
                if pictures:
                    camera._look(pictures[-1])  # noqa: SLF001
            camera._decoded += len(pictures)  # noqa: SLF001

    def on_lost(self, loss: Loss) -> None:
        """The main stream goes on without it."""


def _same_pictures(one: StreamInfo, other: StreamInfo) -> bool:
    return (one.codec, one.width_px, one.height_px) == (other.codec, other.width_px, other.height_px)
