// A camera's time as a canvas: what is recorded, where nothing is, motion, how the camera was, alarms.

import { useEffect, useRef, useState } from "preact/hooks";
import { clockTime, dateTime } from "../state/time";
import { theme } from "../state/prefs";
import { t } from "../text";
import { ticks, zoomed, type CameraTime, type Stretch } from "./time";

const HEAD_PX = 20;
const RECORD_PX = 16;
const MOTION_PX = 34;
const STATE_PX = 6;
const HEIGHT_PX = HEAD_PX + RECORD_PX + MOTION_PX + STATE_PX + 10;
const TICK_PX = 84;

export interface Marks {
  fromMs: number | null;
  toMs: number | null;
}

export function CameraTimeline(props: {
  time: CameraTime;
  view: Stretch;
  onView: (view: Stretch) => void;
  atMs: number;
  marks: Marks;
  onSeek: (ms: number) => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [widthPx, setWidth] = useState(800);
  const { time, view } = props;
  useEffect(() => {
    const at = canvas.current;
    if (!at) return undefined;
    const seen = new ResizeObserver(() => setWidth(at.clientWidth || 800));
    seen.observe(at);
    return () => seen.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current) paint(canvas.current, time, view, props.atMs, props.marks, widthPx);
  }, [time, view, props.atMs, props.marks.fromMs, props.marks.toMs, widthPx, theme.value]);
  const timeAt = (x: number): number => view.fromMs + (x / widthPx) * (view.toMs - view.fromMs);
  // the browser makes wheel listeners of JSX passive where it may: this one has to hold the page still
  const zoom = useRef<(event: WheelEvent) => void>(() => undefined);
  zoom.current = (event) => {
    event.preventDefault();
    props.onView(zoomed(view, event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.offsetX), time));
  };
  useEffect(() => {
    const at = canvas.current;
    const turn = (event: WheelEvent): void => zoom.current(event);
    at?.addEventListener("wheel", turn, { passive: false });
    return () => at?.removeEventListener("wheel", turn);
  }, []);
  return (
    <canvas
      ref={canvas}
      class="timeline cam-timeline"
      style={{ height: `${HEIGHT_PX}px` }}
      role="slider"
      tabIndex={0}
      aria-label={t("recordings.timeline")}
      aria-valuemin={Math.round(time.fromMs / 1000)}
      aria-valuemax={Math.round(time.toMs / 1000)}
      aria-valuenow={Math.round(Math.min(Math.max(props.atMs, time.fromMs), time.toMs) / 1000)}
      aria-valuetext={props.atMs ? dateTime(props.atMs) : t("app.none")}
      title={t("recordings.timelineHint")}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        props.onSeek(timeAt(event.offsetX));
      }}
    />
  );
}

function zoneOffset(ms: number): number {
  return Date.parse(`${dateTime(ms).replace(" ", "T")}Z`) - Math.floor(ms / 1000) * 1000;
}

