// Polygons in a picture, moved corner by corner. Pure; whether one may be is the service's word (devices/camera_checks.py).

import type { Point, Ring } from "./types";

export const MOST_RINGS = 16;
export const MOST_CORNERS = 64;

const held = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;

export function moved(rings: readonly Ring[], ring: number, corner: number, to: Point): Ring[] {
  return rings.map((one, i) => (i === ring ? one.map((point, k) => (k === corner ? ([held(to[0]), held(to[1])] as Point) : point)) : one));
}

/** A corner more, half way to the next. */
export function split(rings: readonly Ring[], ring: number, corner: number): Ring[] {
  return rings.map((one, i) => {
    const [a, b] = [one[corner], one[(corner + 1) % one.length]];
    if (i !== ring || !a || !b || one.length >= MOST_CORNERS) return one;
    return [...one.slice(0, corner + 1), [held((a[0] + b[0]) / 2), held((a[1] + b[1]) / 2)] as Point, ...one.slice(corner + 1)];
  });
}

/** A corner less; a triangle keeps its three. */
export function without(rings: readonly Ring[], ring: number, corner: number): Ring[] {
  return rings.map((one, i) => (i === ring && one.length > 3 ? one.filter((_, k) => k !== corner) : one));
}

export function dropped(rings: readonly Ring[], ring: number): Ring[] {
  return rings.filter((_, i) => i !== ring);
}

/** A rectangle in the middle, a little aside for each that is there. */
export function added(rings: readonly Ring[]): Ring[] {
  if (rings.length >= MOST_RINGS) return [...rings];
  const aside = (rings.length % 5) * 0.06;
  const [low, high] = [0.3 + aside, 0.5 + aside];
  return [...rings, [[low, low], [high, low], [high, high], [low, high]]];
}

export const same = (a: readonly Ring[], b: readonly Ring[]): boolean => JSON.stringify(a) === JSON.stringify(b);
