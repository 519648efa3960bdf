// The timeline: a canvas with a lane for each vehicle; gaps, stops, occupancy and alarms in it, the speed as a curve.

import { useEffect, useRef, useState } from "preact/hooks";
import { clockTime, dateTime } from "../state/time";
import { theme } from "../state/prefs";
import { t } from "../text";
import { GAP_MS, type Span, type TrackColumns } from "./track";

export interface Lane {
  track: TrackColumns;
  colour: string;
  gaps: readonly Span[];
  stops: readonly Span[];
  occupied: readonly Span[];
  alarms: readonly { atMs: number; name: string }[];
  /** When a camera saw it. */
  passes: readonly Span[];
}

const HEAD_PX = 22;
const LANE_PX = 38;
const STEPS_MS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400].map((s) => s * 1000);
const MIN_VIEW_MS = 20_000;

export function Timeline(props: { fromMs: number; toMs: number; lanes: readonly Lane[]; atMs: number; onSeek: (ms: number) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState<Span>({ fromMs: props.fromMs, toMs: props.toMs });
  const [widthPx, setWidth] = useState(800);
  const heightPx = HEAD_PX + Math.max(1, props.lanes.length) * LANE_PX + 4;

  useEffect(() => setView({ fromMs: props.fromMs, toMs: props.toMs }), [props.fromMs, props.toMs]);
  useEffect(() => {
    const at = canvas.current;
    if (!at) return undefined;
    const seen = new ResizeObserver(() => setWidth(at.clientWidth || 800));
    seen.observe(at);
    return () => seen.disconnect();
  }, []);
  // What plays stays in sight.
  useEffect(() => {
    const span = view.toMs - view.fromMs;
    if (props.atMs < view.fromMs || props.atMs > view.toMs) {
      const from = Math.min(Math.max(props.atMs - span * 0.1, props.fromMs), Math.max(props.fromMs, props.toMs - span));
      setView({ fromMs: from, toMs: from + span });
    }
  }, [props.atMs]);
  useEffect(() => {
    if (canvas.current) paint(canvas.current, props.lanes, view, props.atMs, widthPx, heightPx);
  }, [props.lanes, view, props.atMs, widthPx, heightPx, theme.value]);

  const timeAt = (x: number): number => view.fromMs + (x / widthPx) * (view.toMs - view.fromMs);
  const drag = (event: PointerEvent): void => {
    if (event.buttons & 1) props.onSeek(timeAt(event.offsetX));
  };
  return (
    <canvas
      ref={canvas}
      class="timeline"
      style={{ height: `${heightPx}px` }}
      role="slider"
      tabIndex={0}
      aria-label={t("replay.timeline")}
      aria-valuemin={Math.round(props.fromMs / 1000)}
      aria-valuemax={Math.round(props.toMs / 1000)}
      aria-valuenow={Math.round(props.atMs / 1000)}
      aria-valuetext={dateTime(props.atMs)}
      title={t("replay.timelineHint")}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        props.onSeek(timeAt(event.offsetX));
      }}
      onPointerMove={drag}
      onWheel={(event) => {
        event.preventDefault();
        const at = timeAt(event.offsetX);
        const factor = event.deltaY > 0 ? 1.25 : 0.8;
        const from = Math.max(props.fromMs, at - (at - view.fromMs) * factor);
        const to = Math.min(props.toMs, at + (view.toMs - at) * factor);
        if (to - from >= MIN_VIEW_MS) setView({ fromMs: from, toMs: to });
      }}
    />
  );
}

function colours(): Record<"line" | "soft" | "text" | "sunken" | "edge" | "s1" | "accent", string> {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { line: of("line"), soft: of("soft"), text: of("text"), sunken: of("sunken"), edge: of("edge"), s1: of("s1"), accent: of("accent") };
}

