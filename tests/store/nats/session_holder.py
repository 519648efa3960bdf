"""An ingestor that holds terminals until it is killed: URL PREFIX GONE_S COUNT; prints its run."""

import sys
import threading

from store.nats.claims import Claims
from store.nats.streams import Names
from tests.nats import link_to

url, prefix, gone_s, count = sys.argv[1:]
claims = Claims(link_to([url]), Names(prefix), name="holder", gone_s=float(gone_s))
print(claims.run, flush=True)
for slot in range(int(count)):
    claims.claim(
        slot + 1, str(30_000 + slot), slot=slot, device=f"taxi/{slot}", protocol="jt808", address="h:1", since_ms=0
    )
threading.Event().wait()
