// The answers of the service, by hand from docs/design/console.md and console/*_rows.py.

export const SEVERITIES = [1, 2, 3] as const;
export type Severity = (typeof SEVERITIES)[number];

export const WORKS = ["new", "acknowledged", "dispatched", "on_scene", "resolved", "closed"] as const;
export type Work = (typeof WORKS)[number];

export const OUTCOMES = ["real", "false", "test", "duplicate", "unfounded", "transferred"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const ROLES = ["operator", "supervisor", "officer", "approver", "technician", "auditor", "admin"] as const;
export type Role = (typeof ROLES)[number];

export const PURPOSES = ["alarm", "case", "patrol", "maintenance", "supervision", "test", "subject_request"] as const;
export type PurposeCode = (typeof PURPOSES)[number];

export interface Session {
  user: string;
  role: Role;
  language: "zh" | "en" | "";
  name: string;
  until: string;
}

export type Clock = "to_receive_ms" | "to_show_ms" | "to_acknowledge_ms" | "to_dispatch_ms" | "to_scene_ms" | "total_ms";

export interface Alarm {
  alarm: string;
  kind: string;
  device: string;
  fence: string;
  severity: Severity;
  work: Work;
  condition: "active" | "cleared";
  side: "" | "shelved" | "suppressed";
  late: boolean;
  version: number;
  remaining_s: number | null;
  overdue: boolean;
  breached: boolean | null;
  jurisdiction: string;
  site: string;
  lat: number | null;
  lon: number | null;
  place_hidden: boolean;
  signals: number;
  lap: number;
  latches: boolean;
  owner: string;
  unit: string;
  reviewer: string;
  outcome: Outcome | null;
  reason: string;
  side_reason: string;
  rung: number;
  due: string | null;
  changed_by: string;
  changed_how: string;
  time: string | null;
  received: string | null;
  shown: string | null;
  acknowledged: string | null;
  dispatched: string | null;
  eta: string | null;
  on_scene: string | null;
  resolved: string | null;
  closed: string | null;
  cleared: string | null;
  shelved_until: string | null;
  changed: string | null;
  response_ms: number | null;
  clocks_ms: Partial<Record<Clock, number | null>>;
  /** Who said that he is about to press for a test, "" nobody; and until when it is quiet for that. */
  test_by?: string;
  test_until?: string | null;
  folded?: number;
  children?: string[];
}

export interface Step {
  number: number;
  time: string | null;
  action: string;
  by: string;
  work: Work;
  version: number;
  detail: Record<string, unknown>;
}

/** An event of the feed: the step and the alarm after it. */
export interface AlarmEvent extends Omit<Step, "work" | "version"> {
  work: Work;
  version: number;
  alarm: Alarm;
}

export interface AlarmSignal {
  id: string;
  source: string;
  time: string | null;
  received: string | null;
  late: boolean;
  lat: number | null;
  lon: number | null;
  note: string;
}

export interface Evidence {
  evidence: string;
  device: string;
  kind: string;
  format: string;
  sha256: string;
  size_bytes: number;
  time: string | null;
  received: string | null;
}

export interface NearCamera {
  camera: string;
  name: string;
  bound: boolean;
  distance_m: number | null;
  bearing_deg: number | null;
  lat: number | null;
  lon: number | null;
}

export interface NearUnit {
  unit: string;
  level: number;
  state: string;
  alarm: string;
  distance_m: number | null;
  bearing_deg: number | null;
  fix_age_s: number | null;
}

export interface Post {
  name: string;
  fence: string;
  lat: number;
  lon: number;
  distance_m: number | null;
}

export interface AlarmContext {
  device: { device: string; name?: string; plate?: string; phone?: string; model?: string };
  site: { site: string; name: string; contact: string; phone: string; lat: number; lon: number } | null;
  /** The leaf first. */
  jurisdiction: { area: string; name: string; level: string }[];
  place: { lat: number; lon: number } | null;
  place_hidden: boolean;
  cameras: NearCamera[];
  units: NearUnit[];
  defence: { next_line: number | null; posts: Post[]; levels: { level: number; units: NearUnit[] }[] } | null;
  track: { device: string; from: string; to: string; points: number | null } | null;
}

export interface AlarmDetails extends Alarm {
  signals_kept: AlarmSignal[];
  history: Step[];
  evidence: Evidence[];
  context: AlarmContext;
}

export interface AlarmStats {
  open: number;
  open_by_severity: Record<string, number>;
  last_10_min: number;
  eemua_191_per_10_min: number;
  flood: boolean;
  late: number;
  breached: number;
  clocks_ms: Record<string, Record<string, number>>;
}

export interface Unit {
  device: string;
  level: number;
  state: string;
  alarm: string;
  changed: string | null;
}

export interface TrackPoint {
  time: string;
  lat: number;
  lon: number;
  speed_kmh: number | null;
  heading_deg: number | null;
  acc_m: number | null;
  occupied: boolean | null;
  ignition: boolean | null;
  buffered: boolean;
  alarms: string[];
  marks: string[];
}

export interface Track {
  device: string;
  points: TrackPoint[];
}

export interface Trip {
  start: string;
  end: string;
  duration_s: number;
  distance_m: number;
  mean_kmh: number | null;
  max_kmh: number | null;
  occupied_share: number | null;
}

export interface Stop {
  start: string;
  end: string;
  duration_s: number;
  lat: number;
  lon: number;
}

export interface Trips {
  device: string;
  points: number;
  trips: Trip[];
  stops: Stop[];
  occupancy: { time: string; occupied: boolean }[];
  totals: { distance_m: number; driving_s: number; standing_s: number; occupied_share: number | null };
}

/** A pass of a device by a camera. */
export interface CameraPass {
  camera: string;
  name: string;
  from: string;
  to: string;
  nearest: string;
  range_m: number;
  recorded: { from: string; to: string; seconds: number }[] | null;
  pull: { operation: string; camera: string; from_ms: number; to_ms: number };
}

/** What needs a second person: `console.approval_operations.approval_row`. */
export interface Approval {
  approval: string;
  state: "asked" | "granted" | "used" | "refused" | "expired" | "broken" | "reviewed";
  version: number;
  by: string;
  operation: string;
  vehicles: number;
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
}

/** [device, lat, lon, heading_deg, speed_kmh, age_s, state bits, acc_m]; the bits are `State` of `console.web.positions`. */
export type PositionRow = [string, number, number, number | null, number | null, number, number, number | null];

export interface Positions {
  at_ms: number;
  devices: PositionRow[];
  gone: string[];
  /** These are all: whatever else was shown is gone. */
  all?: boolean;
}

export interface Clusters {
  at_ms: number;
  cells: [id: string, lat: number, lon: number, count: number][];
  /** Those that are followed. */
  devices: PositionRow[];
}

export interface Page<T> {
  items: T[];
  next: string | null;
}
