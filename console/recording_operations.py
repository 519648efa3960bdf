"""Operations on clips and recordings of cameras. Part of `console.operations`.

Invariants: as in `console.camera_operations`; a clip that somebody asked for is kept as evidence before it is given out,
so that what was seen can be shown again; recordings are read under a Grant for one camera and one window.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from console.blob import Blob
from console.camera_operations import CameraOperations, camera_id
from console.camera_rows import segment_row, span_row
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.evidence_rows import evidence_row
from console.given_texts import check_id
from console.kept_rows import check_limit
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS
from model.errors import Refused, TryAgain, UsageError
from model.evidence import NewEvidence
from model.grant import Grant, Purpose
from store.audit import purpose_text
from store.recordings.files import FileMark, file_mark

if TYPE_CHECKING:
    from console.camera_seams import CameraControl
    from model.video import Clip
    from store.evidence.folder import EvidenceFolder
    from store.recordings.folder import Recordings

#: After its end has passed, a clip has to be there in so long, seconds.
CLIP_PATIENCE_S = 30.0
DEFAULT_WINDOW_MS = 86_400_000
#: Largest recording that is given out in one answer.
DEFAULT_MAX_RECORDING_BYTES = 256 << 20


#: A piece of a recording: usually, and at most.
DEFAULT_PIECE_BYTES = 1 << 20
MAX_PIECE_BYTES = 8 << 20
#: Pieces less far apart than so are one reading, and so many readings are remembered.
READING_MS = 600_000
MAX_READINGS = 1_000


@dataclass(frozen=True, slots=True)
class _Reading:
    """A segment that somebody reads in pieces: under what, of which file, when last (our clock, UTC ms)."""

    grant: Grant
    mark: FileMark
    last_ms: int


class RecordingOperations(CameraOperations):
    """What can be asked of clips and recordings; see `console.operations.Operations` for the arguments."""

    _evidence: EvidenceFolder
    _recordings: Recordings | None

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._readings: dict[tuple[Caller, str, str, Purpose], _Reading] = {}
        self._reading_lock = threading.Lock()

    def camera_clip(
        self,
        caller: Caller,
        camera: str,
        seconds: float | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        alarm: str = "",
        purpose: str | None = None,
    ) -> dict[str, Any]:
        """Make a clip of the last `seconds`, or of a window, keep it as evidence (of an alarm, if one is named) and say which.

        A window that ends in a while is waited for. Raises Refused, TryAgain (no service, or the pictures are not there).
        """
        start_ms, end_ms = self._clip_window(seconds, from_ms, to_ms)
        alarm_id = self._alarm_id(alarm) if alarm else ""
        why = Purpose("alarm", alarm_id) if purpose is None and alarm_id else self._purpose(purpose)
        device, who, grant = self._see_camera(caller, "clip", camera, why, (start_ms, end_ms))
        with self._camera_refusals(who, device, "clip", grant.purpose):
            control = self._running()
            window = {"from_ms": start_ms, "to_ms": end_ms, "alarm": alarm_id}
            self._note(who, "read.camera_clip", device, purpose_text(grant.purpose), **window)
            clip = self._cut(control, grant, device, start_ms, end_ms)
            known = self._known(device)
            kept = self._evidence.put(
                NewEvidence(
                    device=device,
                    kind="video",
                    format="mp4",
                    data=clip.data,
                    time_ms=clip.from_ms,
                    received_ms=self._clock.now_ms(),
                    lat=known.lat,
                    lon=known.lon,
                    event="asked_for",
                    source=f"clip:{clip.from_ms}-{clip.to_ms}",
                    alarm=alarm_id,
                )
            )
        return {
            **evidence_row(kept, place=True),
            "seconds": round((clip.to_ms - clip.from_ms) / 1_000, 1),
            "frames": clip.frames,
            "codec": clip.codec,
            "width_px": clip.width_px,
            "height_px": clip.height_px,
            "transcoded": clip.transcoded,
            "note": clip.note,
        }

    def camera_lead(
        self, caller: Caller, camera: str, from_ms: int, to_ms: int, purpose: str | Purpose | None = None
    ) -> Clip:
        """What a camera saw just before somebody looks at it live: a clip that is shown and not kept.

        Raises Refused, TryAgain (no service, no pictures of that time), UsageError (it lies too far back).
        """
        now_ms = self._clock.now_ms()
        if not now_ms - self._settings.clips.max_length_s * 1_000 <= from_ms < to_ms <= now_ms:
            raise UsageError(
                "A lead of that length.", mend=f"At most {self._settings.clips.max_length_s} s before now."
            )
        device, who, grant = self._see_camera(caller, "clip", camera, purpose, (from_ms, to_ms))
        with self._camera_refusals(who, device, "clip", grant.purpose):
            control = self._running()
            window = {"from_ms": from_ms, "to_ms": to_ms}
            self._note(who, "read.camera_clip", device, purpose_text(grant.purpose), **window)
            return self._cut(control, grant, device, from_ms, to_ms)

    def camera_recordings(
        self,
        caller: Caller,
        camera: str,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> dict[str, Any]:
        """What is recorded of a camera in a window (the last day): `coverage` without gaps, and its `segments`, the earliest first.

        For the next page begin at the `to` of the last segment.
        """
        check_limit(limit)
        end_ms = to_ms if to_ms is not None else self._clock.now_ms()
        start_ms = from_ms if from_ms is not None else end_ms - DEFAULT_WINDOW_MS
        if not FIRST_MS <= start_ms < end_ms <= LAST_MS:
            raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
        device, who, grant = self._see_camera(caller, "recordings", camera, purpose, (start_ms, end_ms))
        with self._camera_refusals(who, device, "recordings", grant.purpose):
            recordings = self._recorded()
            segments = recordings.list(grant, device, start_ms, end_ms, limit)
            spans = recordings.coverage(grant, device, start_ms, end_ms)
        return {
            "camera": device,
            "coverage": [span_row(span) for span in spans],
            "segments": [segment_row(segment) for segment in segments],
        }

    def camera_recording_read(
        self,
        caller: Caller,
        camera: str,
        recording: str,
        start: int | None = None,
        length: int = DEFAULT_PIECE_BYTES,
        purpose: str | None = None,
    ) -> Blob:
        """One segment, checked against its SHA-256, or with `start` the piece of at most `length` bytes from there.

        Pieces of one segment that the same person reads for the same purpose one after the other are one reading: the first one is
        audited and checked, the others only asked whether it may go on. Raises NotFound, Refused (of another camera, outside the
        alarm), Corrupt, UsageError (no such piece).
        """
        check_id(recording, "a recording")
        device = camera_id(camera)
        if start is not None:
            return self._piece(caller, device, recording, start, length, purpose)
        device, who, grant = self._see_camera(caller, "recording_read", device, purpose)
        with self._camera_refusals(who, device, "recording_read", grant.purpose):
            segment, stream = self._recorded().read(grant, recording)
            with stream:
                if segment.size_bytes > DEFAULT_MAX_RECORDING_BYTES:
                    raise Refused(
                        f"{segment.id} has {segment.size_bytes} bytes, more than {DEFAULT_MAX_RECORDING_BYTES}.",
                        mend="Read it in pieces, or lower recording.segment_s: later ones are shorter.",
                    )
                data = stream.read()
        return Blob("video/mp4", data, _segment_name(device, segment.from_ms))

    def _piece(self, caller: Caller, device: str, recording: str, start: int, length: int, purpose: str | None) -> Blob:
        if not 1 <= length <= MAX_PIECE_BYTES or start < 0:
            raise UsageError(f"{length} bytes from {start}.", mend=f"Read 1 to {MAX_PIECE_BYTES} bytes, from 0 on.")
        said = self._purpose(purpose)
        key = (caller, device, recording, said)
        now_ms = self._clock.now_ms()
        with self._reading_lock:
            reading = self._readings.get(key)
        on = reading is not None and 0 <= now_ms - reading.last_ms < READING_MS
        if on and reading is not None and self.camera_may_go_on(caller, reading.grant.purpose):
            _, stream = self._recorded().read_on(reading.grant, recording, reading.mark)
            grant, who = reading.grant, self._as_role(caller)
        else:
            device, who, grant = self._see_camera(caller, "recording_read", device, said)
            with self._camera_refusals(who, device, "recording_read", grant.purpose):
                _, stream = self._recorded().read(grant, recording)
        with stream:
            mark = file_mark(stream)
            if start >= mark.size_bytes:
                raise UsageError(f"It has {mark.size_bytes} bytes.", mend="Begin before its end.")
            stream.seek(start)
            data = stream.read(length)
        with self._reading_lock:
            self._readings.pop(key, None)
            while len(self._readings) >= MAX_READINGS:
                del self._readings[next(iter(self._readings))]  # the one that was read from longest ago
            self._readings[key] = _Reading(grant, mark, now_ms)
        return Blob("video/mp4", data, _segment_name(device, start))

    def camera_may_go_on(self, caller: Caller, purpose: Purpose) -> bool:
        """Whether a reading of recordings that was audited may go on; see `CameraGate.may_go_on`."""
        return self._camera_gate.may_go_on("recording_read", role_of(self._settings, caller), purpose)

    def _cut(self, control: CameraControl, grant: Grant, device: str, start_ms: int, end_ms: int) -> Clip:
        """From the recordings where the window is older than what is in memory, else, or where nothing is recorded, from memory."""
        now_ms = self._clock.now_ms()
        if self._recordings is not None and start_ms < now_ms - self._settings.camera.ring_s * 1_000:
            # a segment reaches beyond the window, and it is the window alone that is given out
            whole = replace(grant, from_ms=FIRST_MS, to_ms=LAST_MS)
            clip = control.recorded_clip(whole, device, start_ms, end_ms)
            if clip is not None:
                return clip
        wait_s = max(0.0, (end_ms - now_ms) / 1_000) + CLIP_PATIENCE_S
        return control.clip(device, start_ms, end_ms, wait_s)

    def _recorded(self) -> Recordings:
        if self._recordings is None:
            raise TryAgain("There are no recordings here.", mend="Start the service once: `lucheng run`.")
        return self._recordings

    def _clip_window(self, seconds: float | None, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
        """Half open, UTC ms; UsageError unless one way of saying it is used and it is within the limits."""
        if (seconds is None) == (from_ms is None or to_ms is None) or (seconds is not None and (from_ms or to_ms)):
            raise UsageError("It is not said which time.", mend="Give --seconds, or --from and --to.")
        now_ms = self._clock.now_ms()
        most_s = self._settings.clips.max_length_s
        if seconds is not None:
            if not 1 <= seconds <= most_s:
                raise UsageError(f"A clip of {seconds:g} s.", mend=f"Give 1 to {most_s} s (clips.max_length_s).")
            return now_ms - round(seconds * 1_000), now_ms
        assert from_ms is not None
        assert to_ms is not None
        if not 0 < to_ms - from_ms <= most_s * 1_000 or from_ms < FIRST_MS:
            raise UsageError("The window is empty or too long.", mend=f"Give {most_s} s at most (clips.max_length_s).")
        if to_ms > now_ms + most_s * 1_000:
            raise UsageError("The window lies in the future.", mend=f"It may end {most_s} s from now.")
        return from_ms, to_ms


def _segment_name(device: str, number: int) -> str:
    return f"{device.replace('/', '-')}-{number}.mp4"
