// Requests to the service. A change carries a key, so that one whose answer was lost is sent again without being done twice.

import { Problem, problemOf, UNREACHABLE } from "./problem";
import type { Page } from "./types";

export const ROOT = "/api/v1";
const TIMEOUT_MS = 15_000;
const UPLOAD_TIMEOUT_MS = 120_000;
const TRIES = 3;
const PAUSE_MS = 400;
/** Pages of a list that are read on end; a list longer than that is asked with narrower filters. */
const MAX_PAGES = 40;

export type Value = string | number | boolean | null | undefined | readonly string[];

interface Hooks {
  language: () => string;
  /** The session is over. */
  signedOut: () => void;
}

const hooks: Hooks = { language: () => "zh-CN", signedOut: () => undefined };

export function setHooks(given: Hooks): void {
  Object.assign(hooks, given);
}

/** A text that nobody else makes. `crypto.randomUUID` is missing on a closed network without TLS. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
}

/** `/alarms/{alarm}` filled in; a device's id keeps its slash. */
export function path(template: string, values: Record<string, string> = {}): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) =>
    (values[name] ?? "").split("/").map(encodeURIComponent).join("/"),
  );
}

export function address(where: string, query: Record<string, Value> = {}): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    if (Array.isArray(value)) for (const one of value as readonly string[]) asked.append(name, one);
    else asked.append(name, String(value));
  }
  const text = asked.toString();
  return ROOT + where + (text ? `?${text}` : "");
}

async function send(url: string, init: RequestInit, timeoutMs: number): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("Accept-Language", hooks.language());
  headers.set("Accept", "application/json, application/problem+json");
  try {
    return await fetch(url, {
      ...init,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: init.signal ? AbortSignal.any([init.signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem({ status: 0, code: UNREACHABLE });
  }
}

async function answerOf<T>(answer: Response, quiet: boolean): Promise<T> {
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  const problem = await problemOf(answer);
  if (answer.status === 401 && !quiet) hooks.signedOut();
  throw problem;
}

export interface Ask {
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  /** A 401 is an answer, not the end of a session. */
  quiet?: boolean;
}

export async function get<T>(where: string, query: Record<string, Value> = {}, ask: Ask = {}): Promise<T> {
  const init: RequestInit = ask.signal ? { signal: ask.signal } : {};
  return answerOf<T>(await send(address(where, query), init, ask.timeoutMs ?? TIMEOUT_MS), ask.quiet ?? false);
}

export interface Change extends Ask {
  /** The version that the change was decided on. */
  version?: number | undefined;
  key?: string;
  verb?: "POST" | "PUT" | "DELETE";
}

export async function post<T>(where: string, body: unknown = {}, change: Change = {}): Promise<T> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  const verb = change.verb ?? "POST";
  if (verb === "POST") headers["Idempotency-Key"] = change.key ?? newKey();
  if (change.version !== undefined) headers["If-Match"] = `"${change.version}"`;
  const init: RequestInit = { method: verb, headers };
  if (verb !== "DELETE") init.body = JSON.stringify(body);
  if (change.signal) init.signal = change.signal;
  for (let tries = 1; ; tries += 1) {
    try {
      return await answerOf<T>(
        await send(ROOT + where, init, change.timeoutMs ?? TIMEOUT_MS),
        change.quiet ?? false,
      );
    } catch (error) {
      const lost = error instanceof Problem && (error.code === UNREACHABLE || error.status === 503);
      if (!lost || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (tries - 1)));
    }
  }
}

/** A file as the body itself: a photo, a table. What it is told of it stands in the query. */
export async function upload<T>(
  where: string,
  bytes: ArrayBuffer,
  given: { key?: string; type: string; query?: Record<string, Value>; timeoutMs?: number },
): Promise<T> {
  const headers = { "Content-Type": given.type, "Idempotency-Key": given.key ?? newKey() };
  const init: RequestInit = { method: "POST", headers, body: bytes };
  return answerOf<T>(await send(address(where, given.query), init, given.timeoutMs ?? UPLOAD_TIMEOUT_MS), false);
}

/** A list, whether it comes in pages or at once. */
export async function* pages<T>(where: string, query: Record<string, Value> = {}, ask: Ask = {}): AsyncGenerator<T[]> {
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const found: Page<T> | T[] = await get<Page<T> | T[]>(where, { ...query, cursor }, ask);
    if (Array.isArray(found)) {
      yield found;
      return;
    }
    yield found.items;
    if (!found.next) return;
    cursor = found.next;
  }
}

export async function list<T>(where: string, query: Record<string, Value> = {}, ask: Ask = {}): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages<T>(where, query, ask)) all.push(...page);
  return all;
}

export interface Given {
  blob: Blob;
  name: string;
  /** What the service says of it beside its bytes: its SHA-256, how many points. */
  told: Record<string, unknown>;
}

function toldOf(answer: Response): Record<string, unknown> {
  try {
    return JSON.parse(answer.headers.get("lucheng-told") ?? "{}") as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** A file that a change answers with, and the name that the service gives it. */
export async function fetchFile(where: string, body: unknown, timeoutMs: number): Promise<Given> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
  const answer = await send(ROOT + where, { method: "POST", headers, body: JSON.stringify(body) }, timeoutMs);
  if (!answer.ok) return answerOf(answer, false);
  const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  return { blob: await answer.blob(), name: named?.[1] ?? "export", told: toldOf(answer) };
}

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
