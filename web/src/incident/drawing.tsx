// The sketch of the place, as a drawing that prints: roads by class, the alarm in the middle, cameras by number, units by letter.

import { t } from "../text";
import { inside, pathOf, scaleBar, type Point, type Road } from "./sketch";

const SIDE = 400;
const WIDTHS: Record<string, number> = { street: 2, avenue: 4, ring: 6 };
const STREET = 2;

export interface Placed {
  mark: string;
  at: Point;
}

export function Sketch(props: { roads: readonly Road[]; half: number; cameras: readonly Placed[]; units: readonly Placed[] }) {
  const { half } = props;
  const scale = SIDE / 2 / half;
  const px = ([x, y]: Point): Point => [x * scale, y * scale];
  const bar = scaleBar(half);
  const r = SIDE / 2;
  const rings = props.roads.length ? [] : [half / 3, (2 * half) / 3, half];
  // The wide ones first, so that a street is not lost under the avenue that it meets.
  const roads = [...props.roads].sort((a, b) => (WIDTHS[b.class] ?? STREET) - (WIDTHS[a.class] ?? STREET));
  return (
    <svg class="sketch" viewBox={`${-r} ${-r} ${SIDE} ${SIDE}`} role="img" aria-label={t("incident.sketch")}>
      <rect class="ground" x={-r} y={-r} width={SIDE} height={SIDE} />
      {rings.map((m) => (
        <circle key={m} class="ring" cx={0} cy={0} r={m * scale} />
      ))}
      {roads.map((road, i) => (
        <path key={`case-${i}`} class="road-case" d={pathOf(road.points.map(px))} stroke-width={(WIDTHS[road.class] ?? STREET) + 1.5} />
      ))}
      {roads.map((road, i) => (
        <path key={i} class={`road ${road.class}`} d={pathOf(road.points.map(px))} stroke-width={WIDTHS[road.class] ?? STREET} />
      ))}
      {props.cameras.filter((one) => inside(one.at, half)).map((one) => {
        const [x, y] = px(one.at);
        return (
          <g key={one.mark} class="camera" transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}>
            <rect x={-8} y={-8} width={16} height={16} />
            <text y={4}>{one.mark}</text>
          </g>
        );
      })}
      {props.units.filter((one) => inside(one.at, half)).map((one) => {
        const [x, y] = px(one.at);
        return (
          <g key={one.mark} class="unit" transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}>
            <circle r={9} />
            <text y={4}>{one.mark}</text>
          </g>
        );
      })}
      <g class="alarm">
        <path d="M0-15 14 10H-14z" />
        <text y={7}>!</text>
      </g>
      <g class="scale" transform={`translate(${-r + 12} ${r - 14})`}>
        <path d={`M0-4V0H${(bar * scale).toFixed(1)}V-4`} />
        <text x={(bar * scale) / 2} y={-6}>
          {bar < 1000 ? t("alarm.distance", { n: bar }) : t("alarm.km", { n: bar / 1000 })}
        </text>
      </g>
      <g class="north" transform={`translate(${r - 20} ${-r + 26})`}>
        <path d="M0-14 6 8 0 4-6 8z" />
        <text y={20}>N</text>
      </g>
      <rect class="edge" x={-r + 0.5} y={-r + 0.5} width={SIDE - 1} height={SIDE - 1} />
    </svg>
  );
}
