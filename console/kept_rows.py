"""Quarantine, signals, audit and problems as JSON-ready rows. Pure; decides nothing but the shape."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from console.track_rows import time_text
from model.errors import UsageError
from model.seams import Problem

if TYPE_CHECKING:
    from store.audit import AuditRow
    from store.ledger import QuarantineRow
    from store.signals import KeptSignal

MAX_LIST_ROWS = 10_000


def check_limit(limit: int) -> None:
    """UsageError unless 1 <= limit <= `MAX_LIST_ROWS`."""
    if not 1 <= limit <= MAX_LIST_ROWS:
        raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_LIST_ROWS}.")


def quarantine_row(row: QuarantineRow) -> dict[str, Any]:
    """One entry without its payload."""
    entry = row.entry
    return {
        "number": row.id,
        "received": time_text(entry.received_ms),
        "reason": entry.reason.name.lower(),
        "rows": entry.rows,
        "device": entry.device,
        "source": entry.source,
        "detail": entry.detail,
        "log_position": row.position,
    }


def raw_text(raw: bytes) -> dict[str, Any]:
    """A payload as text where it is UTF-8, else in base64; `encoding` says which."""
    try:
        return {"encoding": "utf-8", "raw": raw.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "raw": base64.b64encode(raw).decode()}


def signal_row(kept: KeptSignal) -> dict[str, Any]:
    """One signal, its place included."""
    row = asdict(kept.signal)
    return {
        "number": kept.number,
        "id": row["id"],
        "device": row["device"],
        "kind": row["kind"],
        "severity": row["severity"],
        "source": row["source"],
        "time": time_text(row["time_ms"]),
        "received": time_text(row["received_ms"]),
        "lat": None if row["lat"] is None else round(row["lat"], 6),
        "lon": None if row["lon"] is None else round(row["lon"], 6),
        "late": row["late"],
        "note": row["note"],
    }


def hidden_place(row: dict[str, Any], leaf_of: Callable[[float, float], str | None]) -> dict[str, Any]:
    """The row with the id of its area in the place of its point."""
    area = None if row["lat"] is None else leaf_of(row["lat"], row["lon"])
    return {**row, "lat": None, "lon": None, "jurisdiction": area}


def audit_row(row: AuditRow) -> dict[str, Any]:
    """One row of the audit."""
    fields = asdict(row)
    return {"number": fields.pop("number"), "time": time_text(fields.pop("time_ms")), **fields}


def problem_rows(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Problems as `store check` and `audit verify` give them."""
    return [asdict(problem) for problem in problems]
