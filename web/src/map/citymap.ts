// The map: MapLibre with the service's own style, and our sources over it. Places come and go as WGS-84; only what is drawn is
// turned to the datum of the base map. Everything comes from the service: nothing is asked of any other host.

import type { FeatureCollection, Geometry, Position } from "geojson";
import * as gl from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { get } from "../api/client";
import { fleet, type Place } from "../state/fleet";
import { t } from "../text";
import { drawn, undrawn, type Datum } from "./datum";
import { FleetLayer, type FleetFilter } from "./fleetlayer";
import { addIcons, layers, PICKED, SOURCES, type SourceName } from "./layers";

gl.setWorkerUrl(workerUrl);

export interface At {
  lat: number;
  lon: number;
}

export interface Box {
  bbox: [number, number, number, number];
  zoom: number;
}

export interface Picked {
  layer: string;
  properties: Record<string, unknown>;
  at: At;
}

export type Features = FeatureCollection<Geometry, Record<string, unknown>>;
const REACH_PX = 12;
const NONE: Features = { type: "FeatureCollection", features: [] };

interface StyleMeta {
  metadata?: Record<string, unknown>;
  sources?: Record<string, { url?: string; tiles?: string[] }>;
}

let pmtiles = false;
async function knowPmtiles(style: StyleMeta): Promise<void> {
  const asked = Object.values(style.sources ?? {}).some((one) => one.url?.startsWith("pmtiles:") || one.tiles?.some((tile) => tile.startsWith("pmtiles:")));
  if (!asked || pmtiles) return;
  const { Protocol } = await import("pmtiles");
  gl.addProtocol("pmtiles", new Protocol().tile);
  pmtiles = true;
}

export class CityMap {
  datum: Datum = "wgs84";
  onMove: (box: Box) => void = () => undefined;
  onPick: (picked: Picked | null) => void = () => undefined;
  onFail: (why: string) => void = () => undefined;
  onReady: () => void = () => undefined;
  /** Takes clicks while something is drawn. */
  onClick: ((at: At, event: gl.MapMouseEvent) => void) | null = null;
  ready = false;
  private readonly moving = new FleetLayer();
  /** What was drawn last, where it is not what moves now. */
  private pickable: Iterable<Place> | null = null;
  private map: gl.Map | null = null;
  private readonly data = new Map<SourceName, Features>();
  private readonly hidden = new Set<string>();
  private home: { center: gl.LngLatLike; zoom: number } | null = null;
  private dark = true;
  private ended = false;
  private started: { at: At | null; zoom: number } = { at: null, zoom: 12 };

  constructor(private readonly box: HTMLElement) {}

