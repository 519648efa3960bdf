"""The messages of JT/T 905: `CATALOGUE`.

Invariants: one entry a message, read, written and documented from it. Source: JT/T 905.2-2014 10.3.5.
"""

from __future__ import annotations

from ingest.jt905.messages.devices import DEVICES
from ingest.jt905.messages.orders import ORDERS
from ingest.jt905.messages.positions import POSITIONS
from ingest.jt905.messages.session import SESSION
from ingest.jt905.messages.texts import TEXTS
from ingest.jt905.messages.trips import TRIPS
from ingest.wire.message import Catalogue

CATALOGUE = Catalogue("jt905", (*SESSION, *POSITIONS, *TEXTS, *ORDERS, *TRIPS, *DEVICES))
