"""The tables of `desk.db`, as migrations: each runs once and never changes again. Written for SQLite and PostgreSQL."""

from __future__ import annotations

_SIGNALS = """
CREATE TABLE signals (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  lat REAL,
  lon REAL,
  severity INTEGER NOT NULL,
  late INTEGER NOT NULL,
  note TEXT NOT NULL,
  log_position INTEGER NOT NULL,
  kept_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_by_device ON signals (device, time_ms);
CREATE INDEX signals_by_time ON signals (time_ms);
CREATE TABLE signal_consumers (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT;
"""

#: `alarms` holds the fields of `model.alarm.Alarm`, then those of `Located` and `DeskAlarm`, in `rows.COLUMNS`' order.
_DESK = """
ALTER TABLE signals ADD COLUMN fence TEXT NOT NULL DEFAULT '';
ALTER TABLE signals ADD COLUMN device_alarm_id TEXT NOT NULL DEFAULT '';
ALTER TABLE signals ADD COLUMN consumer TEXT NOT NULL DEFAULT '';
CREATE INDEX signals_by_key ON signals (device, kind, fence, log_position);
CREATE TABLE alarms (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  device TEXT NOT NULL,
  fence TEXT NOT NULL,
  severity INTEGER NOT NULL,
  latches INTEGER NOT NULL,
  condition TEXT NOT NULL,
  work TEXT NOT NULL,
  side TEXT NOT NULL,
  version INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  changed_ms INTEGER NOT NULL,
  changed_how TEXT NOT NULL,
  signals INTEGER NOT NULL,
  last_signal TEXT NOT NULL,
  lap INTEGER NOT NULL,
  late INTEGER NOT NULL,
  device_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  owner TEXT NOT NULL,
  unit TEXT NOT NULL,
  reviewer TEXT NOT NULL,
  eta_ms INTEGER NOT NULL,
  outcome TEXT,
  reason TEXT NOT NULL,
  side_reason TEXT NOT NULL,
  side_until_ms INTEGER NOT NULL,
  shown_ms INTEGER NOT NULL,
  acknowledged_ms INTEGER NOT NULL,
  dispatched_ms INTEGER NOT NULL,
  on_scene_ms INTEGER NOT NULL,
  resolved_ms INTEGER NOT NULL,
  closed_ms INTEGER NOT NULL,
  cleared_ms INTEGER NOT NULL,
  to_receive_ms INTEGER,
  to_show_ms INTEGER,
  to_acknowledge_ms INTEGER,
  to_dispatch_ms INTEGER,
  to_scene_ms INTEGER,
  total_ms INTEGER,
  response_ms INTEGER,
  breached INTEGER,
  area TEXT NOT NULL,
  site TEXT NOT NULL,
  parents TEXT NOT NULL,
  lat REAL,
  lon REAL,
  rung INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  overdue INTEGER NOT NULL,
  breach_due_ms INTEGER NOT NULL,
  next_due_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX alarms_open ON alarms (kind, device, fence) WHERE work <> 'closed';
CREATE INDEX alarms_by_key ON alarms (device, kind, fence, closed_ms);
CREATE INDEX alarms_by_due ON alarms (next_due_ms) WHERE next_due_ms > 0;
CREATE INDEX alarms_by_severity ON alarms (severity, received_ms) WHERE work <> 'closed';
CREATE INDEX alarms_by_time ON alarms (received_ms);
CREATE INDEX alarms_by_reason ON alarms (side_reason) WHERE side = 'suppressed';
CREATE TABLE alarm_signals (
  signal INTEGER PRIMARY KEY,
  alarm INTEGER NOT NULL REFERENCES alarms (number)
) STRICT;
CREATE INDEX alarm_signals_by_alarm ON alarm_signals (alarm);
CREATE TABLE alarm_parents (
  parent TEXT NOT NULL,
  alarm INTEGER NOT NULL REFERENCES alarms (number),
  PRIMARY KEY (parent, alarm)
) STRICT;
CREATE INDEX alarm_parents_by_alarm ON alarm_parents (alarm);
CREATE TABLE parent_changes (
  device TEXT PRIMARY KEY
) STRICT;
CREATE TABLE laps (
  alarm INTEGER NOT NULL REFERENCES alarms (number),
  lap INTEGER NOT NULL,
  late INTEGER NOT NULL,
  device_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  to_receive_ms INTEGER,
  to_show_ms INTEGER,
  to_acknowledge_ms INTEGER,
  to_dispatch_ms INTEGER,
  to_scene_ms INTEGER,
  total_ms INTEGER,
  response_ms INTEGER,
  breached INTEGER,
  overdue INTEGER NOT NULL,
  PRIMARY KEY (alarm, lap)
) STRICT;
CREATE INDEX laps_by_time ON laps (received_ms);
CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  action TEXT NOT NULL,
  who TEXT NOT NULL,
  detail TEXT NOT NULL,
  alarm INTEGER NOT NULL REFERENCES alarms (number),
  after TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_alarm ON events (alarm, number);
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;
CREATE TABLE answers (
  number INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  alarm_id TEXT NOT NULL,
  state TEXT NOT NULL,
  made_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE units (
  device TEXT PRIMARY KEY,
  level INTEGER NOT NULL,
  state TEXT NOT NULL,
  alarm TEXT NOT NULL,
  changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE cases (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  owner_ref TEXT NOT NULL,
  state TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX cases_open ON cases (device) WHERE state <> 'closed';
CREATE TABLE case_steps (
  number INTEGER NOT NULL REFERENCES cases (number),
  step INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  state TEXT NOT NULL,
  who TEXT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (number, step)
) STRICT;
"""

#: A case is handed over to an officer; the step says to whom.
_OFFICERS = """
ALTER TABLE cases ADD COLUMN officer TEXT NOT NULL DEFAULT '';
ALTER TABLE case_steps ADD COLUMN given_to TEXT NOT NULL DEFAULT '';
"""

MIGRATIONS: tuple[str, ...] = (_SIGNALS, _DESK, _OFFICERS)
