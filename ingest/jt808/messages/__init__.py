"""Every message of JT/T 808 and of JT/T 1078's signalling, up and down: `CATALOGUE`."""

from __future__ import annotations

from ingest.jt808.messages import media, positions, session
from ingest.wire.message import Catalogue

CATALOGUE = Catalogue("jt808", (*session.MESSAGES, *positions.MESSAGES, *media.MESSAGES))
