// A vehicle's track as columns, and where it was at a moment. Pure.
// Invariants: between two points a place is told as interpolated, in a gap the last place is held and told as such; the course
// turns by the shorter way; nothing is told before the first point.

import type { Stop, TrackPoint } from "../api/types";

/** A longer silence is never bridged: `model.presence.MAX_LEG_MS`. */
export const GAP_MS = 300_000;

export interface TrackColumns {
  device: string;
  timeMs: Float64Array;
  lat: Float64Array;
  lon: Float64Array;
  speedKmh: Float64Array;
  headingDeg: Float64Array;
  /** -1 not told, 0 free, 1 occupied. */
  occupied: Int8Array;
  /** Moments of alarm bits, with their names. */
  alarms: { atMs: number; name: string }[];
}

export interface Span {
  fromMs: number;
  toMs: number;
}

export type How = "measured" | "interpolated" | "gap" | "before";

export interface Seen {
  how: How;
  lat: number;
  lon: number;
  speedKmh: number | null;
  headingDeg: number | null;
  occupied: boolean | null;
  /** Of the point that it rests on. */
  pointMs: number;
}

/** Marks of a place that cannot be trusted. */
const ODD = ["jump", "no_fix"];
const trusted = (point: TrackPoint): boolean => Number.isFinite(point.lat) && Number.isFinite(point.lon) && !point.marks.some((mark) => ODD.includes(mark));

export interface Odd {
  atMs: number;
  lat: number;
  lon: number;
  marks: string[];
}

/** Points whose place cannot be trusted: shown as points with their marks, no part of the way. */
export function oddOf(points: readonly TrackPoint[]): Odd[] {
  return points
    .filter((point) => !trusted(point) && Number.isFinite(point.lat) && Number.isFinite(point.lon))
    .map((point) => ({ atMs: Date.parse(point.time), lat: point.lat, lon: point.lon, marks: point.marks }));
}

/** The points in order of time, as columns; those whose place cannot be trusted are left out, they are no place. */
export function columnsOf(device: string, points: readonly TrackPoint[]): TrackColumns {
  const kept = points
    .filter(trusted)
    .map((point) => ({ point, at: Date.parse(point.time) }))
    .sort((a, b) => a.at - b.at);
  const n = kept.length;
  const made: TrackColumns = {
    device,
    timeMs: new Float64Array(n),
    lat: new Float64Array(n),
    lon: new Float64Array(n),
    speedKmh: new Float64Array(n),
    headingDeg: new Float64Array(n),
    occupied: new Int8Array(n),
    alarms: [],
  };
  let before = new Set<string>();
  for (const [i, { point, at }] of kept.entries()) {
    made.timeMs[i] = at;
    made.lat[i] = point.lat;
    made.lon[i] = point.lon;
    made.speedKmh[i] = point.speed_kmh ?? NaN;
    made.headingDeg[i] = point.heading_deg ?? NaN;
    made.occupied[i] = point.occupied === null ? -1 : point.occupied ? 1 : 0;
    for (const name of point.alarms) if (!before.has(name)) made.alarms.push({ atMs: at, name });
    before = new Set(point.alarms);
  }
  return made;
}

