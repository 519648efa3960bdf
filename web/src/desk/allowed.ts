// What can be done with an alarm as it stands: the table of `model.alarm.TRANSITIONS` as far as people act. Pure.

import type { Alarm, Role, Work } from "../api/types";

export type Deed = "ack" | "hand_over" | "dispatch" | "arrive" | "resolve" | "close" | "shelve" | "restore";

const FROM: Record<Deed, readonly Work[]> = {
  ack: ["new"],
  hand_over: ["acknowledged", "dispatched", "on_scene"],
  dispatch: ["acknowledged", "dispatched", "on_scene"],
  arrive: ["dispatched"],
  resolve: ["acknowledged", "dispatched", "on_scene"],
  close: ["resolved"],
  shelve: ["new", "acknowledged", "dispatched", "on_scene", "resolved"],
  restore: ["new", "acknowledged", "dispatched", "on_scene", "resolved"],
};

/** Who works on alarms at a seat; the service decides, this only hides what it would refuse. */
export const DESK_ROLES: readonly Role[] = ["operator", "supervisor"];

export function can(alarm: Alarm, deed: Deed): boolean {
  if (!FROM[deed].includes(alarm.work)) return false;
  if (deed === "restore") return alarm.side !== "";
  if (deed === "shelve") return alarm.side === "" && !(alarm.severity === 1 && alarm.latches && alarm.work === "new");
  return true;
}

/**
 * Whether what was decided on `seen` stands for `now`: an alarm has a new version, too, when it was shown at a seat, rang once more
 * or its clock went a rung further, and none of that takes a decision back.
 */
export function stands(seen: Alarm, now: Alarm): boolean {
  const same = ["alarm", "work", "owner", "unit", "side", "lap", "severity"] as const;
  return same.every((name) => seen[name] === now[name]);
}

/** The next thing that is due with it: what the one large button does. */
export function next(alarm: Alarm): Deed | null {
  const order: readonly Deed[] = ["ack", "arrive", "dispatch", "resolve", "close"];
  if (alarm.work === "on_scene") return "resolve";
  return order.find((deed) => can(alarm, deed)) ?? null;
}
