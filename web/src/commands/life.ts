// The life of a command to a device, as people read it. Pure.

export const COMMAND_STATES = ["asked", "queued", "sent", "accepted", "refused", "expired"] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** As `console.command_rows` gives it. */
export interface Command {
  command: string;
  device: string;
  name: string;
  args: Record<string, unknown>;
  state: CommandState;
  version: number;
  by: string;
  role: string;
  reason: string;
  alarm: string;
  asked: string | null;
  expires: string | null;
  approved_by: string;
  via: string;
  sent: string | null;
  done: string | null;
  ends: string | null;
  ended: string | null;
  listening: boolean;
  stopped_by: string;
  detail: string;
  reply: Record<string, unknown>;
  place_hidden: boolean;
}

export type Tone = "wait" | "good" | "bad" | "";

/** One station of its life: what, when, and whether it has been reached. */
export interface Station {
  state: CommandState | "listening" | "ended";
  at: string | null;
  tone: Tone;
  here: boolean;
}

const OVER: ReadonlySet<CommandState> = new Set(["accepted", "refused", "expired"]);

export function isOver(command: Command): boolean {
  return OVER.has(command.state) && !command.listening;
}

/** Given ▸ sent ▸ what became of it; a listen-in goes on until it is ended. */
export function lifeOf(command: Command): Station[] {
  const { state } = command;
  const made: Station[] = [];
  const add = (name: Station["state"], at: string | null, tone: Tone): void => {
    made.push({ state: name, at, tone, here: false });
  };
  const waits = command.approved_by !== "" || state === "asked";
  if (waits) add("asked", command.asked, state === "asked" ? "wait" : "");
  if (state !== "asked") add("queued", waits ? null : command.asked, state === "queued" ? "wait" : "");
  if (command.sent) add("sent", command.sent, state === "sent" ? "wait" : "");
  if (OVER.has(state)) add(state, command.done, state === "accepted" ? "good" : "bad");
  if (command.ends) {
    if (command.ended) add("ended", command.ended, "");
    else if (command.listening) add("listening", null, "wait");
  }
  const last = made.at(-1);
  if (last) last.here = true;
  return made;
}

/** Seconds that a listen-in has left, null where none runs. */
export function listenLeftS(command: Command, nowMs: number): number | null {
  if (!command.listening || !command.ends) return null;
  return Math.max(0, Math.ceil((Date.parse(command.ends) - nowMs) / 1000));
}

/** Only what was not sent can be taken back; a listen-in that runs is hung up. */
export function canTakeBack(command: Command): boolean {
  return command.state === "asked" || command.state === "queued";
}

/** Whoever gave it, an approver or a supervisor: as `console.command_gate` has it. */
export function mayStop(command: Command, user: string, role: string): boolean {
  return command.by === user || role === "supervisor" || role === "approver";
}

const FIRST_MS = 2000;
const STEADY_MS = 15_000;
/** So often it is asked quickly after the last change. */
const QUICK = 8;

/** How long until the list is read again; every reading is a row of the audit, so a quiet list is left alone. */
export function pauseMs(commands: readonly Command[], asked: number): number | null {
  if (commands.every(isOver)) return null;
  return asked < QUICK ? FIRST_MS : STEADY_MS;
}
