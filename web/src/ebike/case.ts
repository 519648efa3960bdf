// The case of a stolen e-bike: where it stands, what can follow, what was done by whom. Pure.

import type { Command } from "../commands/life";
import type { Alarm } from "../api/types";

export const CASE_STATES = ["reported", "stolen", "tracked", "recovered", "closed"] as const;
export type CaseState = (typeof CASE_STATES)[number];

export interface CaseStep {
  time: string | null;
  state: CaseState;
  by: string;
  note: string;
  to: string;
}

export interface Case {
  case: string;
  device: string;
  owner_ref: string;
  state: CaseState;
  officer: string;
  version: number;
  steps: CaseStep[];
}

export interface LastPlace {
  time: string;
  lat: number;
  lon: number;
  acc_m: number | null;
  speed_kmh: number | null;
  battery_pct: number | null;
  armed: boolean | null;
  sighted: boolean;
}

export interface LastPlaces {
  case: string;
  device: string;
  open: boolean;
  from: string | null;
  to: string | null;
  points: LastPlace[];
}

export interface Officer {
  officer: string;
  name: string;
  cases: number;
}

export const isOpen = (one: Case): boolean => one.state !== "closed";

/** The steps that may follow: it only goes forward. */
export function following(state: CaseState): CaseState[] {
  return CASE_STATES.slice(CASE_STATES.indexOf(state) + 1);
}

/** What is due next: the one large button. */
export function due(state: CaseState): CaseState | null {
  if (state === "reported") return "stolen";
  if (state === "stolen" || state === "tracked") return "recovered";
  return state === "recovered" ? "closed" : null;
}

export function reportedAt(one: Case): string | null {
  return one.steps[0]?.time ?? null;
}

/** Fits what was typed: id, device, reference, officer. */
export function fits(one: Case, text: string): boolean {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [one.case, one.device, one.owner_ref, one.officer, one.state].join(" ").toLowerCase();
  return parts.every((part) => all.includes(part));
}

/** One thing that was done: a step of the case, a command, an alarm. */
export interface Done {
  key: string;
  time: string;
  by: string;
  what: { kind: "step"; state: CaseState } | { kind: "handed"; to: string } | { kind: "command"; command: Command } | { kind: "alarm"; alarm: Alarm };
  note: string;
}

/** What was done by whom since the report, the newest first. */
export function doings(one: Case, commands: readonly Command[], alarms: readonly Alarm[]): Done[] {
  const since = reportedAt(one) ?? "";
  const made: Done[] = one.steps.map((step, i) => ({
    key: `step-${i}`,
    time: step.time ?? "",
    by: step.by,
    what: step.to ? { kind: "handed", to: step.to } : { kind: "step", state: step.state },
    note: step.note,
  }));
  const end = one.state === "closed" ? (one.steps.at(-1)?.time ?? "") : "";
  const within = (time: string | null): time is string => time !== null && time >= since && (!end || time <= end);
  for (const command of commands) {
    if (within(command.asked)) made.push({ key: command.command, time: command.asked, by: command.by, what: { kind: "command", command }, note: command.reason });
  }
  for (const alarm of alarms) {
    if (within(alarm.received)) made.push({ key: alarm.alarm, time: alarm.received, by: "system", what: { kind: "alarm", alarm }, note: "" });
  }
  return made.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
}

/** Sightings in a row by one reader are one: its place, from when to when, how often. */
export interface Sighting {
  lat: number;
  lon: number;
  acc_m: number | null;
  first: string;
  last: string;
  times: number;
}

/** The newest first, as the places are. */
export function sightings(places: readonly LastPlace[]): Sighting[] {
  const made: Sighting[] = [];
  for (const place of places) {
    if (!place.sighted) continue;
    const last = made.at(-1);
    if (last && last.lat === place.lat && last.lon === place.lon) {
      last.first = place.time;
      last.times += 1;
      last.acc_m = last.acc_m === null ? place.acc_m : Math.min(last.acc_m, place.acc_m ?? last.acc_m);
    } else {
      made.push({ lat: place.lat, lon: place.lon, acc_m: place.acc_m, first: place.time, last: place.time, times: 1 });
    }
  }
  return made;
}

/** Armed or not, as its tracker last said; null: it never did. */
export function armedNow(places: readonly LastPlace[]): boolean | null {
  return places.find((place) => place.armed !== null)?.armed ?? null;
}

export function casePath(id: string): string {
  return `/ebikes/${encodeURIComponent(id)}`;
}

export function bikePath(device: string): string {
  return `/ebikes?bike=${encodeURIComponent(device)}`;
}
