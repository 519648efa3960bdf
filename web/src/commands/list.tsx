// The commands of one device with their life, read again while something is under way.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { path, post } from "../api/client";
import { first } from "../api/first";
import { byWhom } from "../desk/words";
import { session } from "../state/session";
import { clockTime, countdown, dateTime, msOf, nowMs, span, tick } from "../state/time";
import { t, word, type Key } from "../text";
import { Failure, say, sayError } from "../ui/notices";
import { canTakeBack, isOver, lifeOf, listenLeftS, mayStop, pauseMs, type Command } from "./life";

const DAY_MS = 86_400_000;

export interface Commands {
  commands: readonly Command[];
  error: unknown;
  readMs: number;
  read: () => void;
  /** Give one; true when it was taken. */
  give: (body: Record<string, unknown>) => Promise<boolean>;
  /** Puts an answer of the service into the list at once. */
  put: (command: Command) => void;
}

/** `all`: also what ended more than a day ago. */
export function useCommands(device: string, all = false): Commands {
  const [commands, setCommands] = useState<readonly Command[]>([]);
  const [error, setError] = useState<unknown>(null);
  const [readMs, setReadMs] = useState(0);
  const asked = useRef(0);
  const [turn, setTurn] = useState(0);
  const read = useCallback(() => {
    asked.current = 0;
    setTurn((n) => n + 1);
  }, []);
  useEffect(() => {
    const ended = new AbortController();
    first<Command>("/commands", { device, all, limit: 100 }, { signal: ended.signal }).then(
      (found) => {
        setCommands(found);
        setError(null);
        setReadMs(nowMs());
      },
      (problem: unknown) => {
        if (!ended.signal.aborted) setError(problem);
      },
    );
    return () => ended.abort();
  }, [device, all, turn]);
  useEffect(() => {
    const wait = pauseMs(commands, asked.current);
    if (wait === null || document.hidden) return undefined;
    const timer = setTimeout(() => {
      asked.current += 1;
      setTurn((n) => n + 1);
    }, wait);
    return () => clearTimeout(timer);
  }, [commands]);
  const put = useCallback((command: Command) => {
    asked.current = 0;
    setCommands((before) => [command, ...before.filter((one) => one.command !== command.command)].sort((a, b) => (a.command < b.command ? 1 : -1)));
  }, []);
  const give = useCallback(
    async (body: Record<string, unknown>): Promise<boolean> => {
      try {
        const made = await post<Command>("/commands", { device, ...body });
        put(made);
        say("good", t("cmds.given", { command: word("cmd", made.name) }), made.command);
        return true;
      } catch (problem) {
        sayError(problem);
        return false;
      }
    },
    [device],
  );
  return { commands, error, readMs, read, give, put };
}

export function CommandList({ of, empty }: { of: Commands; empty?: Key }) {
  void tick.value;
  return (
    <section class="commands" aria-label={t("cmds.title")}>
      <header class="section-head">
        <h2>{t("cmds.title")}</h2>
        {of.readMs > 0 && <small>{t("cmds.read", { age: span(nowMs() - of.readMs) })}</small>}
        <button class="small" onClick={of.read}>
          {t("cmds.refresh")}
        </button>
      </header>
      {of.error !== null && <Failure error={of.error} again={of.read} />}
      {!of.commands.length && of.error === null && <p class="fine">{t(empty ?? "cmds.none")}</p>}
      <ul class="lives">
        {of.commands.map((command) => (
          <Life key={command.command} command={command} of={of} />
        ))}
      </ul>
    </section>
  );
}

/** Its arguments as they were given, those that say nothing left out. */
export function argWords(command: Command): string {
  const { text, minutes, channel, count, interval_s: every } = command.args;
  const made: string[] = [];
  if (typeof text === "string") made.push(`“${text}”`);
  if (command.name === "listen_in" && typeof minutes === "number") made.push(t("time.min", { n: minutes }));
  if (command.name === "snapshot" && typeof channel === "number") made.push(`#${channel}${typeof count === "number" && count > 1 ? ` ×${count}` : ""}`);
  if (command.name === "track_faster" && typeof every === "number") made.push(t("time.s", { n: every }));
  return made.join(" ");
}

function Life({ command, of }: { command: Command; of: Commands }) {
  const user = session.value?.user ?? "";
  const role = session.value?.role ?? "";
  const left = listenLeftS(command, tick.value);
  const asked = msOf(command.asked);
  const old = asked !== null && nowMs() - asked > DAY_MS;
  async function takeBack(): Promise<void> {
    try {
      of.put(await post<Command>(path("/commands/{command}/reject", { command: command.command }), { reason: t("cmds.takenBack") }));
    } catch (problem) {
      sayError(problem);
      of.read();
    }
  }
  return (
    <li class={isOver(command) ? "life over" : "life"} data-command={command.command} data-state={command.state}>
      <div class="life-head">
        <strong>{word("cmd", command.name)}</strong>
        <span class="life-said">{argWords(command)}</span>
        <small>{command.command}</small>
      </div>
      <ol class="life-line">
        {lifeOf(command).map((station) => (
          <li key={station.state} class={`${station.tone} ${station.here ? "here" : ""}`} {...(station.here ? { "aria-current": "step" as const } : {})}>
            {station.here && station.state === "sent" ? t("cmds.waits") : t(`cmdState.${station.state}`)}
            {station.at && <time>{old ? dateTime(Date.parse(station.at)) : clockTime(Date.parse(station.at))}</time>}
          </li>
        ))}
      </ol>
      <p class="fine">
        {t("cmds.by", { who: byWhom(command.by) })}
        {command.approved_by && ` · ${t("cmds.approved", { who: command.approved_by })}`}
        {command.via && ` · ${t("cmds.via", { protocol: command.via })}`}
        {command.reason && (
          <>
            {" · "}
            <q>{command.reason}</q>
          </>
        )}
        {canTakeBack(command) && command.expires && ` · ${t("cmds.expires", { time: clockTime(Date.parse(command.expires)) })}`}
        {command.stopped_by && ` · ${t("cmds.hungUp", { who: command.stopped_by })}`}
      </p>
      {command.detail && <p class={command.state === "accepted" ? "fine" : "fine bad-text"}>{command.detail}</p>}
      {left !== null && (
        <div class="life-deeds listening" role="timer">
          <strong>{t("taxi.listenLeft", { time: countdown(left) })}</strong>
          {mayStop(command, user, role) && !command.stopped_by && <HangUp command={command} of={of} />}
        </div>
      )}
      {canTakeBack(command) && mayStop(command, user, role) && (
        <div class="life-deeds">
          <button class="small" onClick={() => void takeBack()}>
            {t("cmds.takeBack")}
          </button>
        </div>
      )}
    </li>
  );
}

export function HangUp({ command, of }: { command: Command; of: Commands }) {
  async function stop(): Promise<void> {
    try {
      of.put(await post<Command>(path("/commands/{command}/stop", { command: command.command })));
      say("good", t("cmds.stopped"));
    } catch (problem) {
      sayError(problem);
      of.read();
    }
  }
  return (
    <button class="danger" onClick={() => void stop()}>
      {t("cmds.hangUp")}
    </button>
  );
}
