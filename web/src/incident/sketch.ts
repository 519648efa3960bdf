// A sketch of a place as vectors, from the city's own roads: what is printed where no map can be. Pure.
// Lengths in metres around the place; x to the east, y to the south, as a drawing has it.

export interface At {
  lat: number;
  lon: number;
}

export type Point = readonly [x: number, y: number];

export interface Road {
  class: string;
  points: Point[];
}

const EARTH_M = 6_371_008.8;
const RAD = Math.PI / 180;
/** Half the side of a sketch: no less, so that the streets around can be told; no more, so that they can be read. */
export const LEAST_M = 350;
export const MOST_M = 2_000;
const MARGIN = 1.15;

/** Metres from `from`, on the plane that touches there: right to a metre within some kilometres. */
export function metres(from: At, to: At): Point {
  const x = (to.lon - from.lon) * RAD * EARTH_M * Math.cos(from.lat * RAD);
  const y = -(to.lat - from.lat) * RAD * EARTH_M;
  return [x, y];
}

/** What lies so far off in that direction, degrees from north. */
export function towards(distanceM: number, bearingDeg: number): Point {
  return [distanceM * Math.sin(bearingDeg * RAD), -distanceM * Math.cos(bearingDeg * RAD)];
}

/** Half the side that shows these points, within bounds. */
export function reach(points: readonly Point[]): number {
  const far = Math.max(0, ...points.map(([x, y]) => Math.max(Math.abs(x), Math.abs(y))));
  return Math.min(MOST_M, Math.max(LEAST_M, far * MARGIN));
}

export function inside([x, y]: Point, half: number): boolean {
  return Math.abs(x) <= half && Math.abs(y) <= half;
}

/** The part of a segment within the square, or null (Liang and Barsky). */
export function clipped(a: Point, b: Point, half: number): [Point, Point] | null {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  let [from, to] = [0, 1];
  for (const [p, q] of [
    [-dx, a[0] + half],
    [dx, half - a[0]],
    [-dy, a[1] + half],
    [dy, half - a[1]],
  ] as const) {
    if (p === 0) {
      if (q < 0) return null;
    } else {
      const r = q / p;
      if (p < 0) from = Math.max(from, r);
      else to = Math.min(to, r);
    }
  }
  if (from > to) return null;
  const at = (share: number): Point => [a[0] + share * dx, a[1] + share * dy];
  return [at(from), at(to)];
}

interface RoadFeature {
  properties: { class?: unknown } | null;
  geometry: { type: string; coordinates: unknown } | null;
}

/** The roads within the square, cut at its edges; what lies wholly outside is left out. */
export function roadsAround(features: readonly RoadFeature[], centre: At, half: number): Road[] {
  const made: Road[] = [];
  for (const feature of features) {
    const { geometry } = feature;
    if (!geometry) continue;
    const lines = (geometry.type === "LineString" ? [geometry.coordinates] : geometry.type === "MultiLineString" ? geometry.coordinates : []) as [number, number][][];
    const name = String(feature.properties?.class ?? "street");
    for (const line of lines) {
      let run: Point[] = [];
      const end = (): void => {
        if (run.length > 1) made.push({ class: name, points: run });
        run = [];
      };
      for (let i = 1; i < line.length; i += 1) {
        const [before, here] = [line[i - 1], line[i]];
        if (!before || !here) continue;
        const piece = clipped(metres(centre, { lon: before[0], lat: before[1] }), metres(centre, { lon: here[0], lat: here[1] }), half);
        if (!piece) {
          end();
          continue;
        }
        const last = run.at(-1);
        if (!last || Math.hypot(last[0] - piece[0][0], last[1] - piece[0][1]) > 0.01) {
          end();
          run = [piece[0]];
        }
        run.push(piece[1]);
      }
      end();
    }
  }
  return made;
}

/** `M0 0L10 5`, to a decimetre. */
export function pathOf(points: readonly Point[]): string {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** A round length for a scale bar of about a quarter of the side. */
export function scaleBar(half: number): number {
  const wanted = half / 2;
  const ten = 10 ** Math.floor(Math.log10(wanted));
  return ([5, 2, 1].find((step) => step * ten <= wanted) ?? 1) * ten;
}
