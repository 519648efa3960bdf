// Thousands of moving devices as one layer of points, drawn by a shader of its own: an update is one buffer of numbers, a frame
// one call. (As a GeoJSON source the same costs 150 to 400 ms an update, most of it copying features to a worker.)
// Places are held relative to an origin near them, for a float has two metres at the size of the world.

import type { CustomLayerInterface, CustomRenderMethodInput, Map as GlMap } from "maplibre-gl";
import { Bit, fleet, type Place } from "../state/fleet";
import type { CityMap, Features } from "./citymap";
import { ring } from "./datum";
import { COLOURS } from "./layers";

/** A place older than this is drawn faint. */
export const OLD_S = 60;
const MOVING_KMH = 3;
/** As many circles of uncertainty, and names, are drawn at a time. */
const MOST_CIRCLES = 150;
const NAMES_FROM_ZOOM = 15;

export interface FleetFilter {
  taxis: boolean;
  units: boolean;
  onlyMoving: boolean;
  onlyOccupied: boolean;
  hideOld: boolean;
}

export const EVERYTHING: FleetFilter = { taxis: true, units: true, onlyMoving: false, onlyOccupied: false, hideOld: false };

export type FleetState = "moving" | "occupied" | "standing" | "unit";
const STATES: readonly FleetState[] = ["moving", "occupied", "standing", "unit"];

export function stateOf(place: Place): FleetState {
  if (place.device.startsWith("unit/")) return "unit";
  if (place.bits & Bit.occupied && place.bits & Bit.occupiedSent) return "occupied";
  return (place.speedKmh ?? 0) > MOVING_KMH ? "moving" : "standing";
}

export function passes(place: Place, filter: FleetFilter, nowMs: number): boolean {
  const unit = place.device.startsWith("unit/");
  if (unit ? !filter.units : !filter.taxis) return false;
  if (!unit && filter.onlyMoving && (place.speedKmh ?? 0) <= MOVING_KMH) return false;
  if (!unit && filter.onlyOccupied && !(place.bits & Bit.occupied)) return false;
  return !(filter.hideOld && nowMs - place.fixMs > OLD_S * 1000);
}

const VERTEX = `#version 300 es
in vec2 place; in float heading; in float state; in float old;
uniform mat4 matrix; uniform float size;
out float vHeading; flat out int vState; out float vOld;
void main() {
  gl_Position = matrix * vec4(place, 0.0, 1.0);
  gl_PointSize = size;
  vHeading = heading; vState = int(state); vOld = old;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in float vHeading; flat in int vState; in float vOld;
uniform vec3 colours[4]; uniform float near;
out vec4 colour;
void main() {
  vec2 p = vec2(gl_PointCoord.x, 1.0 - gl_PointCoord.y) * 2.0 - 1.0;
  float f;
  if (vState == 3) f = (abs(p.x) + abs(p.y) - 0.78) * 0.7;
  else if (vHeading < 0.0 || near < 0.5) f = length(p) - (near < 0.5 ? 0.72 : 0.5);
  else {
    float s = sin(vHeading), c = cos(vHeading);
    p = vec2(c * p.x - s * p.y, s * p.x + c * p.y);
    float x = abs(p.x);
    f = max((x * 2.2 + p.y - 0.8) * 0.41, -0.75 + 0.45 * (1.0 - x / 0.7) - p.y);
  }
  if (f > 0.2) discard;
  colour = f > 0.0 ? vec4(0.03, 0.055, 0.08, 0.9) : vec4(colours[vState], 1.0);
  float alpha = colour.a * (vOld > 0.5 ? 0.38 : 1.0);
  colour = vec4(colour.rgb * alpha, alpha);
}`;

const FLOATS = 5;
const rgb = (hex: string): number[] => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);

function mercator(lon: number, lat: number): [number, number] {
  const phi = (lat * Math.PI) / 180;
  return [(lon + 180) / 360, 0.5 - Math.log(Math.tan(Math.PI / 4 + phi / 2)) / (2 * Math.PI)];
}

export class FleetLayer implements CustomLayerInterface {
  readonly id = "fleet-points";
  readonly type = "custom" as const;
  readonly renderingMode = "2d" as const;
  count = 0;
  private data = new Float32Array(0);
  private origin: [number, number] = [0, 0];
  private fresh = false;
  private map: GlMap | null = null;
  private program: WebGLProgram | null = null;
  private buffer: WebGLBuffer | null = null;
  private vertices: WebGLVertexArrayObject | null = null;

