// The queue of this phone: shown as signals, kept by `store`, sent while there is a network.

import { signal } from "@preact/signals";
import { newKey, post, upload } from "../api/client";
import { session } from "../state/session";
import { afterError, comesBack, nextOf, pauseMs } from "./sending";
import * as store from "./store";
import type { Entry } from "./store";

export const entries = signal<readonly Entry[]>([]);
export const online = signal(navigator.onLine);
export const storeError = signal<unknown>(null);
/** Told the device of a registration that was just answered. */
export const registered = signal<{ entry: number; device: string } | null>(null);

let pumping = false;
let timer = 0;
let tries = 0;

async function refresh(): Promise<void> {
  const user = session.peek()?.user ?? "";
  entries.value = (await store.all()).filter((entry) => entry.user === user);
}

export async function start(): Promise<void> {
  try {
    await store.tidy(Date.now());
    await refresh();
    void navigator.storage?.persist?.();
  } catch (error) {
    storeError.value = error;
  }
  void pump();
}

type NewEntry = Pick<Entry, "kind" | "title" | "body" | "device"> & { after?: number; bytes?: ArrayBuffer | null };

export async function put(given: NewEntry): Promise<number> {
  const id = await store.add({
    user: session.peek()?.user ?? "",
    state: "waiting",
    made_ms: Date.now(),
    key: newKey(),
    problem: null,
    done_ms: 0,
    after: 0,
    bytes: null,
    ...given,
  });
  await refresh();
  void pump();
  return id;
}

/** Another body is another change: it gets a key of its own. */
export async function mend(entry: Entry, body: Record<string, unknown>, title: string): Promise<void> {
  await store.put({ ...entry, body, title, key: newKey(), state: "waiting", problem: null });
  await refresh();
  void pump();
}

export async function again(entry: Entry): Promise<void> {
  await store.put({ ...entry, state: "waiting", problem: null });
  await refresh();
  void pump();
}

/** Put an entry away, with what hangs on it. */
export async function discard(entry: Entry): Promise<void> {
  for (const one of entries.peek()) if (one.after === entry.id) await store.remove(one.id);
  await store.remove(entry.id);
  await refresh();
}

async function send(entry: Entry): Promise<Entry> {
  const done: Entry = { ...entry, state: "done", done_ms: Date.now(), bytes: null, problem: null };
  if (entry.kind === "register") {
    const answer = await post<{ device: string }>("/registrations", entry.body, { key: entry.key });
    registered.value = { entry: entry.id, device: answer.device };
    return { ...done, device: answer.device };
  }
  const device = entry.after ? (entries.peek().find((one) => one.id === entry.after)?.device ?? "") : entry.device;
  const where = `/devices/${device.split("/").map(encodeURIComponent).join("/")}/photo`;
  await upload(where, entry.bytes ?? new ArrayBuffer(0), { key: entry.key, type: "application/octet-stream" });
  return { ...done, device };
}

/** Send what waits, one after the other; what cannot be reached now is tried again later. */
export async function pump(): Promise<void> {
  if (pumping) return;
  pumping = true;
  window.clearTimeout(timer);
  try {
    for (;;) {
      const user = session.peek()?.user ?? "";
      const entry = user ? nextOf(entries.peek(), user) : null;
      if (!entry) break;
      await store.put({ ...entry, state: "sending" });
      await refresh();
      try {
        await store.put(await send(entry));
        tries = 0;
        online.value = true;
      } catch (error) {
        await store.put(afterError(entry, error));
        if (comesBack(error)) {
          tries += 1;
          online.value = navigator.onLine && tries < 2;
          timer = window.setTimeout(() => void pump(), pauseMs(tries));
          break;
        }
      } finally {
        await refresh();
      }
    }
  } catch (error) {
    storeError.value = error;
  } finally {
    pumping = false;
  }
}

addEventListener("online", () => {
  online.value = true;
  tries = 0;
  void pump();
});
addEventListener("offline", () => (online.value = false));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void pump();
});
