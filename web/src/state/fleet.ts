// The newest place of each device in view, as the events bring it: at most once a second.

import { signal } from "@preact/signals";
import type { Clusters, PositionRow, Positions } from "../api/types";

/** Bits of a place: `console.web.positions.State`. */
export const Bit = {
  valid: 1,
  ignition: 2,
  ignitionSent: 4,
  occupied: 8,
  occupiedSent: 16,
  armed: 32,
  armedSent: 64,
  buffered: 128,
  validSent: 256,
  sighted: 512,
  alarm: 1024,
  jump: 2048,
  noFix: 4096,
} as const;

export interface Place {
  device: string;
  lat: number;
  lon: number;
  headingDeg: number | null;
  speedKmh: number | null;
  /** When the fix was taken, ms of the service's clock. */
  fixMs: number;
  bits: number;
  accM: number | null;
}

export const fleet = new Map<string, Place>();
export const fleetRevision = signal(0);
export const fleetAtMs = signal(0);
/** Counted cells, where the viewport holds too many to be sent one by one. */
export const cells = signal<Clusters["cells"] | null>(null);

export function placeOf(row: PositionRow, atMs: number): Place {
  const [device, lat, lon, headingDeg, speedKmh, ageS, bits, accM] = row;
  return { device, lat, lon, headingDeg, speedKmh, fixMs: atMs - ageS * 1000, bits, accM };
}

export function takePositions(positions: Positions): void {
  if (positions.all) fleet.clear();
  for (const row of positions.devices) fleet.set(row[0], placeOf(row, positions.at_ms));
  for (const device of positions.gone) fleet.delete(device);
  cells.value = null;
  fleetAtMs.value = positions.at_ms;
  fleetRevision.value += 1;
}

export function takeClusters(clusters: Clusters): void {
  fleet.clear();
  for (const row of clusters.devices) fleet.set(row[0], placeOf(row, clusters.at_ms));
  cells.value = clusters.cells;
  fleetAtMs.value = clusters.at_ms;
  fleetRevision.value += 1;
}

export function clearFleet(): void {
  fleet.clear();
  cells.value = null;
  fleetRevision.value += 1;
}
