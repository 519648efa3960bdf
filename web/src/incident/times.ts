// The times of an alarm against the 300-second clock, and what was said with each step. Pure.

import type { Alarm, Step, Work } from "../api/types";

/** What is told of a step besides who: the words of its detail, in the order in which people look for them. */

export interface StageTime {
  stage: "happened" | "received" | "shown" | "acknowledged" | "dispatched" | "on_scene" | "resolved" | "closed";
  at: string | null;
  /** Seconds after it was received; null where it did not happen, or before. */
  afterS: number | null;
  by: string;
}

const ACTION: Partial<Record<StageTime["stage"], string>> = {
  acknowledged: "acknowledge",
  dispatched: "dispatch",
  on_scene: "arrive",
  resolved: "resolve",
  closed: "close",
};

/** Each stage with who did it, as the history of the last lap has it. */
export function stageTimes(alarm: Alarm, history: readonly Step[]): StageTime[] {
  const received = alarm.received ? Date.parse(alarm.received) : NaN;
  const stages: [StageTime["stage"], string | null][] = [
    ["happened", alarm.time],
    ["received", alarm.received],
    ["shown", alarm.shown],
    ["acknowledged", alarm.acknowledged],
    ["dispatched", alarm.dispatched],
    ["on_scene", alarm.on_scene],
    ["resolved", alarm.resolved],
    ["closed", alarm.closed],
  ];
  return stages.map(([stage, at]) => {
    const action = ACTION[stage];
    const step = action ? history.findLast((one) => one.action === action || (stage === "resolved" && one.action === "settle")) : undefined;
    const after = at && !Number.isNaN(received) ? (Date.parse(at) - received) / 1000 : NaN;
    return { stage, at, afterS: Number.isNaN(after) ? null : after, by: at && step ? step.by : "" };
  });
}

export type Verdict = { kind: "kept" | "broken" | "running"; seconds: number } | { kind: "late" | "none" };

/** Whether somebody was on scene within 300 seconds. */
export function verdict(alarm: Alarm, nowMs: number): Verdict {
  if (alarm.late) return { kind: "late" };
  if (alarm.response_ms !== null) return { kind: alarm.breached ? "broken" : "kept", seconds: Math.round(alarm.response_ms / 1000) };
  const running: readonly Work[] = ["new", "acknowledged", "dispatched"];
  if (!running.includes(alarm.work) || !alarm.received) return { kind: "none" };
  return { kind: "running", seconds: Math.max(0, Math.floor((nowMs - Date.parse(alarm.received)) / 1000)) };
}

/** Notes that people left: hand-overs, outcome, closing. */
export function notesOf(history: readonly Step[]): { by: string; time: string | null; note: string }[] {
  return history.flatMap((step) => {
    const note = [step.detail["note"], step.detail["reason"]].find((one): one is string => typeof one === "string" && one.trim() !== "");
    return note && step.by !== "system" ? [{ by: step.by, time: step.time, note }] : [];
  });
}
