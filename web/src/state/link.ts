// The one stream of events of this browser tab, and what the banner says of it.

import { computed, effect, signal } from "@preact/signals";
import { address, post } from "../api/client";
import { Stream, type LinkState } from "../api/stream";
import { tookCounts } from "./approvals";
import { forgetAll, loadAlarms, loaded, takeEvent } from "./alarms";
import { clearFleet, takeClusters, takePositions } from "./fleet";
import { askSession, is, session } from "./session";
import { heardServer, nowMs, tick } from "./time";

export const link = signal<{ state: LinkState; tries: number }>({ state: "stopped", tries: 0 });
/** When anything last came, by the service's clock; 0 nothing yet. */
export const heardMs = signal(0);
/** When an alarm event last came. */
export const lastAlarmMs = signal(0);
/** Longer than this with nothing: what is shown is old. */
export const STALE_MS = 12_000;

export const linkAgeMs = computed(() => (heardMs.value ? Math.max(0, tick.value - heardMs.value) : 0));
export const linkBad = computed(() => link.value.state !== "open" && heardMs.value > 0 && linkAgeMs.value > 1500);

interface View {
  bbox: [number, number, number, number];
  zoom: number;
  kinds: string[];
  follow: string[];
}
let view: View | null = null;

const stream = new Stream(
  (query) => new EventSource(address("/events", query), { withCredentials: true }),
  {
    now: () => performance.now(),
    after: (ms, then) => window.setTimeout(then, ms),
    cancel: (timer) => window.clearTimeout(timer),
  },
  {
    hello(hello, first) {
      heard(hello.server_ms);
      // The list is read after the stream is open, so that nothing falls between the two.
      if (first || !loaded.peek()) void loadAlarms();
      clearFleet();
      void sendView();
    },
    alarm(_number, event) {
      heard();
      lastAlarmMs.value = nowMs();
      takeEvent(event);
    },
    positions(positions) {
      heard(positions.at_ms);
      takePositions(positions);
    },
    clusters(clusters) {
      heard(clusters.at_ms);
      takeClusters(clusters);
    },
    beat(serverMs, approvals) {
      heard(serverMs);
      tookCounts(approvals);
    },
    state(state, tries) {
      link.value = { state, tries };
      // An EventSource does not tell why it was refused: after the second time the session is asked.
      if (state === "waiting" && tries === 2) void askSession();
    },
  },
);

let heardAt = 0;
function heard(serverMs?: number): void {
  if (serverMs) heardServer(serverMs);
  const now = nowMs();
  if (now - heardAt < 250) return;
  heardAt = now;
  heardMs.value = now;
}

/** What the map shows: the service sends the places within it. null: none. */
export function watchView(wanted: View | null): void {
  view = wanted;
  if (!wanted) clearFleet();
  void sendView();
}

async function sendView(): Promise<void> {
  if (!stream.id || !view) return;
  try {
    await post(`/events/${encodeURIComponent(stream.id)}/viewport`, view, { verb: "PUT" });
  } catch {
    // the stream has just ended: its successor is told at its hello
  }
}

export function retryNow(): void {
  if (link.peek().state === "waiting") stream.start(stream.last);
}

let streaming = "";
effect(() => {
  const user = session.value && is("operator", "supervisor", "officer", "approver") ? session.value.user : "";
  if (user === streaming) return;
  streaming = user;
  if (user) {
    stream.start();
  } else {
    stream.stop();
    forgetAll();
    clearFleet();
    tookCounts(undefined);
    heardMs.value = 0;
  }
});
addEventListener("online", retryNow);
