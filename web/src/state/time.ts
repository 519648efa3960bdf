// The service's clock, and times as people read them. Alarms are measured by the service's clock, never by this machine's.

import { signal } from "@preact/signals";
import { language, t } from "../text";

/** The service's clock less ours, ms. */
let offsetMs = 0;
let heardMs = -Infinity;

export function heardServer(serverMs: number): void {
  const offset = serverMs - Date.now();
  // An answer can only be late, so a greater offset is nearer to the truth; drift is followed after a minute.
  if (performance.now() - heardMs > 60_000 || offset > offsetMs) {
    offsetMs = offset;
    heardMs = performance.now();
  }
}

export function nowMs(): number {
  return Date.now() + offsetMs;
}

/** The service's time, once a second: what shows an age reads it. */
export const tick = signal(Date.now());
setInterval(() => {
  if (!document.hidden) tick.value = nowMs();
}, 1000);

/** The city's zone; the service says it in its session. */
export const zone = signal("Asia/Shanghai");

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone.value}|${JSON.stringify(options)}`;
  let made = formats.get(key);
  if (!made) {
    // Swedish writes a date as ISO 8601 does.
    made = new Intl.DateTimeFormat("sv-SE", { timeZone: zone.value, ...options });
    formats.set(key, made);
  }
  return made;
}

export function msOf(text: string | null | undefined): number | null {
  if (!text) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** 2026-11-23 12:00:00, in the city. */
export function dateTime(ms: number): string {
  return format({ dateStyle: "short", timeStyle: "medium" }).format(ms);
}

/** 12:00:00, in the city. */
export function clockTime(ms: number): string {
  return format({ timeStyle: "medium" }).format(ms);
}

export function when(text: string | null | undefined): string {
  const ms = msOf(text);
  return ms === null ? t("app.none") : dateTime(ms);
}

/** How long, in the largest unit that says it. */
export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return t("time.s", { n: s });
  if (s < 3600) return t("time.min", { n: Math.floor(s / 60) });
  if (s < 86_400) return t("time.h", { n: Math.floor(s / 3600) });
  return t("time.d", { n: Math.floor(s / 86_400) });
}

/** 4:59, or 1:02:03. */
export function countdown(s: number): string {
  const whole = Math.abs(Math.trunc(s));
  const two = (n: number): string => String(n).padStart(2, "0");
  const h = Math.floor(whole / 3600);
  const rest = `${h ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
  return h ? `${h}:${rest}` : rest;
}

/** The value of an `input type=datetime-local` in the city's zone, and back. */
export function toLocalInput(ms: number): string {
  return dateTime(ms).replace(" ", "T");
}

export function fromLocalInput(text: string): number | null {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?/.exec(text);
  if (!found) return null;
  const [, y, mo, d, h, mi, s] = found.map(Number);
  const wall = Date.UTC(y ?? 0, (mo ?? 1) - 1, d, h, mi, s || 0);
  // The zone's offset at that moment: what its clock shows for a guess, less the guess; twice, for the edge of a change.
  let guess = wall;
  for (let turn = 0; turn < 2; turn += 1) {
    const shown = Date.parse(`${dateTime(guess).replace(" ", "T")}Z`);
    guess = wall - (shown - guess);
  }
  return guess;
}

export function locale(): string {
  return language.value === "zh" ? "zh-CN" : "en";
}
