// The keyboard: pages put their keys into one table, which answers presses and fills the help.

import { signal } from "@preact/signals";
import type { Key } from "../text";

export interface Binding {
  /** `KeyboardEvent.key`, or several. `Ctrl+` in front where it is held. */
  keys: readonly string[];
  /** What the help says; left out: not in the help. */
  says?: Key;
  run: (event: KeyboardEvent) => void;
  /** Works while somebody writes into a field as well. */
  inFields?: boolean;
}

export interface Table {
  title: Key;
  bindings: readonly Binding[];
}

export const tables = signal<readonly Table[]>([]);

/** How many dialogs are open: the page's keys rest meanwhile. */
export const dialogs = signal(0);

/**
 * Put a page's keys into the table until the answer is called.
 *
 * In a layout effect, not in one after the painting: a key that follows at once is meant for what is seen. A map's keys come with the map.
 */
export function use(table: Table): () => void {
  tables.value = [table, ...tables.peek()];
  return () => {
    tables.value = tables.peek().filter((one) => one !== table);
  };
}

function inField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "range"].includes(target.type);
}

addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || event.metaKey || event.defaultPrevented) return;
  const name = (event.ctrlKey ? "Ctrl+" : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  const field = inField(event.target);
  // A dialog closes itself with Esc; its cancel comes only when the press is left alone.
  if (dialogs.peek() && name === "Escape") return;
  // A button or a link answers Enter and the space bar itself.
  if ((event.key === " " || event.key === "Enter") && event.target instanceof Element && event.target.closest("button, a, summary")) return;
  for (const table of tables.peek()) {
    for (const binding of table.bindings) {
      if (!binding.keys.includes(name)) continue;
      if ((field || dialogs.peek()) && !binding.inFields) continue;
      event.preventDefault();
      binding.run(event);
      return;
    }
  }
});
