// The 300-second clock: from receipt to a unit on scene, by the service's clock. Pure.

import type { Alarm } from "../api/types";

export const RESPONSE_CLOCK_S = 300;
/** From here on it is marked as pressing. */
export const PRESSING_S = 60;

export type ClockState = "none" | "late" | "running" | "pressing" | "over" | "kept" | "broken";

export interface ClockFace {
  state: ClockState;
  /** Seconds left while it runs (negative: over), seconds taken when it stopped. */
  seconds: number;
  /** Share that has gone, 0 to 1. */
  share: number;
}

const RUNNING = new Set(["new", "acknowledged", "dispatched"]);

export function face(alarm: Alarm, nowMs: number): ClockFace {
  if (alarm.late) return { state: "late", seconds: 0, share: 0 };
  if (alarm.response_ms !== null) {
    const seconds = Math.round(alarm.response_ms / 1000);
    const share = Math.min(1, seconds / RESPONSE_CLOCK_S);
    return { state: alarm.breached ? "broken" : "kept", seconds, share };
  }
  const received = alarm.received ? Date.parse(alarm.received) : NaN;
  if (!RUNNING.has(alarm.work) || Number.isNaN(received)) return { state: "none", seconds: 0, share: 0 };
  const gone = Math.max(0, (nowMs - received) / 1000);
  const left = Math.ceil(RESPONSE_CLOCK_S - gone);
  const state = left < 0 ? "over" : left <= PRESSING_S ? "pressing" : "running";
  return { state, seconds: left, share: Math.min(1, gone / RESPONSE_CLOCK_S) };
}
