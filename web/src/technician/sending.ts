// Which entry is sent next, and what becomes of it: pure, under test. The page runs it.

import { Problem, UNREACHABLE } from "../api/problem";
import type { Entry } from "./store";

/** The oldest of this person's entries that may be sent: it waits, and what it hangs on is done. */
export function nextOf(entries: readonly Entry[], user: string): Entry | null {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  for (const entry of [...entries].sort((one, two) => one.id - two.id)) {
    if (entry.user !== user || entry.state !== "waiting") continue;
    if (entry.after && byId.get(entry.after)?.state !== "done") continue;
    return entry;
  }
  return null;
}

/** Why an entry that waits is not sent: what it hangs on has to be mended first. */
export function heldBy(entry: Entry, entries: readonly Entry[]): Entry | null {
  const first = entry.after ? entries.find((one) => one.id === entry.after) : undefined;
  return first && first.state !== "done" ? first : null;
}

/** Whether the same may simply be sent again: no network, a busy service, the same change still under way, a session that ended. */
export function comesBack(error: unknown): boolean {
  if (!(error instanceof Problem)) return false;
  return error.code === UNREACHABLE || error.status === 503 || error.status === 401 || error.status === 429 || error.code === "under_way";
}

/** The entry after an error: waiting again, or failed with what to mend. */
export function afterError(entry: Entry, error: unknown): Entry {
  if (comesBack(error)) return { ...entry, state: "waiting" };
  const known = error instanceof Problem ? error : new Problem({ status: 0, code: "error", title: String(error) });
  const { code, title, detail, mend, status } = known;
  return { ...entry, state: "failed", problem: { code, title, detail, mend, status } };
}

/** How long to wait before the next try, ms. */
export function pauseMs(tries: number): number {
  return Math.min(2_000 * 2 ** Math.min(tries, 5), 60_000);
}
