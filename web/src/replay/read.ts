// What a replay is made of, read under its purpose: one question for all vehicles; of a whole fleet frames alone.

import { get, type Value } from "../api/client";
import type { Alarm, CameraPass, Evidence, Stop, TrackPoint, Trip, Trips } from "../api/types";
import type { FramesPage } from "./frames";
import type { Lane } from "./timeline";
import { columnsOf, gapsOf, occupiedOf, oddOf, stopsOf, type Odd, type Span, type TrackColumns } from "./track";

export const MOST_VEHICLES = 8;
const READ_TIMEOUT_MS = 120_000;
/** Told apart on any ground, and by those who do not see red or green. */
export const VEHICLE_COLOURS = ["#36c5b0", "#ff9f5a", "#8fb4ff", "#e6d34a", "#e58ae0", "#9ad86b", "#ff7d7d", "#c9c9c9"] as const;

interface ReplayTrack {
  device: string;
  plate: string;
  count: number;
  points: TrackPoint[] | null;
  trips: Trip[];
  stops: Stop[];
  totals: Trips["totals"];
  gaps: { from: string; to: string }[];
  signals: { number: number; kind: string; time: string }[];
  alarms: Alarm[];
  evidence: Evidence[] | null;
  cameras: CameraPass[] | null;
  left_out: string[];
}

interface ReplayAnswer {
  replay: string;
  from: string;
  to: string;
  vehicles: number;
  allowed_by: string;
  duplicates?: number;
  tracks: ReplayTrack[] | null;
}

export interface Vehicle {
  device: string;
  plate: string;
  colour: string;
  track: TrackColumns;
  odd: Odd[];
  stops: (Span & Stop)[];
  trips: Trip[];
  totals: Trips["totals"];
  gaps: Span[];
  alarms: { atMs: number; name: string; alarm: string }[];
  signals: { atMs: number; name: string }[];
  evidence: Evidence[];
  cameras: CameraPass[] | null;
  leftOut: string[];
}

export interface Replay {
  id: string;
  vehicles: Vehicle[];
  allowedBy: string;
  /** Rows that were there twice, and were left out. */
  duplicates: number;
  /** Of a whole fleet: how many it is of; null for named vehicles. */
  fleet: number | null;
}

export interface ReplayAsked {
  devices: readonly string[];
  /** Instead of devices: all of a kind, as frames. */
  kind?: string;
  fromMs: number;
  toMs: number;
  purpose: string;
  approval: string;
  cameras?: boolean;
}

function vehicleOf(told: ReplayTrack, number: number): Vehicle {
  const points = told.points ?? [];
  const track = columnsOf(told.device, points);
  const gaps = told.gaps.map((gap) => ({ fromMs: Date.parse(gap.from), toMs: Date.parse(gap.to) }));
  const alarms = told.alarms.map((alarm) => ({ atMs: Date.parse(alarm.time ?? alarm.received ?? ""), name: alarm.kind, alarm: alarm.alarm }));
  const fromPoints = track.alarms.map((one) => ({ ...one, alarm: "" }));
  return {
    device: told.device,
    plate: told.plate,
    colour: VEHICLE_COLOURS[number % VEHICLE_COLOURS.length] ?? "#36c5b0",
    track,
    odd: oddOf(points),
    stops: stopsOf(told.stops),
    trips: told.trips,
    totals: told.totals,
    gaps: gaps.length ? gaps : gapsOf(track),
    alarms: alarms.length ? alarms.filter((one) => !Number.isNaN(one.atMs)) : fromPoints,
    signals: told.signals.map((one) => ({ atMs: Date.parse(one.time), name: one.kind })),
    evidence: told.evidence ?? [],
    cameras: told.cameras,
    leftOut: told.left_out,
  };
}

/** What the service is asked, but purpose and approval: the same for the read and for the request of an approval. */
export function argumentsOf(asked: Pick<ReplayAsked, "devices" | "kind" | "fromMs" | "toMs">): Record<string, unknown> {
  const whose = asked.kind ? { kind: asked.kind } : { devices: [...asked.devices] };
  return { from_ms: asked.fromMs, to_ms: asked.toMs, ...whose };
}

export async function readReplay(asked: ReplayAsked): Promise<Replay> {
  const query: Record<string, Value> = { ...(argumentsOf(asked) as Record<string, Value>), purpose: asked.purpose, approval: asked.approval };
  if (asked.cameras === false) query["cameras"] = false;
  const answer = await get<ReplayAnswer>("/replays", query, { timeoutMs: READ_TIMEOUT_MS });
  return {
    id: answer.replay,
    vehicles: (answer.tracks ?? []).map(vehicleOf),
    allowedBy: answer.allowed_by,
    duplicates: answer.duplicates ?? 0,
    fleet: answer.tracks === null ? answer.vehicles : null,
  };
}

export function readFrames(replay: string, atMs: number, stepMs: number, frames: number): Promise<FramesPage> {
  return get<FramesPage>(`/replays/${encodeURIComponent(replay)}/frames`, { at_ms: atMs, step_ms: stepMs, frames }, { timeoutMs: READ_TIMEOUT_MS });
}

export function laneOf(vehicle: Vehicle): Lane {
  return {
    track: vehicle.track,
    colour: vehicle.colour,
    gaps: vehicle.gaps,
    stops: vehicle.stops,
    occupied: occupiedOf(vehicle.track),
    alarms: vehicle.alarms,
    passes: (vehicle.cameras ?? []).map((one) => ({ fromMs: Date.parse(one.from), toMs: Date.parse(one.to) })),
  };
}

/** Moments worth jumping to, of every vehicle. */
export function edgesOf(vehicles: readonly Vehicle[]): number[] {
  return vehicles
    .flatMap((one) => [...one.stops.flatMap((stop) => [stop.fromMs, stop.toMs]), ...one.gaps.flatMap((gap) => [gap.fromMs, gap.toMs]), ...one.alarms.map((alarm) => alarm.atMs)])
    .sort((a, b) => a - b);
}
