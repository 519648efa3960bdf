// When somebody may be listened to, as `console.command_gate` has it; the service decides, this says it beforehand. Pure.

import type { Alarm } from "../api/types";
import type { Key } from "../text";

const OVER = new Set(["resolved", "closed"]);

/** The open emergency of the very taxi that grants it. */
export function listenFor(alarms: readonly Alarm[]): Alarm | undefined {
  return alarms.find((one) => one.kind === "sos" && !OVER.has(one.work));
}

/** Why it may not be now, or null. */
export function whyNotListen(alarms: readonly Alarm[], supervisor: boolean): Key | null {
  if (!listenFor(alarms)) return "taxi.listenNone";
  return supervisor ? null : "taxi.listenRole";
}
