"""`StreamLost`: why a stream could not be opened or ended, and how errors of the libraries become that."""

from __future__ import annotations

import ssl

import av

from ingest.video.address import redacted
from ingest.video.seams import LossReason
from model.errors import LuchengError, Refused, TryAgain, UsageError

#: Longest `detail`.
MAX_DETAIL_CHARS = 200

_MENDS: dict[LossReason, str] = {
    LossReason.REFUSED: "Correct the address, or camera.allow_networks.",
    LossReason.UNREACHABLE: "Check the address, the network and the camera's power.",
    LossReason.UNAUTHORIZED: "Give the camera's name and password in the address.",
    LossReason.NOT_FOUND: "Check the path of the address.",
    LossReason.TIMED_OUT: "Check the camera; restart it if it stays so.",
    LossReason.NOT_VIDEO: "Check that the address is that of a camera's stream.",
    LossReason.AUDIO_ONLY: "Switch the camera's picture on, or take the address of a stream that has one.",
    LossReason.UNSUPPORTED: "Set the camera to H.264 or H.265.",
}


class StreamLost(TryAgain):
    """There is no stream, or no more.

    Attributes:
        reason: why. detail: in one line without credentials.
    """

    code = "stream_lost"

    def __init__(self, reason: LossReason, detail: str) -> None:
        self.reason = reason
        self.detail = redacted(" ".join(detail.split()))[:MAX_DETAIL_CHARS]
        super().__init__(self.detail, mend=_MENDS.get(reason, ""))


def lost_from(error: Exception) -> StreamLost:
    """What an exception of opening or reading means. FFmpeg's own words are left out: they hold the URL."""
    if isinstance(error, StreamLost):
        return error
    if isinstance(error, av.FFmpegError):
        return _from_av(error)
    if isinstance(error, LuchengError):
        refused = isinstance(error, Refused | UsageError)
        return StreamLost(LossReason.REFUSED if refused else LossReason.UNREACHABLE, error.message)
    if isinstance(error, OSError):
        return _from_socket(error)
    return StreamLost(LossReason.NOT_VIDEO, f"what was sent cannot be read: {type(error).__name__}")


def _from_socket(error: OSError) -> StreamLost:
    if isinstance(error, ssl.SSLCertVerificationError):
        return StreamLost(LossReason.REFUSED, f"the camera's certificate does not hold: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return StreamLost(LossReason.TIMED_OUT, "the camera said nothing in time")
    return StreamLost(LossReason.UNREACHABLE, f"no connection: {error.strerror or type(error).__name__}")


def _from_av(error: av.FFmpegError) -> StreamLost:
    words = error.strerror or type(error).__name__
    for kinds, reason in (
        ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), LossReason.UNAUTHORIZED),
        ((av.error.HTTPNotFoundError, av.error.FileNotFoundError), LossReason.NOT_FOUND),
        ((av.error.TimeoutError, av.error.ExitError), LossReason.TIMED_OUT),
        ((av.error.EOFError,), LossReason.ENDED),
        (
            (av.error.DemuxerNotFoundError, av.error.DecoderNotFoundError, av.error.PatchWelcomeError),
            LossReason.UNSUPPORTED,
        ),
        ((av.error.InvalidDataError, av.error.HTTPError), LossReason.NOT_VIDEO),
        ((OSError,), LossReason.UNREACHABLE),
    ):
        if isinstance(error, kinds):
            return StreamLost(reason, words)
    return StreamLost(LossReason.NOT_VIDEO, words)
