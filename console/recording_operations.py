"""Operations on clips and recordings of cameras. Part of `console.operations`.

Invariants: as in `console.camera_operations`; a clip that somebody asked for is kept as evidence before it is given out,
so that what was seen can be shown again; recordings are read under a Grant for one camera and one window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.blob import Blob
from console.camera_operations import CameraOperations, camera_id
from console.camera_rows import segment_row, span_row
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.evidence_rows import evidence_row
from console.given_texts import check_id
from console.kept_rows import check_limit
from console.track_rows import FIRST_MS, LAST_MS
from model.errors import Refused, TryAgain, UsageError
from model.evidence import NewEvidence
from model.grant import Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from store.evidence.folder import EvidenceFolder
    from store.recordings.folder import Recordings

#: After its end has passed, a clip has to be there in so long, seconds.
CLIP_PATIENCE_S = 30.0
DEFAULT_WINDOW_MS = 86_400_000
#: Largest recording that is given out in one answer.
DEFAULT_MAX_RECORDING_BYTES = 256 << 20


class RecordingOperations(CameraOperations):
    """What can be asked of clips and recordings; see `console.operations.Operations` for the arguments."""

    _evidence: EvidenceFolder
    _recordings: Recordings | None

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
            wait_s = max(0.0, (end_ms - self._clock.now_ms()) / 1_000) + CLIP_PATIENCE_S
            clip = control.clip(device, start_ms, end_ms, wait_s)
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

    def camera_recording_read(self, caller: Caller, camera: str, recording: str, purpose: str | None = None) -> Blob:
        """One segment, checked against its SHA-256. Raises NotFound, Refused (of another camera, outside the alarm), Corrupt."""
        check_id(recording, "a recording")
        device, who, grant = self._see_camera(caller, "recording_read", camera_id(camera), purpose)
        with self._camera_refusals(who, device, "recording_read", grant.purpose):
            segment, stream = self._recorded().read(grant, recording)
            with stream:
                if segment.size_bytes > DEFAULT_MAX_RECORDING_BYTES:
                    raise Refused(
                        f"{segment.id} has {segment.size_bytes} bytes, more than {DEFAULT_MAX_RECORDING_BYTES}.",
                        mend="Lower recording.segment_s: later ones are shorter.",
                    )
                data = stream.read()
        return Blob("video/mp4", data, f"{device.replace('/', '-')}-{segment.from_ms}.mp4")

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