function paint(canvas: HTMLCanvasElement, lanes: readonly Lane[], view: Span, atMs: number, widthPx: number, heightPx: number): void {
  const scale = Math.min(devicePixelRatio, 2);
  if (canvas.width !== widthPx * scale) canvas.width = widthPx * scale;
  if (canvas.height !== heightPx * scale) canvas.height = heightPx * scale;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const ink = colours();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, widthPx, heightPx);
  const x = (ms: number): number => ((ms - view.fromMs) / (view.toMs - view.fromMs)) * widthPx;

  pen.font = "11px sans-serif";
  pen.textBaseline = "middle";
  const step = STEPS_MS.find((one) => x(view.fromMs + one) > 84) ?? STEPS_MS[STEPS_MS.length - 1] ?? 86_400_000;
  for (let ms = Math.ceil(view.fromMs / step) * step; ms < view.toMs; ms += step) {
    pen.fillStyle = ink.line;
    pen.fillRect(x(ms), HEAD_PX - 6, 1, heightPx);
    pen.fillStyle = ink.soft;
    pen.fillText(step < 60_000 ? clockTime(ms) : clockTime(ms).slice(0, 5), x(ms) + 4, 10);
  }
  for (const [i, lane] of lanes.entries()) {
    const top = HEAD_PX + i * LANE_PX;
    const bar = (span: Span, y: number, h: number, fill: string | CanvasPattern): void => {
      const [from, to] = [Math.max(0, x(span.fromMs)), Math.min(widthPx, x(span.toMs))];
      if (to < 0 || from > widthPx) return;
      pen.fillStyle = fill;
      pen.fillRect(from, y, Math.max(1, to - from), h);
    };
    for (const span of lane.occupied) bar(span, top + LANE_PX - 8, 4, "#f6b73c");
    for (const span of lane.passes) bar(span, top + LANE_PX - 20, 3, "#7f9cff");
    for (const span of lane.stops) bar(span, top + LANE_PX - 14, 4, "#8fa3b5");
    curve(pen, lane, x, top + 2, LANE_PX - 23, widthPx);
    const hatched = hatch(pen, ink.edge);
    for (const span of lane.gaps) bar(span, top + 2, LANE_PX - 6, hatched ?? ink.edge);
    for (const alarm of lane.alarms) {
      const at = x(alarm.atMs);
      if (at < 0 || at > widthPx) continue;
      pen.fillStyle = ink.s1;
      pen.beginPath();
      pen.moveTo(at, top);
      pen.lineTo(at + 6, top + 8);
      pen.lineTo(at, top + 16);
      pen.lineTo(at - 6, top + 8);
      pen.fill();
    }
    pen.fillStyle = lane.colour;
    pen.fillRect(0, top + 1, 4, LANE_PX - 4);
    pen.fillStyle = ink.text;
    pen.fillText(lane.track.device, 9, top + 9);
    pen.fillStyle = ink.line;
    pen.fillRect(0, top + LANE_PX - 2, widthPx, 1);
  }
  pen.fillStyle = ink.accent;
  pen.fillRect(x(atMs) - 1, 0, 2, heightPx);
  pen.beginPath();
  pen.moveTo(x(atMs) - 6, 0);
  pen.lineTo(x(atMs) + 6, 0);
  pen.lineTo(x(atMs), 9);
  pen.fill();
}

/** The speed: that of a point until the next one, unless a gap is between; the highest on a pixel, so that no peak is lost. */
function curve(pen: CanvasRenderingContext2D, lane: Lane, x: (ms: number) => number, top: number, height: number, widthPx: number): void {
  const { timeMs, speedKmh } = lane.track;
  const highest = new Float32Array(Math.ceil(widthPx) + 1);
  for (let i = 0; i < timeMs.length; i += 1) {
    const [here, next] = [timeMs[i] as number, timeMs[i + 1] ?? (timeMs[i] as number)];
    const at = Math.round(x(here));
    const to = next - here > GAP_MS ? at : Math.round(x(next));
    const speed = speedKmh[i] as number;
    if (to < 0 || at > widthPx || Number.isNaN(speed)) continue;
    for (let px = Math.max(0, at); px <= Math.min(widthPx, to); px += 1) if (speed > (highest[px] ?? 0)) highest[px] = speed;
  }
  pen.fillStyle = lane.colour;
  pen.globalAlpha = 0.7;
  for (let at = 0; at < highest.length; at += 1) {
    const h = (Math.min(highest[at] ?? 0, 120) / 120) * height;
    if (h > 0) pen.fillRect(at, top + height - h, 1, h);
  }
  pen.globalAlpha = 1;
}

let hatching: { colour: string; pattern: CanvasPattern | null } | null = null;
function hatch(pen: CanvasRenderingContext2D, colour: string): CanvasPattern | null {
  if (hatching?.colour === colour) return hatching.pattern;
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const small = tile.getContext("2d");
  if (small) {
    small.strokeStyle = colour;
    small.beginPath();
    small.moveTo(0, 6);
    small.lineTo(6, 0);
    small.stroke();
  }
  hatching = { colour, pattern: pen.createPattern(tile, "repeat") };
  return hatching.pattern;
}
