"""Clips: packets of the ring into an MP4 in memory, without re-encoding.

Invariants: the first picture is a keyframe and is shown at 0; every picture keeps its real distance in time to it, over
breaks of the connection too; the units of every packet are there byte for byte; the index stands in front, so a browser
plays at once. What is missing is said in `note`. A file can hold one set of parameters only, so where they change the
longest run of equal ones is kept, the last of equally long ones. Damaged packets are evidence: they are kept, and said.
It reads no clock and writes no file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import av
import numpy as np

from ingest.video import boxes, nal
from ingest.video.muxing import SampleTables, Timeline
from ingest.video.parameters import Parameters, in_band, parameters_of
from ingest.video.transcoding import Transcoder
from model.errors import BadInput, Refused
from model.video import TICKS_PER_MS, TICKS_PER_S, Clip, Packet, StreamInfo

DEFAULT_MAX_BYTES = 60 << 20
#: What the index costs for each picture at most: stts 8, ctts 8, stsz 4, stss 4 bytes; and the rest of the boxes.
_INDEX_BYTES_A_FRAME = 24
_INDEX_BYTES = 16_384
#: A picture missing for so long is named in the note.
_GAP_MS = 2_000


@dataclass(slots=True)
class _Run:
    """Packets of equal parameters, from a keyframe on."""

    parameters: Parameters
    packets: list[Packet]

    @property
    def length_ms(self) -> int:
        return self.packets[-1].time_ms - self.packets[0].time_ms


def make_clip(
    packets: Sequence[Packet],
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    transcoded: bool = False,
    wanted_from_ms: int | None = None,
    wanted_to_ms: int | None = None,
) -> Clip:
    """An MP4 of the packets.

    Args:
        packets: in decoding order; what comes before the first keyframe is left out.
        max_bytes: of the file; a longer clip is cut there, and its note says so.
        transcoded: whether the packets were re-encoded (masks, a copy for viewing).
        wanted_from_ms: where the clip should have begun, for the note; None: where it does.
        wanted_to_ms: where it should have ended, for the note.

    Raises Refused: there is no packet or no keyframe, or the first picture alone is too large.
    """
    if not packets:
        raise Refused("There is no video of that time.", mend="See whether the camera was online, with camera list.")
    runs = _runs(packets)
    if not runs:
        raise Refused("The video of that time has no keyframe.", mend="Shorten the camera's keyframe interval.")
    best = max(runs, key=lambda run: run.length_ms)
    best = next(run for run in reversed(runs) if run.length_ms == best.length_ms)
    kept, tables, data, cut = _within(best, max_bytes)
    from_ms = kept[0].time_ms
    to_ms = from_ms + tables.end_ticks() // TICKS_PER_MS
    notes = _notes(packets, runs, best, kept)
    if cut:
        notes.append(
            f"cut at {max_bytes} bytes, {(best.packets[-1].time_ms - kept[-1].time_ms) / 1000:.1f} s before its end"
        )
    if wanted_from_ms is not None and from_ms > wanted_from_ms:
        notes.insert(0, f"starts {(from_ms - wanted_from_ms) / 1000:.1f} s late")
    if wanted_to_ms is not None and to_ms < wanted_to_ms and not cut:
        notes.append(f"ends {(wanted_to_ms - to_ms) / 1000:.1f} s early")
    file = _file(best.parameters, tables, data, from_ms=from_ms)
    return Clip(
        data=file,
        sha256=hashlib.sha256(file).hexdigest(),
        from_ms=from_ms,
        to_ms=to_ms,
        codec=best.parameters.codec,
        width_px=best.parameters.width_px,
        height_px=best.parameters.height_px,
        frames=len(kept),
        transcoded=transcoded,
        note="; ".join(notes),
    )


def _runs(packets: Sequence[Packet]) -> list[_Run]:
    """Runs of equal parameters; after a new connection everything before its first keyframe is left out."""
    runs: list[_Run] = []
    info: StreamInfo | None = None
    current: _Run | None = None
    for packet in packets:
        if packet.info is not info:
            if info is not None and packet.info != info:
                current = None
            info = packet.info
        if packet.keyframe:
            current = _joined(runs, current, packet)
        elif current is not None:
            current.packets.append(packet)
    return runs


def _joined(runs: list[_Run], current: _Run | None, keyframe: Packet) -> _Run | None:
    """The run that goes on with this keyframe: the current one, the last one, or a new one; None: it cannot be read."""
    sets = in_band(keyframe)
    if current is not None and (not sets or sets == current.parameters.sets):
        current.packets.append(keyframe)
        return current
    try:
        parameters = parameters_of(keyframe.info, keyframe)
    except BadInput:
        return None
    if runs and runs[-1].parameters.config == parameters.config:
        runs[-1].packets.append(keyframe)
        return runs[-1]
    runs.append(_Run(parameters, [keyframe]))
    return runs[-1]


def _within(run: _Run, max_bytes: int) -> tuple[list[Packet], SampleTables, list[bytes], bool]:
    """As many packets of a run as a file of `max_bytes` holds, and whether some are left out."""
    timeline = Timeline(run.packets[0])
    tables = SampleTables()
    data: list[bytes] = []
    left = max_bytes - _INDEX_BYTES - len(run.parameters.config)
    for packet in run.packets:
        sample = nal.with_lengths(packet.data, nal.length_size(packet.info.extradata))
        left -= len(sample) + _INDEX_BYTES_A_FRAME
        if left < 0:
            break
        decode, shown = timeline.place(packet)
        tables.add(len(sample), decode, shown, sync=packet.keyframe)
        data.append(sample)
    if not data:
        raise Refused(
            f"The first picture alone is larger than {max_bytes} bytes allow.", mend="Raise clips.max_clip_bytes."
        )
    return run.packets[: len(data)], tables, data, len(data) < len(run.packets)


def _notes(packets: Sequence[Packet], runs: list[_Run], best: _Run, kept: list[Packet]) -> list[str]:
    notes: list[str] = []
    before_ms = best.packets[0].time_ms - packets[0].time_ms
    after_ms = packets[-1].time_ms - best.packets[-1].time_ms
    if len(runs) > 1:
        notes.append(
            f"parameters changed: {max(0, before_ms) / 1000:.1f} s before it and {max(0, after_ms) / 1000:.1f} s after it"
            " are left out"
        )
    times = np.array([packet.time_ms for packet in kept], np.int64)
    steps = np.diff(np.sort(times))
    usual_ms = float(np.median(steps)) if len(steps) else 0.0
    for index in np.flatnonzero(steps > max(_GAP_MS, round(3 * usual_ms))):
        at_s = (int(np.sort(times)[index]) - kept[0].time_ms) / 1000
        notes.append(f"no pictures for {steps[index] / 1000:.1f} s after {at_s:.1f} s")
    corrupt = sum(packet.corrupt for packet in kept)
    if corrupt:
        notes.append(f"{corrupt} damaged packets")
    return notes


def _file(parameters: Parameters, tables: SampleTables, data: list[bytes], *, from_ms: int) -> bytes:
    """The file, its index in front: made twice, as where the samples lie depends on how long the index is."""
    head = boxes.ftyp(fragmented=False)
    size = sum(len(sample) for sample in data)
    start = 0
    for _ in range(2):
        samples = tables.samples(chunks=[start], chunk_samples=[len(data)])
        index = boxes.moov(parameters, samples, from_ms=from_ms)
        start = len(head) + len(index) + boxes.RESERVED_BYTES
    return b"".join((head, index, boxes.mdat_header(size + boxes.RESERVED_BYTES), *data))


def clip_packets(clip: Clip) -> list[Packet]:
    """The packets of a clip that `make_clip` made, as they came from the camera; of one epoch.

    Raises BadInput: the bytes are no MP4 with a picture in it.
    """
    try:
        with av.open(io.BytesIO(clip.data), "r") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            info = StreamInfo(clip.codec, context.width, context.height, context.extradata or b"", 0.0, 1)
            scale = float((stream.time_base or 1) * TICKS_PER_S)
            found: list[Packet] = []
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    pts, dts = round(packet.pts * scale), round(packet.dts * scale)
                    at_ms = clip.from_ms + pts // TICKS_PER_MS
                    found.append(
                        Packet(bytes(packet), pts, dts, at_ms, at_ms, packet.is_keyframe, corrupt=False, info=info)
                    )
            return found
    except (av.FFmpegError, IndexError) as error:
        raise BadInput("The clip cannot be read.", mend="Take the original again.") from error


def viewing_copy(clip: Clip, *, max_width_px: int | None = None, max_bytes: int = DEFAULT_MAX_BYTES) -> Clip:
    """The clip in H.264, for browsers that do not play H.265; the same clip where it is H.264 already.

    Args:
        clip: the original, which stays the evidence.
        max_width_px: wider pictures are made smaller.
        max_bytes: as of `make_clip`.

    Pictures that cannot be decoded cleanly are left out, and the note says how many. Raises Refused, BadInput.
    """
    if clip.codec == "h264":
        return clip
    packets = clip_packets(clip)
    if not packets:
        raise Refused("The clip holds no picture.", mend="Take the original again.")
    made: list[Packet] = []
    transcoder = Transcoder(packets[0].info, max_width_px=max_width_px)
    for packet in packets:
        made += transcoder.push(packet)
    made += transcoder.finish()
    copy = make_clip(made, max_bytes=max_bytes, transcoded=True)
    missing = clip.frames - copy.frames
    notes = [clip.note, "copy for viewing", f"{missing} pictures could not be shown" if missing else "", copy.note]
    return replace(copy, note="; ".join(note for note in notes if note))
