"""Signals and clears into the desk: each signal on exactly one alarm, in pieces that let who is urgent pass.

Invariants: a signal whose id is known changes nothing; a clear changes nothing when a newer signal of its key is known,
so that a piece that was committed before a crash is not undone by the replay of what came before it; the consumer's
position is committed with the last piece alone. Order within a key is that of the log; of one record the rises come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from model import alarm as transitions
from model.alarm import SYSTEM, Alarm, Condition, Side
from model.codes import ALARM_BY_NAME
from model.desk import Located
from model.errors import UsageError
from model.signal import Clear, Signal
from store.desk import rows
from store.desk.cases import seen
from store.desk.ladder import Kept
from store.desk.limits import DeskLimits
from store.desk.page import CHILD_KINDS, DEVICE_SOURCES, TAKEN_ON, Page

#: What says where a signal belongs; called inside the transaction, so it must answer from memory.
Locate = Callable[[Signal], Located]
#: Signals of these are kept and make no alarm.
KEPT_SOURCES = frozenset({"file", "note"})
_URGENT, _ALARMS, _KEPT = range(3)

INSERT_SIGNAL = (
    f"INSERT INTO signals ({', '.join(rows.SIGNAL_COLUMNS)}, consumer, kept_ms)"  # noqa: S608 (constants)
    f" VALUES ({', '.join('?' * (len(rows.SIGNAL_COLUMNS) + 2))}) ON CONFLICT (id) DO NOTHING RETURNING number"
)
_LINK = "INSERT INTO alarm_signals (signal, alarm) VALUES (?, ?)"
#: Of the same log by its position; of another, which may be ahead or behind, by the device's time.
_NEWER_SAME_LOG = (
    "SELECT 1 FROM signals WHERE device = ? AND kind = ? AND fence = ? AND log_position >= ? AND consumer = ?"
    " AND source NOT IN ('file', 'note') AND (log_position > ? OR time_ms > ?) LIMIT 1"
)
_NEWER_OTHER_LOG = (
    "SELECT 1 FROM signals WHERE device = ? AND time_ms > ? AND kind = ? AND fence = ? AND consumer <> ?"
    " AND late = 0 AND source NOT IN ('file', 'note') LIMIT 1"
)
_SAVE_POSITION = (
    "INSERT INTO signal_consumers (name, position) VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
    " SET position = excluded.position WHERE excluded.position > signal_consumers.position"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """What goes into one transaction: whether it is urgent, and its signals and clears in order."""

    urgent: bool
    items: Sequence[Signal | Clear]


def where_it_says(signal: Signal) -> Located:
    """Where a signal belongs when nobody knows more: the place it names."""
    return Located(lat=signal.lat, lon=signal.lon)


def check_kinds(signals: Sequence[Signal], clears: Sequence[Clear]) -> None:
    """Raise UsageError for a kind that is not in the table, before anything is changed."""
    kinds = {one.kind for one in signals} | {one.kind for one in clears}
    for kind in kinds - ALARM_BY_NAME.keys():
        raise UsageError(
            f"{kind[:40]!r} is no kind of alarm.", mend="See the table of alarm kinds; is the log of a newer lucheng?"
        )


def pieces(signals: Sequence[Signal], clears: Sequence[Clear], limits: DeskLimits) -> Iterator[Piece]:
    """Cut a batch into transactions: the keys of severity 1 first, then other alarms, then what is only kept."""
    first = {_key(one) for one in signals if _urgent(one, limits) and one.source not in KEPT_SOURCES}

    def rank(one: Signal | Clear) -> int:
        if isinstance(one, Signal) and one.source in KEPT_SOURCES:
            return _KEPT
        return _URGENT if _key(one) in first else _ALARMS

    everything: list[Signal | Clear] = [*signals, *clears]
    ranked = [(rank(one), one.log_position, isinstance(one, Clear), one) for one in everything]
    ranked.sort(key=lambda entry: entry[:3])
    for wanted in (_URGENT, _ALARMS, _KEPT):
        items = [entry[3] for entry in ranked if entry[0] == wanted]
        size = limits.max_transaction_kept if wanted == _KEPT else limits.max_transaction_signals
        for start in range(0, len(items), size):
            yield Piece(wanted == _URGENT, items[start : start + size])


def take_piece(page: Page, items: Sequence[Signal | Clear], consumer: str, locate: Locate) -> int:
    """Apply one piece; how many signals were new."""
    added = 0
    for item in items:
        if isinstance(item, Clear):
            _clear(page, item, consumer)
        else:
            added += _signal(page, item, consumer, locate)
    return added


def save_position(page: Page, consumer: str, position: int) -> None:
    """Note up to where a consumer has read its log; an older position changes nothing."""
    page.connection.execute(_SAVE_POSITION, (consumer, position))


def _key(one: Signal | Clear) -> tuple[str, str, str]:
    return one.kind, one.device, one.fence


def _urgent(signal: Signal, limits: DeskLimits) -> bool:
    return limits.severity_of(signal.kind, signal.severity) == 1


def _signal(page: Page, signal: Signal, consumer: str, locate: Locate) -> bool:
    row = page.connection.execute(INSERT_SIGNAL, (*rows.signal_row(signal), consumer, page.now_ms)).fetchone()
    if row is None:
        return False
    if signal.source in KEPT_SOURCES:
        return True
    located, trouble = _located(signal, locate)
    kept = _raise(page, signal, located, trouble)
    page.connection.execute(_LINK, (row[0], kept.number))
    if kept.alarm.kind == "stolen_seen":
        seen(page, signal)
    if signal.source in DEVICE_SOURCES:
        answered = rows.plain_text(signal.device_alarm_id) or signal.id
        page.answer(signal.device, answered, "received")
        if kept.alarm.work in TAKEN_ON:
            page.answer(signal.device, answered, "acknowledged")
    return True


def _located(signal: Signal, locate: Locate) -> tuple[Located, str]:
    try:
        return locate(signal), ""
    except Exception as error:  # whatever is wrong with the map, the alarm is raised
        return where_it_says(signal), f"{type(error).__name__}: {error}"[:200]


def _raise(page: Page, signal: Signal, located: Located, trouble: str) -> Kept:
    limits = page.limits
    severity = limits.severity_of(signal.kind, signal.severity)
    detail: dict[str, object] = {"signal": signal.id, "source": signal.source}
    if trouble:
        detail["unlocated"] = trouble
    before = page.reopen(signal.device, signal.kind, signal.fence, signal.received_ms - limits.reopen_ms)
    if before is None:
        alarm_id = f"A{page.year}-{page.counters.get('alarm', 0) + 1:06d}"
        fresh = transitions.raised(alarm_id, signal, fence=signal.fence, severity=severity)
        before, new = page.upsert(fresh, located)
        if new:
            page.record("raise", SYSTEM, detail, before)
            page.note_parent(None, before)
            page.hang_on(before)
            return _inhibited(page, before)
    alarm = transitions.signalled(before.alarm, signal, page.now_ms, reopen_ms=limits.reopen_ms, severity=severity)
    rises = before.alarm.condition is Condition.CLEARED or alarm.lap != before.alarm.lap
    keep = located.lat is None and before.desk.located.lat is not None
    after = page.move(before, alarm, detail=detail, located=before.desk.located if keep else located)
    page.hang_on(after)
    return _inhibited(page, after) if rises else after


def _inhibited(page: Page, kept: Kept) -> Kept:
    """A child of a device that is down is put out of sight as it rises."""
    alarm = kept.alarm
    if alarm.kind not in CHILD_KINDS or alarm.severity == 1 or alarm.side is not Side.NONE:
        return kept
    parent = down_parent(page, kept)
    if not parent:
        return kept
    rule = inhibited_rule(parent)
    return page.move(kept, transitions.suppressed(alarm, rule, page.now_ms), detail={"rule": rule})


def inhibited_rule(parent: str) -> str:
    """The name of the rule that puts the children of a device that is down out of sight."""
    return f"inhibited:{parent}"


def down_parent(page: Page, kept: Kept) -> str:
    """The first device that an alarm hangs on and that is down now, or ""."""
    for parent in kept.desk.located.parents:
        if parent != kept.alarm.device and is_device_down(page, parent):
            return parent
    return ""


def is_device_down(page: Page, device: str) -> bool:
    """Whether an open, active alarm says that a device is down."""
    found = page.connection.execute(
        "SELECT 1 FROM alarms WHERE device = ? AND kind IN ('offline', 'button_silent', 'power_cut')"
        " AND work <> 'closed' AND condition = 'active' LIMIT 1",
        (device,),
    ).fetchone()
    return found is not None


def _clear(page: Page, clear: Clear, consumer: str) -> None:
    kept = page.find(
        "kind = ? AND device = ? AND fence = ? AND work <> 'closed'", (clear.kind, clear.device, clear.fence)
    )
    if kept is None or kept.alarm.condition is Condition.CLEARED:
        return
    key = (clear.device, clear.kind, clear.fence)
    position, time_ms = clear.log_position, clear.time_ms
    newer = (*key, position, consumer, position, time_ms)
    if page.connection.execute(_NEWER_SAME_LOG, newer).fetchone() is not None:
        return
    other = (clear.device, time_ms, clear.kind, clear.fence, consumer)
    if page.connection.execute(_NEWER_OTHER_LOG, other).fetchone() is not None:
        return
    alarm: Alarm = transitions.cleared(kept.alarm, page.now_ms)
    page.move(kept, alarm, detail={"time_ms": time_ms})
