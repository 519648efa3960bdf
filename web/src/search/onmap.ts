// A search on the map: the places that are asked, the points that were found, the way of the row that is looked at.

import type { CityMap, Features } from "../map/citymap";
import { ring } from "../map/datum";
import { lineFeatures } from "../replay/lines";
import type { Vehicle } from "../replay/read";
import { parseArea } from "./area";
import type { Found } from "./asking";

const NONE: Features = { type: "FeatureCollection", features: [] };
const COLOURS = ["#36c5b0", "#ff9f5a", "#8fb4ff", "#e6d34a", "#e58ae0", "#9ad86b", "#ff7d7d", "#c9c9c9"] as const;
/** More places than that are not drawn. */
const MOST_PLACES = 20_000;

export interface Outline {
  label: string;
  text: string;
}

/** The outlines of what is asked; of a fence or jurisdiction that of the registry. */
export function areaFeatures(map: CityMap, outlines: readonly Outline[], registry: ReadonlyMap<string, Features["features"][number]>): Features {
  const features: Features["features"] = [];
  for (const { label, text } of outlines) {
    const area = parseArea(text);
    if (!area) continue;
    if (area.kind === "named") {
      const known = registry.get(area.name);
      if (known) features.push(...map.turnedFeatures({ type: "FeatureCollection", features: [{ ...known, properties: { label } }] }).features);
      continue;
    }
    const outline =
      area.kind === "circle" ? ring(map.datum, area.lat, area.lon, area.radiusM, 72) : [...area.corners, ...area.corners.slice(0, 1)].map((at) => map.draw(at));
    features.push({ type: "Feature", geometry: { type: "Polygon", coordinates: [outline] }, properties: { label } });
  }
  return { type: "FeatureCollection", features };
}

export function foundFeatures(map: CityMap, found: readonly Found[]): Features {
  const colours = new Map<string, string>();
  const features: Features["features"] = [];
  for (const one of found) {
    const colour = colours.get(one.device) ?? COLOURS[colours.size % COLOURS.length] ?? COLOURS[0];
    colours.set(one.device, colour);
    for (const at of one.places) {
      if (features.length >= MOST_PLACES) return { type: "FeatureCollection", features };
      features.push({ type: "Feature", geometry: { type: "Point", coordinates: map.draw(at) }, properties: { key: one.key, d: one.device, colour } });
    }
  }
  return { type: "FeatureCollection", features };
}

export function wayFeatures(map: CityMap, vehicles: readonly Vehicle[] | null): Features {
  return vehicles ? lineFeatures(map, vehicles) : NONE;
}

/** Everything that should be in sight. */
export function placesOf(features: Features): { lat: number; lon: number }[] {
  const out: { lat: number; lon: number }[] = [];
  const take = (value: unknown): void => {
    if (!Array.isArray(value)) return;
    if (typeof value[0] === "number") out.push({ lon: value[0], lat: Number(value[1]) });
    else for (const one of value) take(one);
  };
  for (const one of features.features) if ("coordinates" in one.geometry) take(one.geometry.coordinates);
  return out;
}
