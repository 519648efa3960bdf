// What an operator does with an alarm: each on the version that stood on the screen, with the dialog it needs, and the
// message of who was first where somebody was.

import { signal } from "@preact/signals";
import { path, post } from "../api/client";
import { Problem } from "../api/problem";
import type { Alarm, Outcome } from "../api/types";
import { alarmById, putAlarm } from "../state/alarms";
import { session } from "../state/session";
import { t, word, type Key } from "../text";
import { say, sayError } from "../ui/notices";
import { can, DESK_ROLES, stands, type Deed } from "./allowed";

export type Asking = "hand_over" | "dispatch" | "resolve" | "close" | "shelve";

/** The dialog that is open, and for which alarm. */
export const asking = signal<{ deed: Asking; id: string } | null>(null);
/** Deeds under way: an alarm and what is done with it, each once at a time. */
const running = new Set<string>();

export const DEED_WORDS: Record<Deed, Key> = {
  ack: "do.ack",
  hand_over: "do.handOver",
  dispatch: "do.dispatch",
  arrive: "do.arrive",
  resolve: "do.resolve",
  close: "do.closeAlarm",
  shelve: "do.shelve",
  restore: "do.restore",
};

/** How often a deed is tried on an alarm that only its version has moved away from. */
const MAX_TRIES = 4;

const ASKED = new Set<Deed>(["hand_over", "dispatch", "resolve", "close", "shelve"]);

export function mayAct(): boolean {
  const role = session.value?.role;
  return !!role && DESK_ROLES.includes(role);
}

/** Begin a deed: at once, or by the dialog that it needs; says so where it cannot be done now. */
export function begin(alarm: Alarm | undefined, deed: Deed): void {
  if (!alarm) return;
  if (!mayAct()) {
    say("warn", t("not.allowed"));
    return;
  }
  if (!can(alarm, deed)) {
    say("warn", t("not.now", { work: t(`work.${alarm.work}`), action: t(DEED_WORDS[deed]) }));
    return;
  }
  if (ASKED.has(deed)) asking.value = { deed: deed as Asking, id: alarm.alarm };
  else void act(alarm, deed, {}, t(deed === "ack" ? "done.ack" : deed === "arrive" ? "done.arrive" : "done.restore"));
}

export interface Body {
  to?: string;
  note?: string;
  unit?: string;
  eta_minutes?: number;
  outcome?: Outcome;
  reason?: string;
  minutes?: number;
}

/** Does it; true when it was done. */
export async function act(alarm: Alarm, deed: Deed, body: Body, done: string, quiet = false): Promise<boolean> {
  const key = `${alarm.alarm}:${deed}`;
  if (running.has(key)) return false;
  running.add(key);
  try {
    const after = await doneOn(alarm, deed, body);
    putAlarm(after);
    if (!quiet) say("good", done, `${word("kind", after.kind)} · ${after.device}`);
    return true;
  } catch (error) {
    if (!quiet) lost(error, alarm, deed);
    return false;
  } finally {
    running.delete(key);
  }
}

/** As it is after the deed; what only the version stood against is done on the newer one. */
async function doneOn(alarm: Alarm, deed: Deed, body: Body): Promise<Alarm> {
  let seen = alarm;
  for (let tries = 1; ; tries += 1) {
    try {
      const where = path("/alarms/{alarm}/{deed}", { alarm: alarm.alarm, deed });
      return await post<Alarm>(where, { ...body, version: seen.version }, { version: seen.version });
    } catch (error) {
      const now = outrun(error, alarm);
      if (!now || tries >= MAX_TRIES || !stands(alarm, now)) throw error;
      seen = now;
    }
  }
}

/** The alarm as it is now, where it has another version than the one that was decided on. */
function outrun(error: unknown, alarm: Alarm): Alarm | null {
  if (!(error instanceof Problem) || (error.status !== 409 && error.status !== 412)) return null;
  const now = error.current as Alarm | null | undefined;
  return now && typeof now === "object" && now.alarm === alarm.alarm ? now : null;
}

/** Somebody was first: who, and how it stands now. */
function lost(error: unknown, alarm: Alarm, deed: Deed): void {
  if (!(error instanceof Problem) || (error.status !== 409 && error.status !== 412)) {
    sayError(error);
    return;
  }
  const current = outrun(error, alarm);
  if (current) putAlarm(current);
  const now = alarmById(alarm.alarm) ?? alarm;
  const who = error.who;
  const title = who ? t("conflict.title", { who }) : t("conflict.changed");
  const body = t("conflict.body", {
    action: t(DEED_WORDS[deed]),
    work: t(`work.${now.work}`),
    owner: now.owner || t("alarm.nobody"),
  });
  say("warn", title, current ? body : `${body} ${error.detail}`);
}
