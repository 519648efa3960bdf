// Tracks as they are drawn: the speed-coloured line, stops, alarms, cameras passed, points that cannot be trusted, and the vehicles.

import { word } from "../text";
import { span } from "../state/time";
import type { CityMap, Features } from "../map/citymap";
import { markFeatures, type Mark } from "../map/mapbox";
import type { Vehicle } from "./read";
import { piecesOf, seenAt } from "./track";

export function drawVehicles(map: CityMap, vehicles: readonly Vehicle[], at: number, followed: string): void {
  const marks: Mark[] = [];
  for (const one of vehicles) {
    const seen = seenAt(one.track, at);
    if (!seen || seen.how === "before") continue;
    const kind = seen.how === "gap" ? "standing-dot" : seen.occupied ? "occupied-arrow" : (seen.speedKmh ?? 0) > 3 ? "moving-arrow" : "standing-dot";
    marks.push({ id: one.device, kind, lat: seen.lat, lon: seen.lon, label: one.device, h: kind.endsWith("arrow") ? (seen.headingDeg ?? 0) : 0 });
  }
  map.set("marks", markFeatures(map, marks));
  const middle = marks.find((one) => one.id === followed);
  if (middle && map.gl) map.gl.jumpTo({ center: map.draw(middle) });
}

export function lineFeatures(map: CityMap, vehicles: readonly Vehicle[]): Features {
  const features: Features["features"] = [];
  for (const { track, device } of vehicles) {
    for (const piece of piecesOf(track)) {
      const coordinates: [number, number][] = [];
      for (let i = piece.rows[0]; i <= piece.rows[1]; i += 1) coordinates.push(map.draw({ lat: track.lat[i] ?? 0, lon: track.lon[i] ?? 0 }));
      features.push({ type: "Feature", geometry: { type: "LineString", coordinates }, properties: { device, colour: piece.colour, gap: piece.gap } });
    }
  }
  return { type: "FeatureCollection", features };
}

type Point = Features["features"][number];

function point(map: CityMap, at: { lat: number; lon: number }, properties: Record<string, unknown>): Point {
  return { type: "Feature", geometry: { type: "Point", coordinates: map.draw(at) }, properties };
}

/** What stands beside the line; `ms` is where the clock goes when it is clicked. */
export function besideFeatures(map: CityMap, vehicles: readonly Vehicle[]): Features {
  const features: Point[] = [];
  for (const one of vehicles) {
    for (const odd of one.odd) features.push(point(map, odd, { icon: "odd", label: odd.marks.join(" "), ms: odd.atMs }));
    for (const stop of one.stops) features.push(point(map, stop, { icon: "stop", label: span(stop.toMs - stop.fromMs), ms: stop.fromMs }));
    for (const pass of one.cameras ?? []) {
      const seen = seenAt(one.track, Date.parse(pass.nearest));
      if (seen) features.push(point(map, seen, { icon: "camera", label: pass.name || pass.camera, ms: Date.parse(pass.from) }));
    }
    for (const alarm of one.alarms) {
      const seen = seenAt(one.track, alarm.atMs);
      if (seen) features.push(point(map, seen, { icon: "alarm1", label: word("kind", alarm.name), ms: alarm.atMs }));
    }
  }
  return { type: "FeatureCollection", features };
}
