// Load and times as words and tones. Pure.

import type { Level, Spread, Step } from "../api/oversight";

export const TONES: Record<Level, "good" | "plain" | "warn" | "bad"> = {
  acceptable: "good",
  manageable: "plain",
  demanding: "warn",
  over: "warn",
  unacceptable: "bad",
};

export const STEP_TONES: Record<Step, "good" | "plain" | "warn" | "bad"> = { none: "plain", announce: "plain", look: "warn", shelve: "warn", retire: "bad" };

/** The tone of a share of the promise that was kept. */
export function shareTone(share: number | null): "good" | "warn" | "bad" | "plain" {
  if (share === null) return "plain";
  return share >= 0.95 ? "good" : share >= 0.8 ? "warn" : "bad";
}

export function percent(share: number | null): string | null {
  if (share === null) return null;
  // 99.96 % is no 100 %
  const at = share < 1 ? Math.min(99.9, Math.round(share * 1000) / 10) : 100;
  return `${at} %`;
}

export function seconds(spread: Spread, which: "p50" | "p95" | "worst"): string | null {
  const value = spread[which];
  return value === null ? null : value < 100 ? value.toFixed(1) : String(Math.round(value));
}

/** The most of a count by name, the greatest first: `overspeed 12, offline 3`. */
export function mostly(counts: Record<string, number>, name: (code: string) => string): string {
  return Object.entries(counts)
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))
    .map(([code, count]) => `${name(code)} ${count}`)
    .join(", ");
}
