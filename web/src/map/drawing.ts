// Shapes drawn on the map by hand: a click adds a corner, dragging moves one, dragging the middle of an edge makes a new one, a second
// click with the right button takes one away. A circle has two handles: its middle and its edge.

import type { At, CityMap, Features } from "./citymap";
import { undrawn } from "./datum";

export type Shape = "polygon" | "circle";
const HIT_PX = 9;
const LEAST = 3;

/** What is drawn while it is drawn: the shape, its handles with their number `i`, and of a polygon the middles of its edges (`m`). */
export function drawnFeatures(map: CityMap, shape: Shape, corners: readonly At[], ring: readonly [number, number][] | null = null): Features {
  const drawn = corners.map((at) => map.draw(at));
  const point = (at: [number, number], properties: Record<string, unknown>): Features["features"][number] => ({ type: "Feature", geometry: { type: "Point", coordinates: at }, properties });
  const features: Features["features"] = drawn.map((at, i) => point(at, { i }));
  const outline = shape === "circle" ? (ring ? [...ring] : []) : drawn[0] && drawn.length >= 2 ? [...drawn, drawn[0]] : [];
  if (outline.length > LEAST) features.unshift({ type: "Feature", geometry: { type: "Polygon", coordinates: [outline] }, properties: {} });
  if (outline.length >= 2) features.unshift({ type: "Feature", geometry: { type: "LineString", coordinates: outline }, properties: {} });
  if (shape === "polygon" && corners.length >= LEAST) {
    for (const [i, at] of drawn.entries()) {
      const next = drawn[(i + 1) % drawn.length] ?? at;
      features.push(point([(at[0] + next[0]) / 2, (at[1] + next[1]) / 2], { m: i }));
    }
  }
  return { type: "FeatureCollection", features };
}

export interface Hand {
  /** Takes the last corner away. */
  back: () => void;
  end: () => void;
}

/** Takes the map's clicks until its end. `show` draws what is being moved, `put` takes what was done. */
export function draw(map: CityMap, shape: Shape, corners: readonly At[], show: (corners: At[]) => void, put: (corners: At[]) => void): Hand {
  const gl = map.gl;
  if (!gl) return { back: () => undefined, end: () => undefined };
  let moving = -1;
  // What is put may come back late; a second click before that goes on from here.
  let moved = [...corners];
  const take = (now: At[]): void => {
    moved = now;
    put(now);
  };
  gl.doubleClickZoom.disable();
  type Point = { x: number; y: number };
  const hit = (point: Point): { i?: number; m?: number } | null => {
    const near: [[number, number], [number, number]] = [
      [point.x - HIT_PX, point.y - HIT_PX],
      [point.x + HIT_PX, point.y + HIT_PX],
    ];
    const found = gl.queryRenderedFeatures(near, { layers: ["draft", "draft-middle"] });
    return (found.find((one) => "i" in one.properties) ?? found[0])?.properties ?? null;
  };
  map.onClick = (at, event) => {
    if (hit(event.point)) return;
    take(shape === "circle" && moved.length >= 2 ? [at] : [...moved, at]);
  };
  const down = gl.on("mousedown", (event) => {
    if (event.originalEvent.button !== 0) return;
    const found = hit(event.point);
    if (!found) return;
    event.preventDefault();
    if (found.i !== undefined) moving = Number(found.i);
    else if (found.m !== undefined) {
      moving = Number(found.m) + 1;
      moved = [...moved];
      moved.splice(moving, 0, undrawn(map.datum, event.lngLat.lat, event.lngLat.lng));
    }
  });
  const move = gl.on("mousemove", (event) => {
    if (moving < 0) {
      gl.getCanvas().style.cursor = hit(event.point) ? "move" : "crosshair";
      return;
    }
    const there = undrawn(map.datum, event.lngLat.lat, event.lngLat.lng);
    const [middle, edge] = moved;
    if (shape === "circle" && moving === 0 && middle && edge) {
      // the whole circle goes along
      moved = [there, { lat: edge.lat + there.lat - middle.lat, lon: edge.lon + there.lon - middle.lon }];
    } else moved = moved.map((one, i) => (i === moving ? there : one));
    show(moved);
  });
  const up = gl.on("mouseup", () => {
    if (moving < 0) return;
    moving = -1;
    take(moved);
  });
  const away = gl.on("contextmenu", (event) => {
    const found = hit(event.point);
    if (found?.i === undefined) return;
    event.preventDefault();
    take(moved.filter((_, i) => i !== Number(found.i)));
  });
  return {
    back: () => take(moved.slice(0, -1)),
    end: () => {
      map.onClick = null;
      gl.doubleClickZoom.enable();
      for (const one of [down, move, up, away]) one.unsubscribe();
    },
  };
}
