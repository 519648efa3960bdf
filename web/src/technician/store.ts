// What waits on this phone: kept in IndexedDB, so that it outlives the page, the browser and a flat battery. No answers of the
// service are kept here but the lists of sites and cameras to choose from, and what came of each entry.

import type { ProblemBody } from "../api/problem";

export type EntryKind = "register" | "photo";
export type EntryState = "waiting" | "sending" | "failed" | "done";

export interface Entry {
  id: number;
  /** Whose it is: nobody else's session sends it. */
  user: string;
  kind: EntryKind;
  state: EntryState;
  made_ms: number;
  /** The same change is done once, however often it is sent. */
  key: string;
  /** What people know it by. */
  title: string;
  /** An entry that must be done first, and whose device this is about; 0 none. */
  after: number;
  device: string;
  body: Record<string, unknown>;
  bytes: ArrayBuffer | null;
  problem: ProblemBody | null;
  done_ms: number;
}

const NAME = "lucheng-technician";
const VERSION = 1;
const KEPT_DONE_MS = 24 * 3_600_000;

let opened: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, VERSION);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("entries", { keyPath: "id", autoIncrement: true });
      asked.result.createObjectStore("lists");
    };
    asked.onsuccess = () => {
      // Another page of ours with a newer build wants to change it.
      asked.result.onversionchange = () => asked.result.close();
      resolve(asked.result);
    };
    asked.onerror = () => {
      opened = null;
      reject(asked.error ?? new Error("IndexedDB"));
    };
  });
  return opened;
}

async function run<T>(store: string, mode: IDBTransactionMode, work: (at: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode, { durability: "strict" });
    const asked = work(transaction.objectStore(store));
    // Kept is what the transaction ended with, not what was asked of it.
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? asked.error ?? new Error("IndexedDB"));
  });
}

export async function all(): Promise<Entry[]> {
  return run("entries", "readonly", (at) => at.getAll() as IDBRequest<Entry[]>);
}

export async function add(entry: Omit<Entry, "id">): Promise<number> {
  return Number(await run("entries", "readwrite", (at) => at.add(entry)));
}

export async function put(entry: Entry): Promise<void> {
  await run("entries", "readwrite", (at) => at.put(entry));
}

export async function remove(id: number): Promise<void> {
  await run("entries", "readwrite", (at) => at.delete(id));
}

/** Forget what was done a day ago, and whose page died while it was sent waits again. */
export async function tidy(nowMs: number): Promise<void> {
  for (const entry of await all()) {
    if (entry.state === "done" && nowMs - entry.done_ms > KEPT_DONE_MS) await remove(entry.id);
    else if (entry.state === "sending") await put({ ...entry, state: "waiting" });
  }
}

export async function keepList(name: string, rows: unknown): Promise<void> {
  await run("lists", "readwrite", (at) => at.put(rows, name));
}

export async function keptList<T>(name: string): Promise<T | undefined> {
  return run("lists", "readonly", (at) => at.get(name) as IDBRequest<T | undefined>);
}
