"""`lucheng` as a later release of it would be: one more migration of the desk's and of the registry's schema, which only adds."""

from __future__ import annotations

import devices.schema
import store.desk.schema

DESK = """
ALTER TABLE alarms ADD COLUMN later TEXT NOT NULL DEFAULT '';
CREATE TABLE later_desk (one INTEGER PRIMARY KEY) STRICT;
"""
REGISTRY = "ALTER TABLE device ADD COLUMN later INTEGER NOT NULL DEFAULT 0;"

if __name__ == "__main__":
    store.desk.schema.MIGRATIONS = (*store.desk.schema.MIGRATIONS, DESK)
    devices.schema.MIGRATIONS = (*devices.schema.MIGRATIONS, REGISTRY)
    from lucheng.__main__ import main

    main()
