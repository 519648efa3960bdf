// Addresses of pages. The service answers every path without an extension with the one page, so a page can be linked to.

import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const read = (): Place => ({ path: location.pathname.replace(/\/+$/, "") || "/", query: new URLSearchParams(location.search) });

export const place = signal<Place>(read());
addEventListener("popstate", () => {
  place.value = read();
});

export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  place.value = read();
}

/** A click on a link of ours stays on the page. */
export function onLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = (event.target as Element | null)?.closest("a");
  if (!anchor || anchor.origin !== location.origin || anchor.target || anchor.hasAttribute("download")) return;
  if (anchor.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

/** `/desk/:alarm` against `/desk/42`: its values, or null. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== given.length && !pattern.endsWith("*")) return null;
  const found: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    if (part === "*") {
      found["rest"] = given.slice(i).map(decodeURIComponent).join("/");
      return found;
    }
    const value = given[i];
    if (value === undefined) return null;
    if (part.startsWith(":")) found[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return null;
  }
  return found;
}
