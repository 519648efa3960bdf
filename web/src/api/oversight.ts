// Answers of `console.supervisor_operations`, `console.audit_operations`, `console.system_operations`, `console.account_operations`.

import type { Outcome, Role } from "./types";
import { language } from "../text";

/** A code's words, as the service gives them in both languages. */
export interface Words {
  zh: string;
  en: string;
}

export const said = (words: Words): string => words[language.value];

export type Level = "acceptable" | "manageable" | "demanding" | "over" | "unacceptable";

export interface Seat {
  user: string;
  name: string;
  role: Role;
  state: "open" | "acted" | "away";
  seat: boolean;
  pages: number;
  since: string | null;
  last: string | null;
  last_action: string;
  open: number;
  oldest: string | null;
  taken: number;
  taken_10_min: number;
  level: Level;
}

export interface Seats {
  time: string;
  seats: Seat[];
  taken: number;
  last_10_min: number;
  per_seat: number;
  level: Level;
  flood: boolean;
  open: number;
  new: number;
}

export interface Spread {
  p50: number | null;
  p95: number | null;
  worst: number | null;
  count: number;
}

export interface Times {
  alarms: number;
  late: number;
  kept: number;
  over: number;
  share: number | null;
  acknowledge: Spread;
  dispatch: Spread;
  arrive: Spread;
}

export interface FigureRow extends Times {
  time: string;
  seats: number;
  per_seat: number;
  peak_10_min: number;
  peak_per_seat: number;
  level: Level;
  peak_level: Level;
}

export type Step = "none" | "announce" | "look" | "shelve" | "retire";

export interface NoisyDevice {
  device: string;
  alarms: number;
  signals: number;
  severity: 1 | 2 | 3;
  kinds: Record<string, number>;
  outcomes: Partial<Record<Outcome, number>>;
  step: Step;
}

export interface Flood {
  from: string;
  to: string;
  alarms: number;
  peak_10_min: number;
  kinds: Record<string, number>;
  areas: Record<string, number>;
}

export interface Figures {
  from: string;
  to: string;
  by: "hour" | "day";
  promise_s: number;
  cut: boolean;
  in_all: Times;
  rows: FigureRow[];
  floods: Flood[];
  devices: NoisyDevice[];
}

export interface AuditRow {
  number: number;
  time: string;
  who: string;
  role: string;
  action: string;
  target: string;
  purpose: string;
  detail: Record<string, unknown>;
}

export interface AuditShown extends AuditRow {
  hash: string;
  prev_hash: string;
  holds: boolean;
}

export interface Verified {
  ok: boolean;
  rows: number | null;
  problems: { place: string; what: string; mend: string }[];
  verified: string;
  checkpoint: { number: number; time: string; hash: string; public_key: string } | null;
}

export interface AuditAction {
  action: string;
  words: Words;
}

export interface SystemSource {
  source: string;
  words: Words;
  count: number | null;
  per_s: number | null;
  silent_s: number | null;
  connected: boolean | null;
  rejected: number | null;
}

export interface System {
  time: string;
  city: string;
  service: { version: string; uptime_s: number | null; python: string; sqlite: string; machine: string; libraries: Record<string, string> };
  sources: SystemSource[];
  points: {
    received: number;
    stored: number;
    duplicate: number;
    quarantined: number;
    expired: number;
    in_flight: number;
    behind: number;
    holds: boolean;
    lag_ms: number | null;
    per_s: number | null;
    silent_s: number | null;
  };
  alarms: { position: number; behind: number | null; signals: number };
  rejected: { reason: string; words: Words; rows: number }[];
  disk: {
    free_bytes: number | null;
    total_bytes: number | null;
    free_share: number | null;
    fills_bytes_per_day: number | null;
    days_left: number | null;
    seen_s: number;
    evidence_bytes: number | null;
    recording_bytes: number | null;
  };
  series: { store: string; away: boolean; away_s: number; numbers_pending: number | null; numbers_dropped: number | null; mirror_missed: number | null };
  broker: { embedded: number | null; port: number | null };
  cameras: { state: string; words: Words; count: number }[];
  video: { workers: number | null; worker_deaths: number | null; recording_stopped: number | null };
  viewers: { events: number | null; live: number | null };
  devices: { registered: Record<string, number>; online: number | null };
  clock: { synchronised: boolean | null; devices_off: number | null };
  findings: { finding: string; words: Words }[];
}

export interface AccountRow {
  user: string;
  name: string;
  role: Role;
  language: "zh" | "en" | "";
  enabled: boolean;
  version: number;
  made: string | null;
  changed: string | null;
  changed_by: string;
  password_changed: string | null;
  signed_in: string | null;
  failures: number;
  locked_s: number;
  sessions: number;
}

/** `console.approval_operations.approval_row`, all of it. */
export interface ApprovalRow {
  approval: string;
  state: "asked" | "granted" | "used" | "refused" | "expired" | "broken" | "reviewed";
  break_glass: boolean;
  overdue: boolean;
  version: number;
  by: string;
  role: string;
  operation: string;
  what: Record<string, unknown>;
  vehicles: number;
  from: string;
  to: string;
  wide: string[];
  purpose: string;
  reason: string;
  asked: string | null;
  expires: string | null;
  decided_by: string;
  decided: string | null;
  note: string;
  uses: number;
  max_uses: number;
  last_used: string | null;
  reviewed_by: string;
  reviewed: string | null;
  review: string;
  justified: boolean | null;
}
