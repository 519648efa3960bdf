"""One camera in its worker: from its packets to the ring, the recorder, live views and the slab.

Invariants: what a camera sends is taken on its connection's own thread, so one that hangs, hangs alone, and where it comes
back after it was given up it touches nothing any more; where masks are set, nothing but masked packets goes beyond
`on_packet`; every stay in a decoder leaves a crumb. Others ask it things from their threads: those only set marks that its
own thread reads, or read numbers.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from analytics.gate.planner import Decode, DecodePlanner
from ingest.video.connection import CameraConnection, ConnectionLimits
from ingest.video.decoding import PictureDecoder
from ingest.video.jpeg import jpeg_of, picture_at
from ingest.video.recorder import SegmentWriter
from ingest.video.ring import PacketRing
from ingest.video.seams import LossReason
from ingest.video.transcoding import MaskedStream
from lucheng.app import from_camera
from lucheng.video.live_view import PLAYABLE_CODEC, LiveView
from lucheng.video.messages import Noticed, Piece, Report
from lucheng.video.rates import StreamRates
from lucheng.video.rule_watch import RuleWatch
from lucheng.video.single_pictures import SinglePictures
from lucheng.video.stays import Stays
from lucheng.video.sub_stream import Main, SubStream

if TYPE_CHECKING:
    from analytics.gate.packet_gate import PacketGate
    from ingest.video.decoding import Picture
    from ingest.video.seams import Loss, PacketSink
    from lucheng.video.slab import Looked
    from lucheng.video.surroundings import Surroundings
    from model.camera import CameraSetup
    from model.video import Fragment, Packet, StreamInfo

SNAPSHOT_QUALITY = 90
#: So long a demand for pictures is renewed for while somebody looks at them.
DEMAND_MS = 5_000
#: Who looks at a camera that is watched no more, or from now on with other settings, is told this.
STOPPED_TEXT = "the camera was set otherwise"
#: Catching up ends at this share of the time that one packet may take: nothing hangs because a camera was woken.
CATCH_UP_SHARE = 0.5
#: Motion between two looks counts so long at most.
MAX_MOVED_MS = 10_000


class WatchedCamera:
    """See the module.

    Args:
        setup: of the camera.
        row: its row of the slab and of the crumbs.
        around: see there.
        gate: what was learnt of its packets before it was set otherwise; None: nothing.
    """

    def __init__(self, setup: CameraSetup, row: int, around: Surroundings, gate: PacketGate | None = None) -> None:
        self.setup = setup
        self.row = row
        self._around = around
        settings = setup.settings
        self.ring = PacketRing(max_s=around.limits.ring_s, max_bytes=around.limits.ring_bytes)
        self.planner = DecodePlanner(
            settings, has_substream=bool(setup.sub_url), limits=around.plan, gate=gate, seed=setup.slot
        )
        self.rules = RuleWatch(setup.device, settings, self._notice)
        self.masked = bool(settings.masks)
        self._rates = StreamRates()
        self._stays = Stays(around.crumbs, row, around.clock)
        #: The thread whose packets count; 0: none, the stream is lost.
        self._owner = 0
        self._masking: MaskedStream | None = None
        self._masked_info: StreamInfo | None = None
        self._quick: PictureDecoder | None = None
        self._full: PictureDecoder | None = None
        self._info: StreamInfo | None = None
        self._loss: Loss | None = None
        self._seen: Looked | None = None
        self._decoded = self._bad = self._bad_before = 0
        self._demand_ms = 0
        self._pictures = SinglePictures(setup.device, partial(self._deliver, "jpeg"), masked=self.masked)
        self._view = LiveView(
            setup.device,
            partial(self._deliver, "mp4"),
            inside=self._stays,
            masked=self.masked,
            max_pixels=around.limits.max_pixels,
        )
        main = Main(
            self.ring,
            self._view,
            self.planner,
            self._stays,
            look=self._look,
            opened=self.rules.resumed,
            lost=self._sub_lost,
            ring_bytes=around.limits.ring_bytes,
            max_pixels=around.limits.max_pixels,
        )
        has_sub = bool(setup.sub_url) and not self.masked
        self._sub = SubStream(main, partial(self._connect, setup.sub_url) if has_sub else None)
        self._recorder = SegmentWriter(
            setup.device,
            around.disk,
            mode=settings.record,
            masked=self.masked,
            after_s=settings.post_roll_s,
        )
        self._stages = from_camera(self)
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

    def stop(self, timeout_s: float) -> bool:
        """Watch no more; what is being recorded is finished, and who looks at it is told. Whether it has let go of the camera."""
        self._sub.end()
        clean = self._connection.stop(timeout_s)
        self._view.end(STOPPED_TEXT)
        self._pictures.end(STOPPED_TEXT)
        self._recorder.close()
        self._around.slab.leave(self.row)
        self.rules.left(self._around.clock.now_ms())
        self._around.crumbs.clear(self.row)
        return clean

    def _connect(self, url: str, sink: PacketSink) -> CameraConnection:
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
            seed=around.seed + 2 * self.setup.slot + (sink is not self),
        )

    # -- its packets, on its own thread -------------------------------------------------------

    def on_open(self, info: StreamInfo) -> None:
        """See `PacketSink`."""
        self._owner = threading.get_ident()
        before, self._info, self._loss = self._info, info, None
        if before is None or before.epoch != info.epoch:
            self._rates.reset()
        self.rules.resumed()
        if not self.masked:
            self._opened(info, same=before is not None and _same_pictures(before, info))
            return
        if self._masking is not None:
            self._masking.close()
            self._masking = None
        self._masking = MaskedStream(info, self.setup.settings.masks, max_pixels=self._around.limits.max_pixels)

    def _opened(self, info: StreamInfo, *, same: bool) -> None:
        max_pixels = self._around.limits.max_pixels
        for decoder in (self._quick, self._full):
            if decoder is not None:
                self._bad_before += decoder.errors
                decoder.close()
        self._quick = PictureDecoder(info, fast=True, max_pixels=max_pixels)
        self._full = PictureDecoder(info, fast=False, max_pixels=max_pixels)
        if same:
            self.planner.interrupted()
        else:
            self.planner.reset()
            self._around.slab.reset(self.row, self)

    def on_packet(self, packet: Packet) -> None:
        """See `PacketSink`."""
        self._rates.take(packet)
        if not self.masked:
            self._take(packet)
            return
        assert self._masking is not None  # else `on_open` has failed, and that ends the connection
        with self._stays:
            masked = self._masking.push(packet)
        for one in masked:
            if not self._is_owner():
                return
            if one.info is not self._masked_info:
                before, self._masked_info = self._masked_info, one.info
                self._opened(one.info, same=before is not None and _same_pictures(before, one.info))
            self._take(one)

    def on_lost(self, loss: Loss) -> None:
        """See `PacketSink`."""
        self._owner = 0
        self._loss = loss
        self._recorder.broke()
        if loss.reason in {LossReason.STUCK, LossReason.DECODE}:
            self._around.hung(self.setup.device)
        if not self._sub.open:
            self.rules.stopped(self._around.clock.now_ms())

    def _sub_lost(self, hung: bool) -> None:  # noqa: FBT001 a callback
        if hung:
            self._around.hung(self.setup.device)
        if self._loss is not None:
            self.rules.stopped(self._around.clock.now_ms())

    def _is_owner(self) -> bool:
        """Whether this is still the connection's thread: one that hung may come back after it was given up."""
        return self._owner == threading.get_ident()

    def _take(self, packet: Packet) -> None:
        for _, stage in self._stages:
            stage(packet)

    def keep(self, packet: Packet) -> None:
        """Into the ring."""
        self.ring.append(packet)

    def record(self, packet: Packet) -> None:
        """To the recorder."""
        self._recorder.put(packet)

    def show(self, _packet: Packet) -> None:
        """To who watches live."""
        self._view.came()

    def see(self, packet: Packet) -> None:
        """Decoded as far as the policy says, and onto the slab."""
        action = self.planner.decide(
            len(packet.data), keyframe=packet.keyframe, time_ms=packet.time_ms, corrupt=packet.corrupt
        )
        if action is not Decode.SKIP:
            self._decode(packet, action)
        if packet.keyframe:
            self._sub.follow()

    def _decode(self, packet: Packet, action: Decode) -> None:
        assert self._quick is not None
        assert self._full is not None
        with self._stays:
            if action is Decode.KEYFRAME:
                one = self._quick.keyframe_only(packet)
                pictures = [one] if one is not None else []
            elif action is Decode.CATCH_UP:
                pictures = self._caught_up(self._full)
            else:
                pictures = self._full.decode(packet)
            if pictures and self._is_owner():
                self._look(pictures[-1])
        self._decoded += len(pictures)
        self._bad = self._bad_before + self._quick.errors + self._full.errors

    def _caught_up(self, decoder: PictureDecoder) -> list[Picture]:
        """The newest picture, of everything since the last keyframe."""
        clock = self._around.clock
        until_s = clock.monotonic_s() + CATCH_UP_SHARE * self._around.limits.decode_timeout_s
        decoder.drain()  # what it knew is of another time
        newest: list[Picture] = []
        for packet in self.ring.from_last_keyframe():
            newest = decoder.decode(packet) or newest
            if clock.monotonic_s() > until_s:
                decoder.drain()  # it waits for the next keyframe
                break
        return newest

    def _look(self, picture: Picture) -> None:
        """A picture was decoded: it goes to the slab and to who watches by pictures."""
        slab = self._around.slab
        if slab.wants(self.row, picture.time_ms):
            slab.put(self.row, self, picture, keep=self._around.look is not None and self.rules.wants_objects)
        self._pictures.offer(picture)

    # -- what others ask, from their threads --------------------------------------------------

    def wake(self, until_ms: int) -> None:
        """Decode everything until then; what happens meanwhile is recorded where events are."""
        self.demand(until_ms)
        now_ms = self._around.clock.now_ms()
        self.event(now_ms)
        self.event(max(now_ms, until_ms - round(self.setup.settings.post_roll_s * 1000)))

    def demand(self, until_ms: int) -> None:
        """Decode everything until then; what was demanded before stays so."""
        self._demand_ms = max(self._demand_ms, until_ms)
        self.planner.demand(self._demand_ms)

    def start_live(self, mode: str) -> None:
        """Send fragments from now on."""
        if mode == "jpeg":
            self._pictures.begin()
            self.renew_demand()
            return
        newest = self.ring.last_keyframe()
        info = newest.info if newest is not None else self._info
        self._sub.begin_view(hard=info is not None and info.codec != PLAYABLE_CODEC)

    def stop_live(self, mode: str) -> None:
        """Send no more."""
        if mode == "jpeg":
            self._pictures.end()
        else:
            self._sub.end_view()

    def renew_demand(self) -> None:
        """Somebody looks at single pictures still; to be called now and then."""
        if self._pictures.on:
            self.demand(self._around.clock.now_ms() + DEMAND_MS)

    def snapshot(self) -> tuple[bytes, int]:
        """The newest picture as a JPEG, and when it was taken; b"" where the ring holds none.

        Decodes on the caller's thread. Raises NotFound: none could be decoded cleanly.
        """
        packets = self.ring.from_last_keyframe()
        if not packets:
            return b"", 0
        with self._stays:
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
        if not seen.learning:  # what the background is not known for says nothing of packets
            self.planner.saw(seen.time_ms, moved=seen.moving, still=seen.still, share=seen.motion_share)
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
        self._recorder.event(time_ms, lambda: self.ring.since_keyframe(from_ms))

    def _deliver(self, mode: str, fragment: Fragment) -> None:
        self._around.outbox.put_live(Piece(mode, fragment))

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
            decoded=self._decoded + self._sub.decoded,
            bad=self._bad,
            recording=self._recorder.recording,
            masked=self.masked,
        )


def _same_pictures(one: StreamInfo, other: StreamInfo) -> bool:
    return (one.codec, one.width_px, one.height_px) == (other.codec, other.width_px, other.height_px)