  onAdd(map: GlMap, given: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = given as WebGL2RenderingContext;
    this.map = map;
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(kind);
      if (!shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "the fleet's shader");
    this.program = program;
    this.buffer = gl.createBuffer();
    this.vertices = gl.createVertexArray();
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    let at = 0;
    for (const [name, size] of [["place", 2], ["heading", 1], ["state", 1], ["old", 1]] as const) {
      const where = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, size, gl.FLOAT, false, FLOATS * 4, at * 4);
      at += size;
    }
    gl.bindVertexArray(null);
    this.fresh = true;
  }

  onRemove(_map: GlMap, given: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = given as WebGL2RenderingContext;
    gl.deleteProgram(this.program);
    gl.deleteBuffer(this.buffer);
    gl.deleteVertexArray(this.vertices);
    this.map = null;
    this.program = null;
  }

  /** Everything that passes, as it is now. */
  put(map: CityMap, filter: FleetFilter, nowMs: number, places: Iterable<Place>): void {
    let at = 0;
    for (const place of places) {
      if (!passes(place, filter, nowMs)) continue;
      if (this.data.length < at + FLOATS) {
        const grown = new Float32Array(Math.max(1024, this.data.length * 2));
        grown.set(this.data);
        this.data = grown;
      }
      const [lon, lat] = map.draw(place);
      const [x, y] = mercator(lon, lat);
      if (!at) this.origin = [x, y];
      const turns = place.headingDeg !== null && (place.speedKmh ?? 0) > MOVING_KMH;
      this.data[at] = x - this.origin[0];
      this.data[at + 1] = y - this.origin[1];
      this.data[at + 2] = turns ? ((place.headingDeg ?? 0) * Math.PI) / 180 : -1;
      this.data[at + 3] = STATES.indexOf(stateOf(place));
      this.data[at + 4] = nowMs - place.fixMs > OLD_S * 1000 ? 1 : 0;
      at += FLOATS;
    }
    this.count = at / FLOATS;
    this.fresh = true;
    this.map?.triggerRepaint();
  }

  render(given: WebGLRenderingContext | WebGL2RenderingContext, input: CustomRenderMethodInput): void {
    const gl = given as WebGL2RenderingContext;
    const { program, map } = this;
    if (!program || !map || !this.count) return;
    gl.useProgram(program);
    gl.bindVertexArray(this.vertices);
    if (this.fresh) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
      gl.bufferData(gl.ARRAY_BUFFER, this.data.subarray(0, this.count * FLOATS), gl.DYNAMIC_DRAW);
      this.fresh = false;
    }
    // The origin is put into the matrix here, in doubles.
    const matrix = Array.from(input.defaultProjectionData.mainMatrix as ArrayLike<number>);
    for (let row = 0; row < 4; row += 1) {
      matrix[12 + row] = (matrix[12 + row] ?? 0) + (matrix[row] ?? 0) * this.origin[0] + (matrix[4 + row] ?? 0) * this.origin[1];
    }
    const zoom = map.getZoom();
    const near = zoom >= 12.5;
    const px = near ? Math.min(24, 12 + (zoom - 12.5) * 4) : Math.max(4, 8 + (zoom - 12.5) * 1.1);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "matrix"), false, new Float32Array(matrix));
    gl.uniform1f(gl.getUniformLocation(program, "size"), px * map.getPixelRatio());
    gl.uniform1f(gl.getUniformLocation(program, "near"), near ? 1 : 0);
    gl.uniform3fv(gl.getUniformLocation(program, "colours"), STATES.flatMap((state) => rgb(COLOURS[state])));
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArrays(gl.POINTS, 0, this.count);
    gl.bindVertexArray(null);
  }
}

/** How far off each place may be: what the device says, as a circle in metres. */
export function accuracyFeatures(map: CityMap, chosen: ReadonlySet<string>, zoom: number): Features {
  const features: Features["features"] = [];
  const all = zoom >= NAMES_FROM_ZOOM;
  if (!all && !chosen.size) return { type: "FeatureCollection", features };
  for (const place of fleet.values()) {
    if (place.accM === null || place.accM <= 0) continue;
    if (!chosen.has(place.device) && (!all || features.length >= MOST_CIRCLES)) continue;
    features.push({
      type: "Feature",
      geometry: { type: "Polygon", coordinates: [ring(map.datum, place.lat, place.lon, place.accM)] },
      properties: { d: place.device },
    });
  }
  return { type: "FeatureCollection", features };
}

/** Names of those in view, once they are few enough to be read. */
export function nameFeatures(map: CityMap, chosen: ReadonlySet<string>, filter: FleetFilter, nowMs: number, zoom: number): Features {
  const features: Features["features"] = [];
  for (const place of zoom >= NAMES_FROM_ZOOM ? fleet.values() : [...chosen].map((one) => fleet.get(one))) {
    if (!place || (features.length >= MOST_CIRCLES && !chosen.has(place.device)) || !passes(place, filter, nowMs)) continue;
    features.push({ type: "Feature", geometry: { type: "Point", coordinates: map.draw(place) }, properties: { d: place.device } });
  }
  return { type: "FeatureCollection", features };
}
