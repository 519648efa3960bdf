// What an auditor looks for, as the service takes it. Pure.

import type { AuditAction } from "../api/oversight";

export interface Sought {
  who: string;
  action: string;
  target: string;
  why: string;
  /** Of `input type=datetime-local`, in the city's time; "" open. */
  from: string;
  to: string;
}

/** The arguments of the search; null where a time is none, or the end is not after the begin. */
export function askedFor(sought: Sought, msOf: (text: string) => number | null): Record<string, string | number> | null {
  const made: Record<string, string | number> = {};
  for (const key of ["who", "action", "target", "why"] as const) {
    const text = sought[key].trim();
    if (text) made[key] = text;
  }
  for (const [key, text] of [
    ["from_ms", sought.from],
    ["to_ms", sought.to],
  ] as const) {
    if (!text) continue;
    const ms = msOf(text);
    if (ms === null) return null;
    made[key] = ms;
  }
  const [from, to] = [made["from_ms"], made["to_ms"]];
  return typeof from === "number" && typeof to === "number" && from >= to ? null : made;
}

/** Actions by what stands before their dot, both in the alphabet's order. */
export function groupsOf(actions: readonly AuditAction[]): [string, AuditAction[]][] {
  const groups = new Map<string, AuditAction[]>();
  for (const one of actions) {
    const group = one.action.split(".")[0] ?? "";
    groups.set(group, [...(groups.get(group) ?? []), one]);
  }
  return [...groups].sort((a, b) => a[0].localeCompare(b[0]));
}
