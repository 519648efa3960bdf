// A fence as it is kept (`devices.fences_geojson`) and as it is drawn: polygons without holes, and circles. Pure.

import type { Feature, Geometry } from "geojson";
import type { Area } from "../search/area";

export const RULES = ["enter", "exit", "forbidden", "speed", "stay", "none"] as const;
export type Rule = (typeof RULES)[number];

export interface FenceProperties extends Record<string, unknown> {
  id: string;
  name?: string;
  rule: Rule;
  radius_m?: number;
  limit_kmh?: number;
  road_class?: string;
  stay_s?: number;
  kinds?: string[];
  enabled?: boolean;
}
export type FenceFeature = Feature<Geometry, FenceProperties>;

/** A corner as it is kept: a hundredth of a metre is enough. */
const rounded = (one: number): number => Math.round(one * 1e7) / 1e7;

/** What can be edited here: a polygon without holes, or a circle. */
export function areaOf(fence: FenceFeature): Area | null {
  const { geometry, properties } = fence;
  if (geometry.type === "Point") {
    const [lon, lat] = geometry.coordinates;
    return properties.radius_m ? { kind: "circle", lat: lat ?? 0, lon: lon ?? 0, radiusM: properties.radius_m } : null;
  }
  if (geometry.type !== "Polygon" || geometry.coordinates.length !== 1) return null;
  return { kind: "polygon", corners: (geometry.coordinates[0] ?? []).slice(0, -1).map(([lon, lat]) => ({ lat: lat ?? 0, lon: lon ?? 0 })) };
}

/** The fence as it is given to the service. */
export function featureOf(area: Area, properties: FenceProperties): FenceFeature | null {
  if (area.kind === "named") return null;
  const { radius_m: _, ...rest } = properties;
  if (area.kind === "circle") {
    return { type: "Feature", geometry: { type: "Point", coordinates: [rounded(area.lon), rounded(area.lat)] }, properties: { ...rest, radius_m: area.radiusM } };
  }
  const ringed = area.corners.map(({ lat, lon }) => [rounded(lon), rounded(lat)]);
  return { type: "Feature", geometry: { type: "Polygon", coordinates: [[...ringed, ringed[0] ?? []]] }, properties: rest };
}
