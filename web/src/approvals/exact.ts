// What exactly is asked, as lines that a person reads before he grants it. Pure; nothing is left out: what is long is counted, and
// the whole stands beside it.

import type { ApprovalRow } from "../api/oversight";

export interface Says {
  time: (ms: number) => string;
  points: (n: number) => string;
  many: (first: string, n: number) => string;
}

const SHOWN = 8;

function isPlace(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === "number");
}

function textOf(key: string, value: unknown, says: Says): string {
  if (value === null || value === "") return "";
  if (typeof value === "number" && key.endsWith("_ms") && value > 1e11) return says.time(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) {
    if (value.length > 2 && value.every(isPlace)) return says.points(value.length);
    const parts = value.map((one) => (typeof one === "object" ? JSON.stringify(one) : String(one)));
    return parts.length > SHOWN ? says.many(parts.slice(0, SHOWN).join(", "), parts.length) : parts.join(", ");
  }
  return JSON.stringify(value);
}

/** One line a value; what lies within another is named with its way to it. */
export function exact(what: Record<string, unknown>, says: Says, within = ""): [string, string][] {
  return Object.entries(what).flatMap(([key, value]): [string, string][] => {
    const name = within ? `${within}.${key}` : key;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return exact(value as Record<string, unknown>, says, name);
    if (Array.isArray(value) && value.length && value.every((one) => one !== null && typeof one === "object" && !Array.isArray(one))) {
      return value.flatMap((one, n) => exact(one as Record<string, unknown>, says, `${name} ${n + 1}`));
    }
    const text = textOf(key, value, says);
    return text ? [[name, text]] : [];
  });
}

/** What somebody may do about it. Nobody decides on his own. */
export type Deed = "grant" | "refuse" | "takeBack" | "revoke" | "review";

export function deedsFor(one: Pick<ApprovalRow, "state" | "by">, user: string, decides: boolean): Deed[] {
  const own = one.by === user;
  if (one.state === "asked") return own ? ["takeBack"] : decides ? ["grant", "refuse"] : [];
  if (one.state === "granted") return own ? ["takeBack"] : decides ? ["revoke"] : [];
  if (one.state === "broken") return !own && decides ? ["review"] : [];
  return [];
}

export type Part = "glass" | "asked" | "held" | "past";

export function partOf(one: Pick<ApprovalRow, "state">): Part {
  if (one.state === "broken") return "glass";
  if (one.state === "asked") return "asked";
  return one.state === "granted" ? "held" : "past";
}
