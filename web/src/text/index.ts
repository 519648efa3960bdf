// Every text of the pages, in both languages: a key that lacks one of them, or that is not in the table, does not compile.

import { signal } from "@preact/signals";
import { CAMERAS } from "./cameras";
import { CODES } from "./codes";
import { DESK } from "./desk";
import { MAP } from "./map";
import { OVERSIGHT } from "./oversight";
import { PANELS } from "./panels";
import { REPLAY } from "./replay";
import { SEARCH } from "./search";
import { SHELL } from "./shell";
import { TECHNICIAN } from "./technician";

/** Chinese, English. */
export type Text = readonly [zh: string, en: string];
export type Language = "zh" | "en";

export const TEXTS = { ...SHELL, ...CAMERAS, ...DESK, ...MAP, ...PANELS, ...REPLAY, ...SEARCH, ...OVERSIGHT, ...TECHNICIAN, ...CODES } as const satisfies Record<string, Text>;
export type Key = keyof typeof TEXTS;

export const language = signal<Language>("zh");

/** The text of a key; `{name}` is filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text: string = TEXTS[key][language.value === "zh" ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function isKey(key: string): key is Key {
  return Object.hasOwn(TEXTS, key);
}

/** The word of a code that the service sent, e.g. `word("kind", "sos")`; the code itself where the table is older than it. */
export function word(group: string, code: string): string {
  const key = `${group}.${code}`;
  return isKey(key) ? t(key) : code;
}
