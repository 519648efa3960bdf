// The alarms as they stand, kept by the list once and the events from then on. Events are gathered and put in a few times a
// second, so that ten thousand in a minute cost as little as ten.

import { computed, signal } from "@preact/signals";
import { list, post } from "../api/client";
import type { Alarm, AlarmEvent } from "../api/types";
import { compare, isListed, merged } from "../desk/queue";
import { tick } from "./time";

const FLUSH_MS = 200;
const SHOWN_MS = 250;
const SHOWN_AT_ONCE = 500;
/** As many as the service gives at once. */
const PAGE = 10_000;
/** Alarms that ended are kept so long, for whoever looks at one. */
const KEPT_CLOSED = 500;

const all = new Map<string, Alarm>();
const changed = new Set<string>();
const closed: string[] = [];
let timer = 0;

/** Open alarms, the most urgent first. */
export const queue = signal<readonly Alarm[]>([]);
/** Grows whenever an alarm changed; what shows one alarm reads it. */
export const revision = signal(0);
export const loaded = signal(false);
export const loadError = signal<unknown>(null);
/** Called with alarms that are new to this browser and that nobody took, and with second presses. */
const rung = new Set<(alarm: Alarm) => void>();

/** A press that was announced as a test and may still be owned up to: shown, marked, and quiet until then. */
export function isTest(alarm: Alarm, atMs: number): boolean {
  return alarm.work === "new" && !!alarm.test_until && atMs < Date.parse(alarm.test_until);
}

export const unacknowledged = computed(() => {
  const fresh = queue.value.filter((alarm) => alarm.work === "new");
  // The clock is read only while there is such a press: when its time is over it rings like any other.
  return fresh.some((alarm) => alarm.test_until) ? fresh.filter((alarm) => !isTest(alarm, tick.value)) : fresh;
});

export function onRing(listener: (alarm: Alarm) => void): () => void {
  rung.add(listener);
  return () => rung.delete(listener);
}

export function alarmById(id: string): Alarm | undefined {
  return all.get(id);
}

export function putAlarm(alarm: Alarm): boolean {
  const known = all.get(alarm.alarm);
  if (known && known.version > alarm.version) return false;
  all.set(alarm.alarm, alarm);
  changed.add(alarm.alarm);
  if (alarm.work === "closed" && known?.work !== "closed") {
    closed.push(alarm.alarm);
    while (closed.length > KEPT_CLOSED) {
      const old = closed.shift();
      if (old && all.get(old)?.work === "closed") all.delete(old);
    }
  }
  if (!timer) timer = window.setTimeout(flush, FLUSH_MS);
  return true;
}

export function takeEvent(event: AlarmEvent): void {
  const known = all.get(event.alarm.alarm);
  if (!putAlarm(event.alarm)) return;
  const again = event.action === "signal" && (!known || known.signals < event.alarm.signals);
  if (again && event.alarm.work === "new" && isListed(event.alarm)) for (const listener of rung) listener(event.alarm);
}

function flush(): void {
  window.clearTimeout(timer);
  timer = 0;
  if (!changed.size) return;
  queue.value = merged(queue.peek(), all, changed);
  changed.clear();
  revision.value += 1;
}

/** Read the list; the events that came meanwhile win, for they carry later versions. */
/** Alarms that are put away for a while: asked for when they are looked at. */
export const shelved = computed(() => {
  void revision.value;
  return [...all.values()].filter((alarm) => alarm.side !== "" && alarm.work !== "closed").sort(compare);
});

export async function loadShelved(): Promise<void> {
  for (const alarm of await list<Alarm>("/alarms", { all: true, limit: 1000 })) if (alarm.side && alarm.work !== "closed") putAlarm(alarm);
  flush();
}

export async function loadAlarms(): Promise<void> {
  loadError.value = null;
  const before = new Set(queue.peek().map((alarm) => alarm.alarm));
  try {
    for (const alarm of await list<Alarm>("/alarms", { limit: PAGE, folded: false })) {
      putAlarm(alarm);
      before.delete(alarm.alarm);
    }
    // What was open here and is in no list any more ended while nobody listened.
    if (loaded.peek()) for (const id of before) if (!changed.has(id)) forget(id);
    flush();
    loaded.value = true;
  } catch (error) {
    loadError.value = error;
    flush();
  }
}

function forget(id: string): void {
  const alarm = all.get(id);
  if (alarm) all.delete(id);
  changed.add(id);
}

export function forgetAll(): void {
  all.clear();
  changed.clear();
  closed.length = 0;
  told.clear();
  waiting.clear();
  queue.value = [];
  loaded.value = false;
}

// -- what stands on the screen ------------------------------------------------------------------

const told = new Set<string>();
const waiting = new Set<string>();
let shownTimer = 0;

/** These alarms are on the screen: their clock of showing stops, once each lap. */
export function sayShown(alarms: readonly Alarm[]): void {
  for (const alarm of alarms) {
    const key = `${alarm.alarm}:${alarm.lap}`;
    if (alarm.shown || told.has(key)) continue;
    told.add(key);
    waiting.add(alarm.alarm);
  }
  if (waiting.size && !shownTimer) shownTimer = window.setTimeout(() => void tellShown(), SHOWN_MS);
}

async function tellShown(): Promise<void> {
  shownTimer = 0;
  const ids = [...waiting].slice(0, SHOWN_AT_ONCE);
  for (const id of ids) waiting.delete(id);
  try {
    await post("/alarms/shown", { alarms: ids });
  } catch {
    for (const id of ids) for (const key of [...told]) if (key.startsWith(`${id}:`)) told.delete(key);
  }
  if (waiting.size && !shownTimer) shownTimer = window.setTimeout(() => void tellShown(), SHOWN_MS);
}