function paint(canvas: HTMLCanvasElement, time: CameraTime, view: Stretch, atMs: number, marks: Marks, widthPx: number): void {
  const scale = Math.min(devicePixelRatio, 2);
  if (canvas.width !== Math.round(widthPx * scale)) canvas.width = Math.round(widthPx * scale);
  if (canvas.height !== Math.round(HEIGHT_PX * scale)) canvas.height = Math.round(HEIGHT_PX * scale);
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const style = getComputedStyle(document.documentElement);
  const ink = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, widthPx, HEIGHT_PX);
  const x = (ms: number): number => ((ms - view.fromMs) / (view.toMs - view.fromMs)) * widthPx;
  const bar = (one: Stretch, y: number, h: number, fill: string | CanvasPattern): void => {
    const [from, to] = [Math.max(0, x(one.fromMs)), Math.min(widthPx, x(one.toMs))];
    if (to < 0 || from > widthPx) return;
    pen.fillStyle = fill;
    pen.fillRect(from, y, Math.max(1.5, to - from), h);
  };

  pen.font = "11px sans-serif";
  pen.textBaseline = "middle";
  const scaleOf = ticks(view, widthPx, TICK_PX, zoneOffset(view.fromMs));
  for (const ms of scaleOf.atMs) {
    pen.fillStyle = ink("line");
    pen.fillRect(x(ms), HEAD_PX - 6, 1, HEIGHT_PX);
    pen.fillStyle = ink("soft");
    const words = scaleOf.stepMs >= 86_400_000 ? dateTime(ms).slice(5, 10) : scaleOf.stepMs < 60_000 ? clockTime(ms) : clockTime(ms).slice(0, 5);
    pen.fillText(words, x(ms) + 4, 9);
  }

  const recordTop = HEAD_PX;
  const hatched = hatch(pen, ink("edge")) ?? ink("line");
  for (const one of time.gaps) bar(one, recordTop, RECORD_PX, hatched);
  for (const one of time.recorded) bar(one, recordTop, RECORD_PX, one.held ? ink("s3") : ink("accent"));

  const motionTop = recordTop + RECORD_PX + 2;
  motion(pen, time, x, motionTop, widthPx, ink("warn"));

  const stateTop = motionTop + MOTION_PX + 2;
  const colours: Record<string, string> = { online: ink("good"), degraded: ink("warn"), stalled: ink("warn"), offline: ink("bad"), parked: ink("bad"), disabled: ink("edge") };
  for (const one of time.states) bar(one, stateTop, one.state === "online" ? STATE_PX / 2 : STATE_PX, colours[one.state] ?? ink("edge"));

  for (const alarm of time.alarms) {
    const at = x(alarm.atMs);
    if (at < -8 || at > widthPx + 8) continue;
    pen.fillStyle = ink(alarm.severity === 1 ? "s1" : alarm.severity === 2 ? "s2" : "s3");
    pen.beginPath();
    pen.moveTo(at, motionTop + 1);
    pen.lineTo(at + 7, motionTop + 9);
    pen.lineTo(at, motionTop + 17);
    pen.lineTo(at - 7, motionTop + 9);
    pen.fill();
    pen.fillRect(at - 0.5, recordTop, 1, stateTop + STATE_PX - recordTop);
  }
  if (marks.fromMs !== null && marks.toMs !== null && marks.toMs > marks.fromMs) {
    pen.globalAlpha = 0.28;
    bar({ fromMs: marks.fromMs, toMs: marks.toMs }, HEAD_PX - 4, HEIGHT_PX, ink("text"));
    pen.globalAlpha = 1;
  }
  for (const edge of [marks.fromMs, marks.toMs]) {
    if (edge === null) continue;
    pen.fillStyle = ink("text");
    pen.fillRect(x(edge) - 1, HEAD_PX - 4, 2, HEIGHT_PX);
  }
  if (!atMs) return;
  pen.fillStyle = ink("text");
  pen.fillRect(x(atMs) - 1, 0, 2, HEIGHT_PX);
  pen.beginPath();
  pen.moveTo(x(atMs) - 6, 0);
  pen.lineTo(x(atMs) + 6, 0);
  pen.lineTo(x(atMs), 9);
  pen.fill();
}

/** The greatest of the columns that fall on a pixel, so that no motion is lost. */
function motion(pen: CanvasRenderingContext2D, time: CameraTime, x: (ms: number) => number, top: number, widthPx: number, fill: string): void {
  pen.fillStyle = fill;
  const most = new Float64Array(Math.ceil(widthPx) + 1);
  for (let i = 0; i < time.motion.length; i += 1) {
    const value = time.motion[i] as number;
    if (!(value > 0)) continue;
    const from = Math.max(0, Math.floor(x(time.fromMs + i * time.bucketMs)));
    const to = Math.min(most.length - 1, Math.max(from, Math.ceil(x(time.fromMs + (i + 1) * time.bucketMs)) - 1));
    for (let at = from; at <= to; at += 1) if (value > (most[at] as number)) most[at] = value;
  }
  for (let at = 0; at < most.length; at += 1) {
    const value = most[at] as number;
    if (!value) continue;
    const h = Math.max(3, Math.sqrt(value) * MOTION_PX);
    pen.fillRect(at, top + MOTION_PX - h, 1, h);
  }
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
