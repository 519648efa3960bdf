// Alarms as words.

import type { Alarm } from "../api/types";
import { isKey, t, word } from "../text";

export function distance(m: number): string {
  return m < 1000 ? t("alarm.distance", { n: Math.round(m) }) : t("alarm.km", { n: (m / 1000).toFixed(m < 10_000 ? 1 : 0) });
}

/** Who did a step of an alarm; what nobody did the service did. */
export function byWhom(by: string): string {
  return by === "system" ? t("ebike.bySystem") : by;
}

const SAID = ["to", "unit", "outcome", "reason", "note", "why"] as const;

/** What a step of an alarm's history says besides: of people in their words, of the service in the reader's. */
export function stepSaid(step: { by: string; detail: Record<string, unknown> }): string {
  const said = (key: (typeof SAID)[number], text: string): string => {
    if (key === "outcome") return word("outcome", text);
    if (step.by !== "system" || (key !== "reason" && key !== "why")) return text;
    const code = `because.${text.replaceAll(" ", "_")}`;
    return isKey(code) ? t(code) : text;
  };
  return SAID.map((key): string => {
    const text = step.detail[key];
    return typeof text === "string" && text !== "" ? said(key, text) : "";
  })
    .filter(Boolean)
    .join(" · ");
}

/** Everything by which an alarm is found in the queue, in the language of the pages and by its codes. */
export function searched(alarm: Alarm): string {
  return [
    alarm.alarm,
    alarm.kind,
    word("kind", alarm.kind),
    alarm.device,
    alarm.jurisdiction,
    alarm.site,
    alarm.owner,
    alarm.unit,
    t(`work.${alarm.work}`),
  ].join(" ");
}
