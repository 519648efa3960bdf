// The marks of the pages: severities by shape, letter and colour; icons as plain paths, drawn here.

import type { Severity } from "../api/types";
import { t, type Key } from "../text";

const SHAPES: Record<Severity, string> = {
  1: "M12 1.500 23.500 21.500H.5z",
  2: "M12 .5 23.500 12 12 23.500 .5 12z",
  3: "M12 1a11 11 0 1 1 0 22 11 11 0 0 1 0-22z",
};

export function SeverityMark(props: { severity: Severity; small?: boolean }) {
  const severity = props.severity;
  return (
    <svg
      class={`severity s${severity}${props.small ? " small" : ""}`}
      viewBox="0 0 24 24"
      role="img"
      aria-label={t(`severity.${severity}`)}
    >
      <path d={SHAPES[severity]} />
      <text x="12" y={severity === 1 ? 18.5 : 16.2} text-anchor="middle">
        {t(`letter.${severity}`)}
      </text>
    </svg>
  );
}

const ICONS = {
  desk: "M12 3a6 6 0 0 0-6 6v4l-2 3v1h16v-1l-2-3V9a6 6 0 0 0-6-6zm-2 16a2 2 0 0 0 4 0",
  map: "M9 4 3 6v14l6-2 6 2 6-2V4l-6 2zm0 0v14m6-12v14",
  replay: "M4 12a8 8 0 1 0 2.500-5.800M4 4v4.500h4.500M12 8v4.500l3 2",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zm4.800 11.300L20.500 20.500",
  bike: "M6 19a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zm12 0a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM6 15.500 9 9h6l3 6.500m-7.500 0L15 9V5h3M7.500 9H11",
  taxi: "M5 16v-4l2-5h10l2 5v4zm0-4h14M9.500 7V4.500h5V7M7 16v2.500m10-2.500v2.500",
  report: "M6 3h9l4 4v14H6zm9 0v4h4M9 12h7M9 16h7",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm-7.500 8a7.500 7.500 0 0 1 15 0",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.500 1.500m11 11L19 19M19 5l-1.500 1.500m-11 11L5 19",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500v.5",
  command: "M5 8l4 4-4 4m7 0h7",
  sound: "M4 10v4h4l5 4V6L8 10zm12-1.500a5 5 0 0 1 0 7M18.500 6a8.500 8.500 0 0 1 0 12",
  mute: "M4 10v4h4l5 4V6L8 10zm13 0 4 4m0-4-4 4",
  wall: "M3 4h8v7H3zm10 0h8v7h-8zM3 13h8v7H3zm10 0h8v7h-8z",
  camera: "M3 7h12v10H3zm12 4 6-3v8l-6-3z",
  play: "M7 4.500v15l12-7.500z",
  shift: "M4 19V5m0 14h16M8 15v-4m4 4V8m4 7v-6",
  audit: "M7 3h10v18H7zM10 8h4m-4 4h4m-4 4h2",
  system: "M4 5h16v6H4zm0 8h16v6H4zM7.500 8h.01M7.500 16h.01",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zm-6 9a6 6 0 0 1 12 0M16 4.500a3.500 3.500 0 0 1 0 6.500m2 3.500a6 6 0 0 1 3 5.500",
  approve: "M12 3 20 6v6c0 4.500-3.200 7.500-8 9-4.800-1.500-8-4.500-8-9V6zm-3.500 9 2.500 2.500 4.500-5",
  phone: "M8 2.500h8v19H8zm3.500 16h1",
  plus: "M12 5v14M5 12h14",
  pause: "M7 5h3.500v14H7zm6.500 0H17v14h-3.500z",
} as const;
export type IconName = keyof typeof ICONS;

export function Icon(props: { name: IconName; label?: Key; fill?: boolean }) {
  return (
    <svg class={props.fill ? "glyph fill" : "glyph"} viewBox="0 0 24 24" {...(props.label ? { role: "img", "aria-label": t(props.label) } : { "aria-hidden": true })}>
      <path d={ICONS[props.name]} />
    </svg>
  );
}
