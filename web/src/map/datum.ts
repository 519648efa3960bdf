// WGS-84 to GCJ-02 and back, at the map's edge only. GCJ-02 has never been published; this is the public reconstruction of
// its offset, the same as in model/datum.py. The way back is found by iterating until it is within a centimetre.

const A_M = 6_378_245;
const E2 = 0.006_693_421_622_965_943;

export type Datum = "wgs84" | "gcj02";

function inChina(lat: number, lon: number): boolean {
  return lon >= 72.004 && lon <= 137.8347 && lat >= 0.8293 && lat <= 55.8271;
}

function offset(lat: number, lon: number): [lat: number, lon: number] {
  const [x, y] = [lon - 105, lat - 35];
  const root = Math.sqrt(Math.abs(x));
  const { PI } = Math;
  const ripple = ((20 * Math.sin(6 * x * PI) + 20 * Math.sin(2 * x * PI)) * 2) / 3;
  const dLatM =
    -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + ripple +
    ((20 * Math.sin(y * PI) + 40 * Math.sin((y / 3) * PI)) * 2) / 3 +
    ((160 * Math.sin((y / 12) * PI) + 320 * Math.sin((y * PI) / 30)) * 2) / 3;
  const dLonM =
    300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + ripple +
    ((20 * Math.sin(x * PI) + 40 * Math.sin((x / 3) * PI)) * 2) / 3 +
    ((150 * Math.sin((x / 12) * PI) + 300 * Math.sin((x / 30) * PI)) * 2) / 3;
  const phi = (lat / 180) * PI;
  const magic = 1 - E2 * Math.sin(phi) ** 2;
  return [
    (dLatM * 180) / (((A_M * (1 - E2)) / (magic * Math.sqrt(magic))) * PI),
    (dLonM * 180) / ((A_M / Math.sqrt(magic)) * Math.cos(phi) * PI),
  ];
}

/** As GeoJSON has it: [lon, lat]. */
export function drawn(datum: Datum, lat: number, lon: number): [number, number] {
  if (datum === "wgs84" || !inChina(lat, lon)) return [lon, lat];
  const [dLat, dLon] = offset(lat, lon);
  return [lon + dLon, lat + dLat];
}

export function undrawn(datum: Datum, lat: number, lon: number): { lat: number; lon: number } {
  if (datum === "wgs84" || !inChina(lat, lon)) return { lat, lon };
  let [foundLat, foundLon] = [lat, lon];
  for (let turn = 0; turn < 5; turn += 1) {
    const [thereLon, thereLat] = drawn(datum, foundLat, foundLon);
    foundLat += lat - thereLat;
    foundLon += lon - thereLon;
  }
  return { lat: foundLat, lon: foundLon };
}

const EARTH_M = 6_371_008.8;

export function distanceM(lat1: number, lon1: number, lat2: number, lon2: number): number {
  const rad = Math.PI / 180;
  const h = Math.sin(((lat2 - lat1) * rad) / 2) ** 2 + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** A circle of so many metres as a ring of [lon, lat] in the map's datum. */
export function ring(datum: Datum, lat: number, lon: number, radiusM: number, corners = 40): [number, number][] {
  const out: [number, number][] = [];
  const dLat = (radiusM / EARTH_M) * (180 / Math.PI);
  const dLon = dLat / Math.max(0.01, Math.cos((lat * Math.PI) / 180));
  for (let i = 0; i <= corners; i += 1) {
    const turn = (i / corners) * 2 * Math.PI;
    out.push(drawn(datum, lat + dLat * Math.sin(turn), lon + dLon * Math.cos(turn)));
  }
  return out;
}
