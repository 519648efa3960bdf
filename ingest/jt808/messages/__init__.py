"""Every message of JT/T 808 and of JT/T 1078's signalling, up and down: `CATALOGUE`."""

from __future__ import annotations

from ingest.jt808.messages import areas, attachments, control, media, positions, records, session, texts, video
from ingest.wire.message import Catalogue

CATALOGUE = Catalogue(
    "jt808",
    (
        *session.MESSAGES,
        *positions.MESSAGES,
        *media.MESSAGES,
        *control.MESSAGES,
        *texts.MESSAGES,
        *areas.MESSAGES,
        *records.MESSAGES,
        *video.MESSAGES,
        *attachments.MESSAGES,
    ),
)
