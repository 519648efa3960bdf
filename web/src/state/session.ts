// Who is signed in, and whether the service still waits for its first administrator.

import { signal } from "@preact/signals";
import { get, post, setHooks } from "../api/client";
import { Problem } from "../api/problem";
import type { Role, Session } from "../api/types";
import { language } from "../text";
import { useLanguageOf } from "./prefs";

/** undefined: not asked yet; null: nobody. */
export const session = signal<Session | null | undefined>(undefined);
export const setupNeeded = signal(false);
/** The session ended while a page was open. */
export const sessionOver = signal(false);
export const unreachable = signal(false);

setHooks({
  language: () => (language.peek() === "zh" ? "zh-CN,zh;q=0.9,en;q=0.5" : "en,zh;q=0.5"),
  signedOut: () => {
    if (session.peek()) sessionOver.value = true;
    session.value = null;
  },
});

/** Who was last signed in on this phone: the technician's page opens without a network, and shows nothing of the service's. */
const LAST = "lucheng.session";

function keep(found: Session | null): void {
  try {
    if (found) localStorage.setItem(LAST, JSON.stringify(found));
    else localStorage.removeItem(LAST);
  } catch {
    // a browser that keeps nothing: without a network the page waits
  }
}

function kept(): Session | null {
  if (!location.pathname.startsWith("/technician")) return null;
  try {
    const found = JSON.parse(localStorage.getItem(LAST) ?? "null") as Session | null;
    return found && Date.parse(found.until) > Date.now() ? found : null;
  } catch {
    return null;
  }
}

function begin(found: Session): void {
  useLanguageOf(found.language);
  sessionOver.value = false;
  session.value = found;
}

export async function askSession(): Promise<void> {
  try {
    const found = await get<Session>("/session", {}, { quiet: true });
    begin(found);
    keep(found);
    unreachable.value = false;
    return;
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    unreachable.value = status !== 401;
    if (status !== 401) {
      const last = kept();
      if (last && session.peek() === undefined) begin(last);
      if (unreachable.peek()) setTimeout(() => void askSession(), last ? 10_000 : 2000);
      return;
    }
  }
  keep(null);
  try {
    setupNeeded.value = (await get<{ needed: boolean }>("/setup", {}, { quiet: true })).needed;
  } catch {
    setupNeeded.value = false;
  }
  session.value = null;
}

export async function signIn(user: string, password: string): Promise<void> {
  const found = await post<Session>("/session", { user, password }, { quiet: true });
  begin(found);
  keep(found);
}

export async function signOut(): Promise<void> {
  try {
    await post("/session", {}, { verb: "DELETE", quiet: true });
  } finally {
    keep(null);
    session.value = null;
  }
}

export async function setUp(token: string, user: string, password: string): Promise<void> {
  await post("/setup", { token, user, password }, { quiet: true });
  setupNeeded.value = false;
}

export function is(...roles: Role[]): boolean {
  const found = session.value;
  return !!found && roles.includes(found.role);
}
