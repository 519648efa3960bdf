// The questions of a search, and what comes back, as rows of one shape. Pure.

import type { At } from "./area";

export const QUESTIONS = ["inside", "both", "then", "company", "met"] as const;
export type Question = (typeof QUESTIONS)[number];
/** Those that ask of two places. */
export const OF_TWO: readonly Question[] = ["both", "then"];
export const KINDS = ["taxi", "unit"] as const;

export interface Asked {
  question: Question;
  first: string;
  second: string;
  device: string;
  fromMs: number;
  toMs: number;
  /** Seconds between two places, or between two who met; metres and seconds of company. null: not said. */
  withinS: number | null;
  nearM: number;
  togetherS: number;
  kinds: string[];
  /** Found among these alone; none: among all of the kinds. */
  devices: string[];
  /** With the points, so that they can be drawn. */
  evidence: boolean;
}

export interface Read {
  operation: string;
  where: string;
  arguments: Record<string, unknown>;
}

/** What the service is asked: the operation, its address, and what it is given but purpose and approval. */
export function readOf(asked: Asked): Read {
  const { question, fromMs, toMs } = asked;
  const whom = asked.devices.length ? { devices: asked.devices } : asked.kinds.length ? { kinds: asked.kinds } : {};
  const given: Record<string, unknown> = { from_ms: fromMs, to_ms: toMs, ...whom };
  if (question === "company") Object.assign(given, { device: asked.device, near_m: asked.nearM, together_s: asked.togetherS });
  else if (OF_TWO.includes(question)) Object.assign(given, { first: asked.first, second: asked.second });
  else given["area"] = asked.first;
  if (question !== "inside" && question !== "company" && asked.withinS !== null) given["within_s"] = asked.withinS;
  if (question === "inside" || question === "both") given["evidence"] = asked.evidence;
  return { operation: `search_${question}`, where: `/search/${question}`, arguments: given };
}

// -- what comes back ---------------------------------------------------------------------------

export interface Found {
  key: string;
  device: string;
  /** Of a pair. */
  other: string;
  plate: string;
  fromMs: number;
  toMs: number;
  /** Seconds: inside, between the two places, on the way, together, apart. */
  seconds: number;
  /** Metres of the nearest; null where it is not asked. */
  nearestM: number | null;
  points: number | null;
  /** Between two points: nothing was measured inside. */
  interpolated: boolean;
  places: (At & { atMs: number })[];
}

interface Presence {
  first: string;
  last: string;
  interpolated: boolean;
  points: number;
  legs: number;
  evidence?: { points: { time: string; lat: number | null; lon: number | null }[]; legs: { before: { lat: number; lon: number; time: string }; after: { lat: number; lon: number; time: string } }[] };
}

export interface Answer {
  searched: number;
  allowed_by: string;
  vehicles?: (Partial<Presence> & { device: string; plate: string; apart_s?: number; first?: string | Presence; second?: Presence })[];
  passages?: { device: string; plate: string; left: string; reached: string; took_s: number; left_interpolated: boolean; reached_interpolated: boolean }[];
  company?: { device: string; plate: string; from: string; to: string; seconds: number; nearest_m: number; points: number; interpolated: boolean }[];
  pairs?: { device: string; other: string; time: string; apart_s: number }[];
}

function placesOf(one: Presence): (At & { atMs: number })[] {
  const ends = one.evidence?.legs.flatMap((leg) => [leg.before, leg.after]) ?? [];
  return [...(one.evidence?.points ?? []), ...ends].flatMap(({ lat, lon, time }) => (lat === null || lon === null ? [] : [{ lat, lon, atMs: Date.parse(time) }]));
}

export function foundOf(question: Question, answer: Answer): Found[] {
  const made = (number: number, row: Partial<Found> & { device: string; fromMs: number; toMs: number }): Found => ({
    key: `${number}`, other: "", plate: "", seconds: (row.toMs - row.fromMs) / 1000, nearestM: null, points: null, interpolated: false, places: [], ...row,
  });
  const ms = Date.parse;
  if (question === "then") {
    return (answer.passages ?? []).map((one, i) =>
      made(i, { device: one.device, plate: one.plate, fromMs: ms(one.left), toMs: ms(one.reached), seconds: one.took_s, interpolated: one.left_interpolated || one.reached_interpolated }),
    );
  }
  if (question === "company") {
    return (answer.company ?? []).map((one, i) =>
      made(i, { device: one.device, plate: one.plate, fromMs: ms(one.from), toMs: ms(one.to), seconds: one.seconds, nearestM: one.nearest_m, points: one.points, interpolated: one.interpolated }),
    );
  }
  if (question === "met") {
    return (answer.pairs ?? []).map((one, i) => made(i, { device: one.device, other: one.other, fromMs: ms(one.time), toMs: ms(one.time), seconds: one.apart_s }));
  }
  return (answer.vehicles ?? []).map((one, i) => {
    const sides = question === "both" ? [one.first as Presence, one.second as Presence] : [one as Presence];
    const times = sides.flatMap((side) => [ms(side.first), ms(side.last)]);
    return made(i, {
      device: one.device,
      plate: one.plate,
      fromMs: Math.min(...times),
      toMs: Math.max(...times),
      points: sides.reduce((sum, side) => sum + side.points, 0),
      interpolated: sides.some((side) => side.interpolated),
      places: sides.flatMap(placesOf),
      ...(question === "both" ? { seconds: one.apart_s ?? 0 } : {}),
    });
  });
}

export const ORDERS = ["device", "from", "to", "seconds", "nearest"] as const;
export type Order = (typeof ORDERS)[number];

export function sorted(found: readonly Found[], by: Order, down: boolean): Found[] {
  const value = (one: Found): string | number =>
    by === "device" ? one.device : by === "from" ? one.fromMs : by === "to" ? one.toMs : by === "seconds" ? one.seconds : (one.nearestM ?? Infinity);
  const compare = (a: Found, b: Found): number => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return a.fromMs - b.fromMs;
    return (x < y ? -1 : 1) * (down ? -1 : 1);
  };
  return [...found].sort(compare);
}

/** A little before and after, so that one sees where somebody came from; never beyond what was asked. */
const AROUND_MS = 300_000;
export function aroundOf(found: Found, asked: { fromMs: number; toMs: number }): { fromMs: number; toMs: number } {
  return { fromMs: Math.max(asked.fromMs, found.fromMs - AROUND_MS), toMs: Math.min(asked.toMs, found.toMs + AROUND_MS) };
}

/** The address of a replay. */
export function replayOf(devices: readonly string[], fromMs: number, toMs: number): string {
  const query = new URLSearchParams({ devices: devices.join(","), from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() });
  return `/replay?${query.toString()}`;
}
