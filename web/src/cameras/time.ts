// A camera's time as the page draws it and moves in it. Pure.

import type { Timeline } from "./types";

export interface Stretch {
  fromMs: number;
  toMs: number;
}

export interface CameraTime {
  fromMs: number;
  toMs: number;
  bucketMs: number;
  recorded: (Stretch & { held: boolean })[];
  gaps: Stretch[];
  /** By column: 0..1, how much of its time there was motion, or what the samples say; NaN unknown. */
  motion: Float64Array;
  moving: Stretch[];
  states: (Stretch & { state: string })[];
  /** Pictures a second, as last measured. */
  fps: number;
  alarms: { atMs: number; alarm: string; kind: string; severity: number; device: string; distanceM: number | null }[];
}

/** Share of the picture from which a sample says that something moved. */
const MOVED_SHARE = 0.002;
export const MIN_VIEW_MS = 20_000;
const USUAL_FPS = 25;

export function readTime(answer: Timeline): CameraTime {
  const [fromMs, toMs] = [Date.parse(answer.from), Date.parse(answer.to)];
  const recorded = answer.coverage.map((one) => ({ fromMs: Date.parse(one.from), toMs: Date.parse(one.to), held: one.held }));
  const gaps: Stretch[] = [];
  let at = fromMs;
  for (const one of recorded) {
    if (one.fromMs > at) gaps.push({ fromMs: at, toMs: one.fromMs });
    at = Math.max(at, one.toMs);
  }
  if (at < toMs) gaps.push({ fromMs: at, toMs });
  const bucketMs = answer.bucket_ms;
  const motion = Float64Array.from(answer.motion_s, (seconds, i) => {
    const sample = answer.motion[i];
    const share = Math.min(1, (seconds * 1000) / bucketMs);
    return seconds > 0 ? share : sample === null || sample === undefined ? NaN : sample >= MOVED_SHARE ? Math.min(1, sample * 10) : 0;
  });
  return {
    fromMs,
    toMs,
    bucketMs,
    recorded,
    gaps,
    motion,
    moving: runs(motion, (one) => one > 0, fromMs, bucketMs, toMs),
    fps: answer.fps.findLast((one) => one !== null && one > 0) ?? USUAL_FPS,
    states: stateRuns(answer.state, fromMs, bucketMs, toMs),
    alarms: answer.alarms.map((one) => ({
      atMs: Date.parse(one.time),
      alarm: one.alarm,
      kind: one.kind,
      severity: one.severity,
      device: one.device,
      distanceM: one.distance_m,
    })),
  };
}

function runs(values: Float64Array, wanted: (value: number) => boolean, fromMs: number, stepMs: number, endMs: number): Stretch[] {
  const found: Stretch[] = [];
  for (let i = 0; i < values.length; i += 1) {
    if (!wanted(values[i] as number)) continue;
    const begin = fromMs + i * stepMs;
    const last = found[found.length - 1];
    if (last && last.toMs >= begin) last.toMs = Math.min(endMs, begin + stepMs);
    else found.push({ fromMs: begin, toMs: Math.min(endMs, begin + stepMs) });
  }
  return found;
}

function stateRuns(states: readonly (string | null)[], fromMs: number, stepMs: number, endMs: number): (Stretch & { state: string })[] {
  const found: (Stretch & { state: string })[] = [];
  for (const [i, state] of states.entries()) {
    if (!state) continue;
    const begin = fromMs + i * stepMs;
    const last = found[found.length - 1];
    // between two samples it was as the first one says
    if (last && last.state === state) last.toMs = Math.min(endMs, begin + stepMs);
    else {
      if (last) last.toMs = begin;
      found.push({ fromMs: begin, toMs: Math.min(endMs, begin + stepMs), state });
    }
  }
  return found;
}

/** The next beginning after `atMs`, or the last one before it; null: none. */
export function edge(starts: readonly number[], atMs: number, forward: boolean, nearMs = 500): number | null {
  let best: number | null = null;
  for (const one of starts) {
    if (forward ? one > atMs + nearMs && (best === null || one < best) : one < atMs - nearMs && (best === null || one > best)) best = one;
  }
  return best;
}

/** The moment nearest to `atMs` from which something can be played: itself where it is recorded, else the next recorded one. */
export function playable(recorded: readonly Stretch[], atMs: number): number | null {
  for (const one of recorded) if (atMs < one.toMs) return Math.max(atMs, one.fromMs);
  return null;
}

/** A view of the same middle (or of `aroundMs`), `factor` times as long, within the whole. */
export function zoomed(view: Stretch, factor: number, aroundMs: number, whole: Stretch): Stretch {
  const most = whole.toMs - whole.fromMs;
  const length = Math.min(most, Math.max(MIN_VIEW_MS, (view.toMs - view.fromMs) * factor));
  const share = Math.min(1, Math.max(0, (aroundMs - view.fromMs) / Math.max(1, view.toMs - view.fromMs)));
  return within({ fromMs: aroundMs - share * length, toMs: aroundMs + (1 - share) * length }, whole);
}

export function within(view: Stretch, whole: Stretch): Stretch {
  const length = Math.min(view.toMs - view.fromMs, whole.toMs - whole.fromMs);
  const fromMs = Math.min(Math.max(view.fromMs, whole.fromMs), whole.toMs - length);
  return { fromMs, toMs: fromMs + length };
}

const STEPS_MS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800].map((s) => s * 1000);

/** Times of the scale, at most one for each `everyPx` pixels; `offsetMs` is the zone's, so that days begin at midnight there. */
export function ticks(view: Stretch, widthPx: number, everyPx: number, offsetMs: number): { stepMs: number; atMs: number[] } {
  const length = view.toMs - view.fromMs;
  const stepMs = STEPS_MS.find((one) => (one / length) * widthPx >= everyPx) ?? STEPS_MS[STEPS_MS.length - 1] ?? 86_400_000;
  const atMs: number[] = [];
  for (let at = Math.ceil((view.fromMs + offsetMs) / stepMs) * stepMs - offsetMs; at < view.toMs; at += stepMs) atMs.push(at);
  return { stepMs, atMs };
}
