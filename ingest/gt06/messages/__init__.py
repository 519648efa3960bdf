"""The messages of GT06: `CATALOGUE`; what the server answers: `REPLIES`.

Invariants: one entry a message, read, written and documented from it; a number that means something else in a long frame
stands as `LONG` + number. Makers add bytes of their own: where the size says which maker's they are they are read,
else they are kept as `tail`. Source: Concox GT06 protocol 1.8; sizes and bytes of makers from frames of their devices.
"""

from __future__ import annotations

from ingest.gt06.messages.cells import CELLS
from ingest.gt06.messages.fixes import FIXES
from ingest.gt06.messages.parts import LONG
from ingest.gt06.messages.session import REPLIES, SESSION
from ingest.gt06.messages.states import STATES
from ingest.wire.message import Catalogue

__all__ = ["CATALOGUE", "LONG", "REPLIES"]

CATALOGUE = Catalogue("gt06", (*SESSION, *FIXES, *STATES, *CELLS))
