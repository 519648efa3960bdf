// What a taxi says of itself, and how far it can be believed, as keys of texts. Pure.

import type { Key } from "../text";
import { Bit, type Place } from "../state/fleet";

/** A place that is older is marked. */
export const OLD_MS = 60_000;
/** An uncertainty that is larger is marked. */
export const COARSE_M = 50;
const MOVING_KMH = 3;

export interface Said {
  key: Key;
  tone: "" | "good" | "warn";
}

/** The state bits in words, what is doubtful or urgent marked. */
export function statusOf(place: Pick<Place, "bits" | "speedKmh">): Said[] {
  const { bits, speedKmh } = place;
  const has = (bit: number): boolean => (bits & bit) !== 0;
  const said: Said[] = [];
  const say = (key: Key, tone: Said["tone"] = ""): void => void said.push({ key, tone });
  if (has(Bit.alarm)) say("taxi.bit.alarm", "warn");
  if (has(Bit.sighted)) say("taxi.bit.sighted", "warn");
  else if (has(Bit.noFix)) say("taxi.bit.noFix", "warn");
  else if (has(Bit.validSent)) say(has(Bit.valid) ? "taxi.bit.fix" : "taxi.bit.noFix", has(Bit.valid) ? "good" : "warn");
  else say("taxi.bit.fixUnsaid");
  if (has(Bit.jump)) say("taxi.bit.jump", "warn");
  if (has(Bit.buffered)) say("taxi.bit.buffered", "warn");
  if (speedKmh === null) say("taxi.bit.speedUnsaid");
  else say(speedKmh > MOVING_KMH ? "taxi.bit.moving" : "taxi.bit.standing");
  say(has(Bit.ignitionSent) ? (has(Bit.ignition) ? "taxi.bit.ignition" : "taxi.bit.noIgnition") : "taxi.bit.ignitionUnsaid");
  say(has(Bit.occupiedSent) ? (has(Bit.occupied) ? "taxi.bit.occupied" : "taxi.bit.vacant") : "taxi.bit.occupiedUnsaid");
  return said;
}

const POINTS = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"] as const;
export type CompassPoint = (typeof POINTS)[number];

/** The eighth of the compass that a course points to. */
export function compass(deg: number): CompassPoint {
  return POINTS[Math.round((((deg % 360) + 360) % 360) / 45) % 8] ?? "N";
}

/** The page of a taxi; a name with a dot would look like a file's, so it goes into the query. */
export function taxiPath(device: string): string {
  const name = device.replace(/^taxi\//, "");
  return name.includes(".") ? `/taxi?device=${encodeURIComponent(device)}` : `/taxi/${encodeURIComponent(name)}`;
}
