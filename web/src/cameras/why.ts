// Why pictures are looked at: asked once, shown throughout, kept for this tab alone. And what stands on the wall.

import { signal } from "@preact/signals";
import type { Purpose } from "../ui/purpose";

export const purpose = signal<Purpose | null>(null);
export const asking = signal(false);

export const SIZES = [1, 4, 9, 16] as const;
export type WallSize = (typeof SIZES)[number];

/** More are never played at once. */
export const MOST_ON_WALL = 16;

export interface OnWall {
  camera: string;
  name: string;
}
export const wall = signal<readonly OnWall[]>([]);
export const wallSize = signal<WallSize>(4);

/** Put cameras on the wall; the wall grows as far as it can. Those that found no room are left out. */
export function putOnWall(cameras: readonly OnWall[]): number {
  const known = new Set(wall.peek().map((one) => one.camera));
  const more = cameras.filter((one) => !known.has(one.camera));
  const room = MOST_ON_WALL - wall.peek().length;
  wall.value = [...wall.peek(), ...more.slice(0, room)];
  const size = SIZES.find((one) => one >= wall.peek().length) ?? MOST_ON_WALL;
  if (size > wallSize.peek()) wallSize.value = size as WallSize;
  return more.length - Math.min(room, more.length);
}

export function offWall(camera: string): void {
  wall.value = wall.peek().filter((one) => one.camera !== camera);
}
