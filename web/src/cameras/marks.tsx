// How a camera is, by shape, colour and word.

import { t } from "../text";
import { STATES, type CameraState, type StateCounts } from "./types";

const SHAPES: Record<CameraState, string> = {
  online: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
  degraded: "M8 1.500 15 14H1z",
  stalled: "M8 2a6 6 0 0 1 0 12z M8 2a6 6 0 0 0 0 12",
  offline: "M3 3h10v10H3z",
  parked: "M3 2h3.600v12H3z M9.400 2H13v12H9.400z",
  disabled: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
  unknown: "M8 1.500 14.500 8 8 14.500 1.500 8z",
};

export function stateOf(state: string): CameraState {
  return (STATES as readonly string[]).includes(state) ? (state as CameraState) : "unknown";
}

export function StateMark(props: { state: string; word?: boolean }) {
  const state = stateOf(props.state);
  return (
    <span class={`cam-state ${state}`}>
      <svg viewBox="0 0 16 16" {...(props.word ? { "aria-hidden": true } : { role: "img", "aria-label": t(`camState.${state}`) })}>
        <path d={SHAPES[state]} />
      </svg>
      {props.word && <span>{t(`camState.${state}`)}</span>}
    </span>
  );
}

/** Those that are not well, each with its mark; with `online` also those that are; and how many there are in all. */
export function Counts(props: { states: StateCounts; total?: number; online?: boolean }) {
  const shown = STATES.filter((state) => (props.online ? state !== "unknown" : state !== "online" && state !== "unknown" && state !== "disabled"));
  return (
    <span class="cam-counts">
      {shown.map((state) => {
        const n = props.states[state];
        return n ? (
          <span key={state} title={t(`camState.${state}`)}>
            <StateMark state={state} />
            {n}
          </span>
        ) : null;
      })}
      {props.total !== undefined && <b>{props.total}</b>}
    </span>
  );
}