/** Row of the last point at or before a time; -1 none. */
export function rowAt(track: TrackColumns, atMs: number): number {
  let [low, high] = [0, track.timeMs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((track.timeMs[middle] as number) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const known = (value: number | undefined): number | null => (value === undefined || Number.isNaN(value) ? null : value);

function turned(from: number, to: number, share: number): number {
  const turn = ((((to - from) % 360) + 540) % 360) - 180;
  return (from + turn * share + 360) % 360;
}

export function seenAt(track: TrackColumns, atMs: number): Seen | null {
  if (!track.timeMs.length) return null;
  const row = rowAt(track, atMs);
  const here = Math.max(row, 0);
  const pointMs = track.timeMs[here] as number;
  const seen: Seen = {
    how: row < 0 ? "before" : "measured",
    lat: track.lat[here] as number,
    lon: track.lon[here] as number,
    speedKmh: known(track.speedKmh[here]),
    headingDeg: known(track.headingDeg[here]),
    occupied: track.occupied[here] === -1 ? null : track.occupied[here] === 1,
    pointMs,
  };
  if (row < 0 || atMs === pointMs) return seen;
  const nextMs = track.timeMs[row + 1];
  if (nextMs === undefined || nextMs - pointMs > GAP_MS) {
    const held = atMs - pointMs > GAP_MS || nextMs !== undefined;
    return { ...seen, how: held ? "gap" : "measured", speedKmh: held ? null : seen.speedKmh };
  }
  const share = (atMs - pointMs) / (nextMs - pointMs);
  const between = (column: Float64Array): number => (column[row] as number) + ((column[row + 1] as number) - (column[row] as number)) * share;
  const [from, to] = [known(track.headingDeg[row]), known(track.headingDeg[row + 1])];
  return {
    ...seen,
    how: "interpolated",
    lat: between(track.lat),
    lon: between(track.lon),
    speedKmh: known(between(track.speedKmh)),
    headingDeg: from === null || to === null ? from : turned(from, to, share),
  };
}

/** Where nothing came for longer than `GAP_MS`. */
export function gapsOf(track: TrackColumns): Span[] {
  const out: Span[] = [];
  for (let i = 1; i < track.timeMs.length; i += 1) {
    const [fromMs, toMs] = [track.timeMs[i - 1] as number, track.timeMs[i] as number];
    if (toMs - fromMs > GAP_MS) out.push({ fromMs, toMs });
  }
  return out;
}

/** When it was occupied, as far as the device told. */
export function occupiedOf(track: TrackColumns): Span[] {
  const out: Span[] = [];
  let from = -1;
  for (let i = 0; i < track.timeMs.length; i += 1) {
    const on = track.occupied[i] === 1;
    const at = track.timeMs[i] as number;
    if (on && from < 0) from = at;
    if (!on && from >= 0) {
      out.push({ fromMs: from, toMs: at });
      from = -1;
    }
  }
  if (from >= 0) out.push({ fromMs: from, toMs: track.timeMs[track.timeMs.length - 1] as number });
  return out;
}

export function stopsOf(stops: readonly Stop[]): (Span & Stop)[] {
  return stops.map((stop) => ({ ...stop, fromMs: Date.parse(stop.start), toMs: Date.parse(stop.end) }));
}

// -- the line ----------------------------------------------------------------------------------

/** Upper ends of the classes of speed, km/h, and the colour of each. */
export const SPEED_CLASSES: readonly (readonly [upToKmh: number, colour: string])[] = [
  [10, "#5b8def"],
  [25, "#35c6b4"],
  [45, "#a7d948"],
  [70, "#f6b73c"],
  [Infinity, "#ef5a4c"],
];
const UNKNOWN_COLOUR = "#8fa3b5";

export function colourOf(speedKmh: number | null): string {
  if (speedKmh === null) return UNKNOWN_COLOUR;
  return SPEED_CLASSES.find(([upTo]) => speedKmh <= upTo)?.[1] ?? UNKNOWN_COLOUR;
}

export interface Piece {
  colour: string;
  gap: boolean;
  rows: [from: number, to: number];
}

/** Stretches of one colour; a gap is a piece of its own. Neighbours share their point. */
export function piecesOf(track: TrackColumns): Piece[] {
  const out: Piece[] = [];
  let last: Piece | null = null;
  for (let i = 1; i < track.timeMs.length; i += 1) {
    const gap = (track.timeMs[i] as number) - (track.timeMs[i - 1] as number) > GAP_MS;
    const colour = gap ? UNKNOWN_COLOUR : colourOf(known(track.speedKmh[i]));
    if (last && last.colour === colour && last.gap === gap) last.rows[1] = i;
    else {
      last = { colour, gap, rows: [i - 1, i] };
      out.push(last);
    }
  }
  return out;
}

// -- moments -----------------------------------------------------------------------------------

/** The next moment of note after (or before) a time: ends of gaps, stops, alarms. */
export function nextEdge(edges: readonly number[], atMs: number, forward: boolean): number | null {
  const found = edges.filter((one) => (forward ? one > atMs + 500 : one < atMs - 500));
  if (!found.length) return null;
  return forward ? Math.min(...found) : Math.max(...found);
}
