// What is drawn over the base map, and how: sources, layers and icons. The colours mean the same in dark and in light.

import type { LayerSpecification, Map as GlMap } from "maplibre-gl";

export const SOURCES = ["areas", "fences", "cells", "accuracy", "cameras", "asked", "lines", "found", "stops", "fleet", "marks", "draft"] as const;
export type SourceName = (typeof SOURCES)[number];

export const COLOURS = {
  moving: "#36c5b0",
  occupied: "#f6b73c",
  standing: "#8fa3b5",
  unit: "#4da3ff",
  camera: "#7f9cff",
  fence: "#b57cff",
  forbidden: "#ff6b62",
  s1: "#ff4038",
  s2: "#ff9d2e",
  s3: "#4a9bff",
  post: "#ffffff",
} as const;

/** Layers that answer a click, the topmost first. */
export const PICKED = ["marks", "found", "cameras-one", "cameras-many", "cells", "stops", "fences-fill"] as const;

const SIZE = 48;

function icon(draw: (pen: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  const pen = canvas.getContext("2d");
  if (!pen) return new ImageData(SIZE, SIZE);
  pen.translate(SIZE / 2, SIZE / 2);
  pen.lineJoin = "round";
  draw(pen);
  return pen.getImageData(0, 0, SIZE, SIZE);
}

function shape(pen: CanvasRenderingContext2D, fill: string, points: readonly (readonly [number, number])[]): void {
  pen.beginPath();
  for (const [i, [x, y]] of points.entries()) {
    if (i) pen.lineTo(x, y);
    else pen.moveTo(x, y);
  }
  pen.closePath();
  pen.lineWidth = 5;
  pen.strokeStyle = "rgba(8,14,20,.9)";
  pen.stroke();
  pen.fillStyle = fill;
  pen.fill();
}

function disc(pen: CanvasRenderingContext2D, fill: string, r: number): void {
  pen.beginPath();
  pen.arc(0, 0, r, 0, 2 * Math.PI);
  pen.lineWidth = 5;
  pen.strokeStyle = "rgba(8,14,20,.9)";
  pen.stroke();
  pen.fillStyle = fill;
  pen.fill();
}

function cross(pen: CanvasRenderingContext2D, stroke: string): void {
  for (const [wide, colour] of [[10, "rgba(8,14,20,.9)"], [5, stroke]] as const) {
    pen.beginPath();
    pen.moveTo(-11, -11);
    pen.lineTo(11, 11);
    pen.moveTo(11, -11);
    pen.lineTo(-11, 11);
    pen.lineWidth = wide;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}

const ARROW = [[0, -20], [14, 16], [0, 8], [-14, 16]] as const;
const DIAMOND = [[0, -19], [19, 0], [0, 19], [-19, 0]] as const;
const TRIANGLE = [[0, -20], [21, 17], [-21, 17]] as const;
const SQUARE = [[-13, -13], [13, -13], [13, 13], [-13, 13]] as const;
const SHIELD = [[0, -19], [16, -12], [14, 8], [0, 20], [-14, 8], [-16, -12]] as const;
const CAMERA = [[-17, -10], [5, -10], [5, -4], [17, -11], [17, 11], [5, 4], [5, 10], [-17, 10]] as const;

/** Icons are drawn once for each style, at twice their size. */
export function addIcons(map: GlMap): void {
  const add = (name: string, draw: (pen: CanvasRenderingContext2D) => void): void => {
    if (!map.hasImage(name)) map.addImage(name, icon(draw), { pixelRatio: 2 });
  };
  for (const state of ["moving", "occupied", "standing", "unit"] as const) {
    add(`${state}-arrow`, (pen) => shape(pen, COLOURS[state], ARROW));
    add(`${state}-dot`, (pen) => (state === "unit" ? shape(pen, COLOURS[state], SHIELD) : disc(pen, COLOURS[state], 12)));
  }
  add("camera", (pen) => shape(pen, COLOURS.camera, CAMERA));
  add("post", (pen) => shape(pen, COLOURS.post, SQUARE));
  add("alarm1", (pen) => shape(pen, COLOURS.s1, TRIANGLE));
  add("alarm2", (pen) => shape(pen, COLOURS.s2, DIAMOND));
  add("alarm3", (pen) => disc(pen, COLOURS.s3, 16));
  add("unit", (pen) => shape(pen, COLOURS.unit, SHIELD));
  add("corner", (pen) => disc(pen, "#fff", 10));
  add("odd", (pen) => cross(pen, COLOURS.s2));
  add("stop", (pen) => shape(pen, COLOURS.standing, SQUARE));
}

export function layers(dark: boolean): LayerSpecification[] {
  const ink = dark ? "#e6edf3" : "#15212c";
  const halo = dark ? "#0c1218" : "#ffffff";
  const font = { "text-font": ["Noto Sans Regular"], "text-size": 12 };
  const text = { "text-color": ink, "text-halo-color": halo, "text-halo-width": 1.6 };
  return [
    { id: "areas", type: "line", source: "areas", paint: { "line-color": COLOURS.standing, "line-width": 1.4, "line-dasharray": [3, 3] } },
    { id: "areas-text", type: "symbol", source: "areas", layout: { ...font, "text-field": ["get", "name"] }, paint: text },
    { id: "fences-fill", type: "fill", source: "fences", paint: { "fill-color": ["match", ["get", "rule"], "forbidden", COLOURS.forbidden, COLOURS.fence], "fill-opacity": 0.12 } },
    { id: "fences-line", type: "line", source: "fences", paint: { "line-color": ["match", ["get", "rule"], "forbidden", COLOURS.forbidden, COLOURS.fence], "line-width": 2 } },
    { id: "accuracy", type: "fill", source: "accuracy", paint: { "fill-color": COLOURS.unit, "fill-opacity": 0.16, "fill-outline-color": COLOURS.unit } },
    { id: "asked-fill", type: "fill", source: "asked", paint: { "fill-color": COLOURS.s2, "fill-opacity": 0.14 } },
    { id: "asked-line", type: "line", source: "asked", paint: { "line-color": COLOURS.s2, "line-width": 2.5 } },
    { id: "asked-text", type: "symbol", source: "asked", layout: { ...font, "text-size": 18, "text-field": ["get", "label"], "text-allow-overlap": true }, paint: text },
    { id: "lines-case", type: "line", source: "lines", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": halo, "line-width": 7, "line-opacity": 0.85 } },
    { id: "lines", type: "line", source: "lines", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": ["get", "colour"], "line-width": ["case", ["get", "gap"], 2, 4], "line-opacity": ["case", ["get", "gap"], 0.45, 1] } },
    { id: "found", type: "circle", source: "found", paint: { "circle-color": ["get", "colour"], "circle-radius": 4, "circle-stroke-color": halo, "circle-stroke-width": 1, "circle-stroke-opacity": ["interpolate", ["linear"], ["zoom"], 13, 0, 16, 1] } },
    { id: "stops", type: "symbol", source: "stops", layout: { "icon-image": ["get", "icon"], "icon-size": 0.8, "icon-allow-overlap": true } },
    {
      id: "cells",
      type: "circle",
      source: "cells",
      paint: {
        "circle-color": COLOURS.moving,
        "circle-opacity": 0.75,
        "circle-stroke-color": halo,
        "circle-stroke-width": 2,
        "circle-radius": ["interpolate", ["linear"], ["sqrt", ["get", "count"]], 1, 9, 40, 34],
      },
    },
    { id: "cells-text", type: "symbol", source: "cells", layout: { ...font, "text-field": ["to-string", ["get", "count"]], "text-allow-overlap": true }, paint: { "text-color": "#04221e" } },
    {
      id: "cameras-many",
      type: "circle",
      source: "cameras",
      filter: [">", ["get", "count"], 1],
      paint: {
        "circle-color": COLOURS.camera,
        "circle-opacity": 0.55,
        "circle-stroke-color": COLOURS.camera,
        "circle-stroke-width": 1.5,
        "circle-radius": ["interpolate", ["linear"], ["log10", ["get", "count"]], 0.3, 10, 4, 30],
      },
    },
    { id: "cameras-text", type: "symbol", source: "cameras", filter: [">", ["get", "count"], 1], layout: { ...font, "text-field": ["to-string", ["get", "count"]], "text-allow-overlap": true }, paint: text },
    { id: "cameras-one", type: "symbol", source: "cameras", filter: ["==", ["get", "count"], 1], layout: { "icon-image": "camera", "icon-size": 0.75, "icon-allow-overlap": true, "icon-ignore-placement": true }, paint: { "icon-opacity": ["match", ["coalesce", ["get", "state"], "online"], ["offline", "parked", "disabled", "stalled"], 0.4, 1] } },
    { id: "fleet-text", type: "symbol", source: "fleet", layout: { ...font, "text-field": ["get", "d"], "text-offset": [0, 1.4], "text-anchor": "top", "text-optional": true }, paint: text },
    { id: "marks", type: "symbol", source: "marks", layout: { "icon-image": ["get", "kind"], "icon-rotate": ["coalesce", ["get", "h"], 0], "icon-size": ["coalesce", ["get", "size"], 0.9], "icon-allow-overlap": true, "icon-ignore-placement": true } },
    { id: "marks-text", type: "symbol", source: "marks", minzoom: 13.5, layout: { ...font, "text-field": ["get", "label"], "text-offset": [0, 1.5], "text-anchor": "top", "text-optional": true }, paint: text },
    { id: "draft-fill", type: "fill", source: "draft", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": COLOURS.fence, "fill-opacity": 0.25 } },
    { id: "draft-line", type: "line", source: "draft", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": COLOURS.fence, "line-width": 2.5, "line-dasharray": [2, 1.5] } },
    { id: "draft", type: "symbol", source: "draft", filter: ["has", "i"], layout: { "icon-image": "corner", "icon-allow-overlap": true } },
    { id: "draft-middle", type: "circle", source: "draft", filter: ["has", "m"], paint: { "circle-color": "#fff", "circle-opacity": 0.6, "circle-radius": 4, "circle-stroke-color": COLOURS.fence, "circle-stroke-width": 1.5 } },
  ];
}
