// Areas as they are written (`console.search_areas`): a circle `LAT,LON,METRES`, a polygon `LAT,LON LAT,LON LAT,LON …`, or what the
// registry has under `fence:ID` and `jurisdiction:ID`. Pure. WGS-84 throughout.

import { distanceM } from "../map/datum";

export interface At {
  lat: number;
  lon: number;
}

export type Area = { kind: "circle"; lat: number; lon: number; radiusM: number } | { kind: "polygon"; corners: At[] } | { kind: "named"; name: string };

export const LEAST_CORNERS = 3;
/** Limits of the service, `[search]`: told here before it has to. */
export const MOST_CORNERS = 500;
export const MOST_RADIUS_M = 5000;
const DECIMALS = 6;

const onEarth = (lat: number, lon: number): boolean => Math.abs(lat) <= 90 && Math.abs(lon) <= 180;

/** null: no area, or none that may be searched. Commas may be Chinese ones, places on lines of their own or with semicolons. */
export function parseArea(text: string, mostRadiusM = MOST_RADIUS_M): Area | null {
  const plain = text.trim().replace(/，/g, ",").replace(/[；;]/g, " ");
  const named = /^(fence|jurisdiction):\S+$/.exec(plain);
  if (named) return { kind: "named", name: plain };
  const places = plain.replace(/\s*,\s*/g, ",").split(/\s+/).filter(Boolean).map((one) => one.split(",").map((part) => (part === "" ? NaN : Number(part))));
  if (places.flat().some((one) => !Number.isFinite(one))) return null;
  const first = places[0];
  if (places.length === 1 && first?.length === 3) {
    const [lat = 0, lon = 0, radiusM = 0] = first;
    return onEarth(lat, lon) && radiusM >= 1 && radiusM <= mostRadiusM ? { kind: "circle", lat, lon, radiusM } : null;
  }
  const corners = places.map(([lat = NaN, lon = NaN]) => ({ lat, lon }));
  const right = places.every((one) => one.length === 2) && corners.every(({ lat, lon }) => onEarth(lat, lon));
  return right && corners.length >= LEAST_CORNERS && corners.length <= MOST_CORNERS ? { kind: "polygon", corners } : null;
}

const place = ({ lat, lon }: At): string => `${lat.toFixed(DECIMALS)},${lon.toFixed(DECIMALS)}`;

export function writtenArea(area: Area): string {
  if (area.kind === "named") return area.name;
  if (area.kind === "circle") return `${place(area)},${Math.round(area.radiusM)}`;
  return area.corners.map(place).join(" ");
}

/** What is drawn as a circle: its middle, and a place on its edge. */
export function circleOf(corners: readonly At[], mostRadiusM = MOST_RADIUS_M): Area | null {
  const [middle, edge] = corners;
  if (!middle || !edge) return null;
  const radiusM = Math.min(mostRadiusM, Math.max(1, Math.round(distanceM(middle.lat, middle.lon, edge.lat, edge.lon))));
  return { kind: "circle", lat: middle.lat, lon: middle.lon, radiusM };
}

const METRES_PER_DEGREE = 111_320;

/** The handles by which an area is moved: corners, or middle and edge. */
export function handlesOf(area: Area | null): At[] {
  if (!area || area.kind === "named") return [];
  if (area.kind === "polygon") return [...area.corners];
  const east = area.radiusM / (METRES_PER_DEGREE * Math.max(0.01, Math.cos((area.lat * Math.PI) / 180)));
  return [
    { lat: area.lat, lon: area.lon },
    { lat: area.lat, lon: area.lon + east },
  ];
}
