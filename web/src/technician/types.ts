// The answers about devices that are installed, by hand from console/registration_rows.py and console/live_test_operations.py.

export const KINDS = ["taxi", "ebike", "button", "camera", "reader", "unit"] as const;
export type DeviceKind = (typeof KINDS)[number];
export const FIXED: ReadonlySet<string> = new Set(["button", "camera", "reader"]);
export const PROTOCOLS = ["mqtt", "jt808", "jt905", "gt06", "osmand", "owntracks", "teltonika"] as const;

export interface Installation {
  installation: string;
  device: string;
  by: string;
  how: string;
  began: string;
  until: string;
  open: boolean;
  renewals: number;
  ended: string | null;
  note: string;
  accuracy_m: number | null;
  seen: Record<string, string>;
  skipped: string[];
  alarm: string;
}

export interface Device {
  device: string;
  kind: string;
  enabled: boolean;
  name: string;
  plate: string;
  imei: string;
  phone: string;
  model: string;
  owner_ref: string;
  site: string;
  gateway: string;
  protocol: string;
  lat: number | null;
  lon: number | null;
  version: number;
}

export interface BoundDevice extends Device {
  cameras: string[];
  credential: boolean;
  retired: { time: string; by: string; reason: string; successor: string } | null;
  installation: Installation | null;
}

export type StepName = "report" | "fix" | "button" | "picture";

export interface Check {
  device: string;
  installation: Installation;
  steps: { step: StepName; state: "seen" | "missing" | "skipped"; time: string | null; why: string }[];
  done: boolean;
  off_m: number | null;
  cameras: string[];
  test_until: string | null;
  waiting: { alarm: string; until: string } | null;
}

export interface HistoryEntry {
  number: number;
  time: string;
  by: string;
  action: string;
  detail: Record<string, unknown>;
}

export interface PhotoRow {
  photo: string;
  format: string;
  width_px: number;
  height_px: number;
  by: string;
  time: string;
}

export interface ImportRow {
  line: number;
  device: string;
  result: "added" | "updated" | "unchanged" | "refused";
  reason: string;
  note: string;
}

export interface ImportReport {
  dry_run: boolean;
  counts: Record<ImportRow["result"], number>;
  rows: ImportRow[];
}

export interface SiteRow {
  site: string;
  name: string;
}