  async start(theme: string, at: At | null, zoom: number): Promise<void> {
    this.started = { at, zoom };
    this.dark = theme === "dark";
    let style: gl.StyleSpecification & StyleMeta;
    try {
      style = await get<gl.StyleSpecification & StyleMeta>("/map/style", { theme });
      await knowPmtiles(style);
    } catch (error) {
      this.onFail(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.ended) return;
    this.datum = style.metadata?.["lucheng:datum"] === "gcj02" ? "gcj02" : "wgs84";
    if (this.map) {
      this.ready = false;
      this.map.setStyle(style, { diff: false });
      return;
    }
    const center = (style.center ?? [109.84, 40.65]) as [number, number];
    this.home = { center, zoom: style.zoom ?? 11 };
    try {
      this.map = new gl.Map({
        container: this.box,
        style,
        center: at ? this.draw(at) : center,
        zoom: at ? zoom : (style.zoom ?? 11),
        maxPitch: 0,
        dragRotate: false,
        pitchWithRotate: false,
        touchPitch: false,
        renderWorldCopies: false,
        fadeDuration: 0,
        pixelRatio: Math.min(devicePixelRatio, 2),
        attributionControl: { compact: true },
        locale: { "Map.Title": t("map.label") },
      });
    } catch {
      this.onFail(t("map.noGl"));
      return;
    }
    const { map } = this;
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.on("style.load", () => this.dress());
    map.on("moveend", () => this.moved());
    map.on("resize", () => this.moved());
    map.on("error", (event) => this.onFail(event.error.message));
    map.on("click", (event) => this.clicked(event));
    map.on("mousemove", (event) => {
      const over = !this.onClick && this.found(event.point).length > 0;
      map.getCanvas().style.cursor = this.onClick ? "crosshair" : over ? "pointer" : "";
    });
  }

  private dress(): void {
    const { map } = this;
    if (!map) return;
    addIcons(map);
    for (const name of SOURCES) {
      if (map.getSource(name)) continue;
      const data = this.data.get(name) ?? NONE;
      map.addSource(name, { type: "geojson", data, maxzoom: 16 });
    }
    for (const layer of layers(this.dark)) {
      if (layer.id === "fleet-text" && !map.getLayer(this.moving.id)) map.addLayer(this.moving);
      if (!map.getLayer(layer.id)) map.addLayer(layer);
      if (this.isHidden(layer.id)) map.setLayoutProperty(layer.id, "visibility", "none");
    }
    this.ready = true;
    this.box.dataset["ready"] = "yes";
    this.moved();
    this.onReady();
  }

  draw(at: At): [number, number] {
    return drawn(this.datum, at.lat, at.lon);
  }

  /** A geometry of [lon, lat] in WGS-84 as it is drawn. */
  turned(positions: Position[]): Position[] {
    return this.datum === "wgs84" ? positions : positions.map(([lon, lat]) => drawn(this.datum, lat ?? 0, lon ?? 0));
  }

  turnedFeatures(given: Features): Features {
    if (this.datum === "wgs84") return given;
    const turn = (value: unknown): unknown =>
      Array.isArray(value) && typeof value[0] === "number" ? drawn(this.datum, Number(value[1]), Number(value[0])) : Array.isArray(value) ? value.map(turn) : value;
    return {
      ...given,
      features: given.features.map((one) =>
        "coordinates" in one.geometry ? { ...one, geometry: { ...one.geometry, coordinates: turn(one.geometry.coordinates) } as Geometry } : one,
      ),
    };
  }

  set(name: SourceName, features: Features): void {
    this.data.set(name, features);
    if (!this.ready) return;
    const source = this.map?.getSource(name);
    if (source instanceof gl.GeoJSONSource) void source.setData(features);
  }

  /** What moves, as it is now; or as it was then. */
  setFleet(filter: FleetFilter, nowMs: number, places?: Iterable<Place>): void {
    this.pickable = places ?? null;
    this.moving.put(this, filter, nowMs, places ?? fleet.values());
  }

  /** What moves under a pointer: the nearest within reach. */
  private movingAt(point: { x: number; y: number }): string {
    const { map } = this;
    if (!map) return "";
    let [found, least] = ["", REACH_PX];
    for (const place of this.pickable ?? fleet.values()) {
      const there = map.project(this.draw(place));
      const far = Math.hypot(there.x - point.x, there.y - point.y);
      if (far < least) [found, least] = [place.device, far];
    }
    return found;
  }

  show(prefix: string, shown: boolean): void {
    if (shown) this.hidden.delete(prefix);
    else this.hidden.add(prefix);
    if (!this.map || !this.ready) return;
    for (const layer of layers(this.dark)) {
      if (layer.id.startsWith(prefix) && this.map.getLayer(layer.id)) this.map.setLayoutProperty(layer.id, "visibility", shown ? "visible" : "none");
    }
  }

  private isHidden(id: string): boolean {
    return [...this.hidden].some((prefix) => id.startsWith(prefix));
  }

  view(): Box | null {
    const { map } = this;
    if (!map) return null;
    const bounds = map.getBounds();
    const low = undrawn(this.datum, bounds.getSouth(), bounds.getWest());
    const high = undrawn(this.datum, bounds.getNorth(), bounds.getEast());
    return { bbox: [low.lon, low.lat, high.lon, high.lat], zoom: Math.max(0, map.getZoom()) };
  }

  private moved(): void {
    const view = this.view();
    if (!view || !this.map || !this.ready) return;
    const centre = this.map.getCenter();
    const at = undrawn(this.datum, centre.lat, centre.lng);
    // Where it stands, as text: for whoever looks without seeing the picture.
    this.box.dataset["centre"] = `${at.lat.toFixed(5)},${at.lon.toFixed(5)}`;
    this.onMove(view);
  }

  private found(point: gl.PointLike & { x: number; y: number }): gl.MapGeoJSONFeature[] {
    const { map } = this;
    if (!map || !this.ready) return [];
    const near: [gl.PointLike, gl.PointLike] = [
      [point.x - 5, point.y - 5],
      [point.x + 5, point.y + 5],
    ];
    return map.queryRenderedFeatures(near, { layers: PICKED.filter((id) => map.getLayer(id)) });
  }

  private clicked(event: gl.MapMouseEvent): void {
    const at = undrawn(this.datum, event.lngLat.lat, event.lngLat.lng);
    if (this.onClick) {
      this.onClick(at, event);
      return;
    }
    const found = this.found(event.point).sort((a, b) => PICKED.indexOf(a.layer.id as never) - PICKED.indexOf(b.layer.id as never))[0];
    const device = found?.layer.id === "marks" ? "" : this.movingAt(event.point);
    if (device) {
      this.onPick({ layer: "fleet", properties: { d: device }, at });
      return;
    }
    this.onPick(found ? { layer: found.layer.id, properties: found.properties, at } : null);
  }

  goTo(at: At, zoom?: number, animate = true): void {
    const { map } = this;
    if (!map) {
      this.started = { at, zoom: zoom ?? this.started.zoom };
      return;
    }
    const where = { center: this.draw(at), ...(zoom === undefined ? {} : { zoom }) };
    if (animate && !matchMedia("(prefers-reduced-motion: reduce)").matches) map.easeTo({ ...where, duration: 500 });
    else map.jumpTo(where);
  }

  goHome(): void {
    if (this.home) this.map?.easeTo({ ...this.home, duration: 500 });
  }

  fit(points: readonly At[]): void {
    if (!points.length || !this.map) return;
    const bounds = new gl.LngLatBounds();
    for (const at of points) bounds.extend(this.draw(at));
    this.map.fitBounds(bounds, { padding: 60, maxZoom: 16, duration: 0 });
  }

  /** As `fit`, of places in the map's own datum. */
  fitDrawn(points: readonly At[]): void {
    if (!points.length || !this.map) return;
    const bounds = new gl.LngLatBounds();
    for (const at of points) bounds.extend([at.lon, at.lat]);
    this.map.fitBounds(bounds, { padding: 60, maxZoom: 16, duration: 0 });
  }

  zoomBy(step: number): void {
    this.map?.zoomTo(this.map.getZoom() + step);
  }

  focus(): void {
    this.map?.getCanvas().focus();
  }

  get gl(): gl.Map | null {
    return this.map;
  }

  stop(): void {
    this.ended = true;
    this.ready = false;
    this.map?.remove();
    this.map = null;
  }
}
