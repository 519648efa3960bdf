"""Inhibition: what hangs on a device that went down is put out of sight, and comes back when the device does.

Invariants: a device whose state changed stands in `parent_changes` until all that hangs on it was looked at, in the
transaction of its own change, so a crash between the two loses nothing; severity 1 is never put away.
"""

from __future__ import annotations

from model import alarm as transitions
from model.alarm import SYSTEM, Condition
from store.desk import rows
from store.desk.page import Page
from store.desk.taking import down_parent, inhibited_rule, is_device_down

_CHANGED = "SELECT device FROM parent_changes ORDER BY device LIMIT 1"
_IN_SIGHT = (
    f"{rows.SELECT_ALARM} WHERE number IN (SELECT alarm FROM alarm_parents WHERE parent = ?) AND work <> 'closed'"  # noqa: S608 (constants)
    " AND side = '' AND severity > 1 AND device <> ? ORDER BY number LIMIT ?"
)
_PUT_AWAY = (
    f"{rows.SELECT_ALARM} WHERE side = 'suppressed' AND side_reason = ? AND work <> 'closed' AND condition = 'active'"
    " ORDER BY number LIMIT ?"
)


def any_changed(page: Page) -> bool:
    """Whether a device waits for its children to be looked at."""
    return page.connection.execute(_CHANGED).fetchone() is not None


def look_at_children(page: Page) -> bool:
    """One transaction's worth of the first such device; False when no device waits."""
    row = page.connection.execute(_CHANGED).fetchone()
    if row is None:
        return False
    device = row[0]
    done = _put_away(page, device) if is_device_down(page, device) else _bring_back(page, device)
    if done < page.limits.max_transaction_signals:
        page.connection.execute("DELETE FROM parent_changes WHERE device = ?", (device,))
    return True


def _put_away(page: Page, device: str) -> int:
    found = page.connection.execute(_IN_SIGHT, (device, device, page.limits.max_transaction_signals)).fetchall()
    rule = inhibited_rule(device)
    for row in found:
        kept = rows.kept_of(row[0], row[1:])
        page.move(kept, transitions.suppressed(kept.alarm, rule, page.now_ms), detail={"rule": rule})
    return len(found)


def _bring_back(page: Page, device: str) -> int:
    found = page.connection.execute(_PUT_AWAY, (inhibited_rule(device), page.limits.max_transaction_signals)).fetchall()
    for row in found:
        kept = rows.kept_of(row[0], row[1:])
        alarm = kept.alarm
        assert alarm.condition is Condition.ACTIVE
        other = down_parent(page, kept)
        if other:
            rule = inhibited_rule(other)
            page.move(kept, transitions.suppressed(alarm, rule, page.now_ms), detail={"rule": rule})
        else:
            back = transitions.restored(alarm, alarm.version, SYSTEM, page.now_ms)
            page.move(kept, back, detail={"reason": f"{device} is back"})
    return len(found)
