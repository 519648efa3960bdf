// The technician's page without a network: its own files, kept when it was last there. Nothing of the service's answers is kept: what
// is below /api goes to the network or fails, and the page says so. No import and no export, so that it is a plain script.

export {};

interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Waiting {
  request: Request;
  respondWith(answer: Promise<Response> | Response): void;
}

/** The build writes the page's files here. */
const FILES: string[] = JSON.parse("__TECHNICIAN_FILES__");
const CACHE = "technician-__TECHNICIAN_BUILD__";
const PAGE = "/technician";
/** After so long without an answer the page that is kept is shown. */
const PATIENCE_MS = 4_000;

self.addEventListener("install", (event) => {
  (event as Waiting).waitUntil(caches.open(CACHE).then((cache) => cache.addAll([PAGE, ...FILES])));
});

// Only now, when no page of the build before is open any more, are its files let go.
self.addEventListener("activate", (event) => {
  const old = (name: string): boolean => name.startsWith("technician-") && name !== CACHE;
  (event as Waiting).waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (raw) => {
  const event = raw as Fetching;
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || url.pathname.startsWith("/api")) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (FILES.includes(url.pathname)) event.respondWith(kept(request, url.pathname));
});

async function page(request: Request): Promise<Response> {
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) return answer;
    throw new Error(String(answer.status));
  } catch {
    return (await (await caches.open(CACHE)).match(PAGE)) ?? Response.error();
  }
}

async function kept(request: Request, path: string): Promise<Response> {
  return (await (await caches.open(CACHE)).match(path)) ?? fetch(request);
}
