// Plots as SVG, drawn here: bars, lines, and lines of reference. Colours are classes, so they follow the theme; what a plot tells
// stands in a table beside it, and every bar says its own in a title.

import { labelled, pieces, short, ticks } from "./scale";

const WIDTH = 640;
const LEFT = 44;
const RIGHT = 12;
const TOP = 24;
const BOTTOM = 24;
const LABELS = 9;
/** Labels of reference lines that would stand on each other are left out; their lines are drawn. */
const APART = 12;
/** A reference line that is far above everything drawn would press it flat. */
const REACH = 1.6;

export interface Bar {
  label: string;
  value: number | null;
  /** What it says when it is pointed at. */
  says: string;
  tone?: "good" | "warn" | "bad" | "plain";
}

export interface Reference {
  at: number;
  says: string;
}

interface Frame {
  height: number;
  marks: number[];
  y: (value: number) => number;
}

function frameOf(most: number, height: number): Frame {
  const marks = ticks(most);
  const top = marks.at(-1) ?? 1;
  return { height, marks, y: (value) => TOP + (height - TOP - BOTTOM) * (1 - Math.min(value, top) / top) };
}

function Axes(props: { frame: Frame; labels: readonly string[]; x: (i: number) => number; unit: string; room?: number | undefined }) {
  const { frame, labels, x } = props;
  return (
    <>
      {frame.marks.map((mark) => (
        <g key={mark}>
          <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={frame.y(mark)} y2={frame.y(mark)} />
          <text x={LEFT - 6} y={frame.y(mark) + 4} text-anchor="end">
            {short(mark)}
          </text>
        </g>
      ))}
      <text class="unit" x={4} y={10}>
        {props.unit}
      </text>
      {labelled(labels.length, props.room ?? LABELS).map((i) => (
        <text key={i} x={x(i)} y={frame.height - 7} text-anchor="middle">
          {labels[i]}
        </text>
      ))}
    </>
  );
}

function References(props: { frame: Frame; lines: readonly Reference[] }) {
  const { frame } = props;
  const top = frame.marks.at(-1) ?? 1;
  let last = Infinity;
  return (
    <>
      {props.lines
        .filter((one) => one.at <= top)
        .map((one) => {
          const y = frame.y(one.at);
          const room = last - y >= APART;
          if (room) last = y;
          return (
            <g key={one.at} class="reference">
              <line x1={LEFT} x2={WIDTH - RIGHT} y1={y} y2={y} />
              {room && (
                <text x={WIDTH - RIGHT - 2} y={y - 3} text-anchor="end">
                  {one.says}
                </text>
              )}
            </g>
          );
        })}
    </>
  );
}

/** The greatest that has to be drawn: of the values, and of reference lines within reach of them. */
function mostOf(values: readonly (number | null)[], lines: readonly Reference[]): number {
  const most = values.reduce<number>((a, b) => Math.max(a, b ?? 0), 0);
  const near = lines.map((one) => one.at).filter((at) => at <= Math.max(most * REACH, Math.min(...lines.map((one) => one.at))));
  return Math.max(most, ...near, 0);
}

export function Bars(props: { title: string; unit: string; bars: readonly Bar[]; references?: readonly Reference[]; height?: number; room?: number }) {
  const { bars, references = [], height = 190 } = props;
  const frame = frameOf(mostOf(bars.map((bar) => bar.value), references), height);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, bars.length);
  const x = (i: number): number => LEFT + step * (i + 0.5);
  const width = Math.max(1, Math.min(step * 0.72, 46));
  return (
    <svg class="plot" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={props.title}>
      <Axes frame={frame} labels={bars.map((bar) => bar.label)} x={x} unit={props.unit} room={props.room} />
      {bars.map((bar, i) =>
        bar.value === null ? null : (
          <rect key={i} class={`bar ${bar.tone ?? "plain"}`} x={x(i) - width / 2} width={width} y={frame.y(bar.value)} height={Math.max(0, frame.y(0) - frame.y(bar.value))}>
            <title>{bar.says}</title>
          </rect>
        ),
      )}
      <References frame={frame} lines={references} />
    </svg>
  );
}

export interface Series {
  name: string;
  values: readonly (number | null)[];
  /** First, second, third: by colour and by the dashes of its line. */
  nth: 1 | 2 | 3;
}

export function Lines(props: { title: string; unit: string; labels: readonly string[]; series: readonly Series[]; references?: readonly Reference[]; height?: number }) {
  const { labels, series, references = [], height = 190 } = props;
  const frame = frameOf(mostOf(series.flatMap((one) => one.values), references), height);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, labels.length);
  const x = (i: number): number => LEFT + step * (i + 0.5);
  return (
    <figure class="plot-figure">
      <svg class="plot" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={props.title}>
        <Axes frame={frame} labels={labels} x={x} unit={props.unit} />
        <References frame={frame} lines={references} />
        {series.map((one) => (
          <g key={one.name} class={`series n${one.nth}`}>
            {pieces(one.values, x, frame.y).map((points) =>
              points.includes(" ") ? <polyline key={points} points={points} /> : <circle key={points} cx={points.split(",")[0]} cy={points.split(",")[1]} r="3" />,
            )}
          </g>
        ))}
      </svg>
      {series.length > 1 && (
        <figcaption>
          {series.map((one) => (
            <span key={one.name} class={`key n${one.nth}`}>
              <svg viewBox="0 0 24 8" aria-hidden="true">
                <line x1="0" x2="24" y1="4" y2="4" />
              </svg>
              {one.name}
            </span>
          ))}
        </figcaption>
      )}
    </figure>
  );
}
