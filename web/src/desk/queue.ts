// The order of the queue, its filters and its folding. Pure.
// Invariants: severity first, then the oldest; severity 1 is never folded and never filtered out by a fold.

import type { Alarm, Severity } from "../api/types";

export type Show = "all" | "new" | "mine" | "shelved";

export interface Filter {
  show: Show;
  severity: Severity | 0;
  text: string;
  user: string;
}

export interface Row {
  /** What tells rows apart: the alarm's id, or `group:KIND:AREA`. */
  key: string;
  alarm: Alarm;
  /** Alarms that the row stands for; 1 is no group. */
  count: number;
  group: string;
  open: boolean;
  child: boolean;
}

/** As many of one kind in one area make a flood, within so long: as `model.flood`. */
export const FLOOD_MORE_THAN = 10;
export const FLOOD_WITHIN_MS = 10 * 60_000;

export function isListed(alarm: Alarm): boolean {
  return alarm.work !== "closed" && alarm.side === "";
}

/** Most urgent first; of one severity the oldest first; ids last, so that the order never wavers. */
export function compare(a: Alarm, b: Alarm): number {
  if (a.severity !== b.severity) return a.severity - b.severity;
  const [ra, rb] = [a.received ?? "", b.received ?? ""];
  if (ra !== rb) return ra < rb ? -1 : 1;
  return a.alarm < b.alarm ? -1 : a.alarm > b.alarm ? 1 : 0;
}

export function fits(alarm: Alarm, filter: Filter, words: (alarm: Alarm) => string): boolean {
  if (filter.show === "new" && alarm.work !== "new") return false;
  if (filter.show === "mine" && alarm.owner !== filter.user) return false;
  if (filter.severity && alarm.severity !== filter.severity) return false;
  if (!filter.text) return true;
  const text = words(alarm).toLowerCase();
  return filter.text
    .toLowerCase()
    .split(/\s+/)
    .every((part) => text.includes(part));
}

const groupOf = (alarm: Alarm): string => `group:${alarm.kind}:${alarm.jurisdiction}`;

/** Which groups are a flood: more than `FLOOD_MORE_THAN` that nobody took, received within `FLOOD_WITHIN_MS` of each other. */
export function floods(sorted: readonly Alarm[]): Set<string> {
  const times = new Map<string, number[]>();
  for (const alarm of sorted) {
    if (alarm.severity === 1) continue;
    const at = alarm.received ? Date.parse(alarm.received) : 0;
    const key = groupOf(alarm);
    const kept = times.get(key);
    if (kept) kept.push(at);
    else times.set(key, [at]);
  }
  const found = new Set<string>();
  for (const [key, kept] of times) {
    kept.sort((a, b) => a - b);
    for (let i = FLOOD_MORE_THAN; i < kept.length; i += 1) {
      if ((kept[i] ?? 0) - (kept[i - FLOOD_MORE_THAN] ?? 0) <= FLOOD_WITHIN_MS) {
        found.add(key);
        break;
      }
    }
  }
  return found;
}

/** Rows of a sorted list; `fold` says which groups are folded, `open` which of those show their children. */
export function rowsOf(sorted: readonly Alarm[], fold: ReadonlySet<string>, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const groups = new Map<string, Alarm[]>();
  if (fold.size) {
    for (const alarm of sorted) {
      const key = groupOf(alarm);
      if (alarm.severity === 1 || !fold.has(key)) continue;
      const kept = groups.get(key);
      if (kept) kept.push(alarm);
      else groups.set(key, [alarm]);
    }
  }
  const told = new Set<string>();
  for (const alarm of sorted) {
    const key = groupOf(alarm);
    const children = alarm.severity === 1 ? undefined : groups.get(key);
    if (!children || children.length < 2) {
      rows.push({ key: alarm.alarm, alarm, count: 1 + (alarm.folded ?? 0), group: "", open: false, child: false });
      continue;
    }
    if (told.has(key)) continue;
    told.add(key);
    const isOpen = open.has(key);
    rows.push({ key, alarm: children[0] ?? alarm, count: children.length, group: key, open: isOpen, child: false });
    if (isOpen) {
      for (const child of children) {
        rows.push({ key: child.alarm, alarm: child, count: 1, group: key, open: false, child: true });
      }
    }
  }
  return rows;
}

/** The alarm `step` rows from the chosen one; undefined where there is none. An unfolded group's own row has the alarm of its first child: both are one stop. */
export function beside(rows: readonly Row[], chosen: string, step: number): string | undefined {
  const at = rows.findIndex((row) => row.alarm.alarm === chosen);
  if (at < 0 || step === 0) return rows[0]?.alarm.alarm;
  let to = at + step;
  while (rows[to]?.alarm.alarm === chosen) to += Math.sign(step);
  return rows[to]?.alarm.alarm;
}

/** Every group that has more than one alarm: what `group` folds by hand. */
export function allGroups(sorted: readonly Alarm[]): Set<string> {
  const once = new Set<string>();
  const more = new Set<string>();
  for (const alarm of sorted) {
    if (alarm.severity === 1) continue;
    const key = groupOf(alarm);
    if (once.has(key)) more.add(key);
    else once.add(key);
  }
  return more;
}

/** Puts changes into a sorted list: cheap where few change, and a single sort where many do. */
export function merged(sorted: readonly Alarm[], all: ReadonlyMap<string, Alarm>, changed: ReadonlySet<string>): Alarm[] {
  const kept = sorted.filter((alarm) => !changed.has(alarm.alarm));
  const fresh: Alarm[] = [];
  for (const id of changed) {
    const alarm = all.get(id);
    if (alarm && isListed(alarm)) fresh.push(alarm);
  }
  fresh.sort(compare);
  const out: Alarm[] = [];
  let at = 0;
  for (const alarm of kept) {
    for (let next = fresh[at]; next && compare(next, alarm) < 0; next = fresh[at]) {
      out.push(next);
      at += 1;
    }
    out.push(alarm);
  }
  for (; at < fresh.length; at += 1) out.push(fresh[at] as Alarm);
  return out;
}
