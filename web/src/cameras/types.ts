// What the service says of cameras: console/camera_rows.py, camera_tree.py, timeline_operations.py.

import type { Severity, Work } from "../api/types";

export const STATES = ["online", "degraded", "stalled", "offline", "parked", "disabled", "unknown"] as const;
export type CameraState = (typeof STATES)[number];
export type StateCounts = Partial<Record<CameraState, number>>;

export interface GroupItem {
  kind: "area" | "site" | "none";
  node: string;
  name: string;
  level?: string;
  cameras: number;
  states: StateCounts;
}

export interface CameraItem {
  kind: "camera";
  camera: string;
  name: string;
  site?: string;
  state: CameraState | "";
  health?: string[];
  policy?: string;
  record?: string;
  recording?: boolean | null;
  masked?: boolean;
  loss?: string;
  /** What it belongs to, from the top, of those that a search found. */
  where: { node: string; name: string }[];
}

export type TreeItem = GroupItem | CameraItem;

export interface TreeAnswer {
  node: string;
  name: string;
  path: { node: string; name: string }[];
  cameras: number;
  states: StateCounts;
  total: number;
  offset: number;
  items: TreeItem[];
}

/** Fractions of the picture's width and height. */
export type Point = [x: number, y: number];
export type Ring = Point[];

export interface CameraSettings {
  policy: string;
  transport: string;
  record: string;
  sensitivity: number;
  objects: boolean;
  masks: Ring[];
  [key: string]: unknown;
}

export interface CameraDetails {
  camera: string;
  slot: number;
  name: string;
  site: string;
  state: CameraState | "";
  since: string | null;
  policy: string;
  mode: string;
  gate: string;
  gate_why: string;
  gate_why_zh: string;
  recall: number | null;
  fps: number | null;
  bitrate_kbps: number | null;
  lag_ms: number | null;
  health: string[];
  record: string;
  recording: boolean | null;
  masked: boolean;
  loss: string;
  detail: string;
  address: string;
  sub_address: string;
  set: string | null;
  version: number;
  codec: string;
  width_px: number | null;
  height_px: number | null;
  keyframe_gap_s: number | null;
  media_age_s: number | null;
  worker: number | null;
  settings: CameraSettings;
}

export interface SpanRow {
  from: string;
  to: string;
  seconds: number;
  segments: number;
  held: boolean;
}

export interface SegmentRow {
  recording: string;
  camera: string;
  from: string;
  to: string;
  seconds: number;
  size_bytes: number;
  sha256: string;
  codec: string;
  width_px: number;
  height_px: number;
  motion_s: number | null;
  masked: boolean;
  held: boolean;
}

export interface Recordings {
  camera: string;
  coverage: SpanRow[];
  segments: SegmentRow[];
}

export interface TimelineAlarm {
  alarm: string;
  kind: string;
  severity: Severity;
  device: string;
  work: Work;
  time: string;
  distance_m: number | null;
}

export interface Timeline {
  camera: string;
  from: string;
  to: string;
  bucket_ms: number;
  coverage: SpanRow[];
  motion_s: number[];
  motion: (number | null)[];
  fps: (number | null)[];
  bitrate_kbps: (number | null)[];
  state: (CameraState | null)[];
  alarms: TimelineAlarm[];
  alarms_cut: boolean;
}

export interface ClipRow {
  evidence: string;
  device: string;
  format: string;
  sha256: string;
  size_bytes: number;
  time: string | null;
  seconds: number;
  frames: number;
  codec: string;
  width_px: number;
  height_px: number;
  transcoded: boolean;
  note: string;
}

export interface Probe {
  camera?: string;
  address?: string;
  ok?: boolean;
  sub?: Probe;
  [key: string]: unknown;
}
