import type { Alarm } from "../src/api/types";

/** An alarm with what a test cares for changed. */
export function alarm(change: Partial<Alarm> = {}): Alarm {
  return {
    alarm: "A1", kind: "one_key", device: "button/1", fence: "", severity: 1, work: "new", condition: "active", side: "", late: false,
    version: 1, remaining_s: 300, overdue: false, breached: null, jurisdiction: "", site: "", lat: 40.65, lon: 109.84,
    place_hidden: false, signals: 1, lap: 1, latches: true, owner: "", unit: "", reviewer: "", outcome: null, reason: "",
    side_reason: "", rung: 0, due: null, changed_by: "system", changed_how: "signal", time: "2026-11-23T04:00:00.000Z",
    received: "2026-11-23T04:00:00.000Z", shown: null, acknowledged: null, dispatched: null, eta: null, on_scene: null,
    resolved: null, closed: null, cleared: null, shelved_until: null, changed: null, response_ms: null, clocks_ms: {},
    ...change,
  };
}

/** A seeded generator, so that a failure can be run again: mulberry32. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
