// What is wide needs a second person: asked with a reason, waited for, seen granted, gone on with. In a live emergency the glass is
// broken instead, after a warning of what follows. Who decides does so on his own page.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, path, post } from "../api/client";
import { Problem } from "../api/problem";
import type { Approval } from "../api/types";
import { when } from "../state/time";
import { t } from "../text";
import { sayError } from "./notices";

const POLL_MS = 2000;
const MAX_REASON = 500;

/** The read that has to be allowed: the name of its operation and what it is given, without purpose and approval. */
export interface WideRead {
  operation: string;
  arguments: Record<string, unknown>;
}

export function isWide(error: unknown): error is Problem {
  return error instanceof Problem && error.code === "approval_needed";
}

export function Wide(props: {
  problem: Problem;
  read: WideRead;
  purpose: string;
  /** Read again with this: an approval's id, or `break-glass:WHY`. */
  onGo: (approval: string) => void;
}) {
  const [asked, setAsked] = useState<Approval | null>(null);
  const [busy, setBusy] = useState(false);
  const go = useRef<HTMLButtonElement>(null);
  const top = useRef<HTMLElement>(null);
  useEffect(() => {
    top.current?.scrollIntoView({ block: "nearest" });
    top.current?.querySelector<HTMLElement>("textarea")?.focus();
  }, []);

  const waits = asked?.state === "asked" ? asked.approval : "";
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setInterval(() => {
      get<Approval>(path("/approvals/{approval}", { approval: waits })).then(setAsked, () => undefined);
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [waits]);
  const holds = asked?.state === "granted";
  useEffect(() => {
    if (holds) go.current?.focus();
  }, [holds]);

  async function ask(reason: string): Promise<void> {
    setBusy(true);
    try {
      setAsked(await post<Approval>("/approvals", { ...props.read, reason, purpose: props.purpose }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }

  async function takeBack(): Promise<void> {
    try {
      setAsked(await post<Approval>(path("/approvals/{approval}/refuse", { approval: waits }), { reason: t("wide.takenBack") }));
    } catch (error) {
      sayError(error);
    }
  }

  return (
    <section ref={top} class="wide-read" aria-label={t("wide.title")} data-state={asked?.state ?? "needed"}>
      <strong>{t("wide.title")}</strong>
      <p>{props.problem.detail || t("wide.hint")}</p>
      <div role="status" aria-live="polite">
        {asked && <Standing asked={asked} />}
      </div>
      {holds && (
        <button ref={go} class="primary" onClick={() => asked && props.onGo(asked.approval)}>
          {t("wide.go")}
        </button>
      )}
      {waits && <button onClick={() => void takeBack()}>{t("wide.takeBack")}</button>}
      {!waits && !holds && <Reason name="reason" says="wide.ask" busy={busy} onGiven={(reason) => void ask(reason)} />}
      {!holds && (
        <details class="glass">
          <summary>{t("wide.glass")}</summary>
          <p class="warn-text">{t("wide.glassWarning")}</p>
          <Reason name="glass" says="wide.glassDo" danger busy={busy} onGiven={(reason) => props.onGo(`break-glass:${reason}`)} />
        </details>
      )}
    </section>
  );
}

function Standing({ asked }: { asked: Approval }) {
  return (
    <dl class="facts">
      <dt>{t("wide.request")}</dt>
      <dd>{asked.approval}</dd>
      <dt>{t("wide.state")}</dt>
      <dd>
        <span class={asked.state === "granted" ? "good-text" : asked.state === "asked" ? "warn-text" : "bad-text"}>{t(`wideState.${asked.state}`)}</span>
      </dd>
      {asked.decided_by && (
        <>
          <dt>{t("wide.by")}</dt>
          <dd>
            {asked.decided_by} {asked.note && <q>{asked.note}</q>}
          </dd>
        </>
      )}
      <dt>{t("wide.until")}</dt>
      <dd>{when(asked.expires)}</dd>
    </dl>
  );
}

function Reason(props: { name: string; says: "wide.ask" | "wide.glassDo"; busy: boolean; danger?: boolean; onGiven: (reason: string) => void }) {
  const [reason, setReason] = useState("");
  const [sure, setSure] = useState(!props.danger);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        props.onGiven(reason.trim());
      }}
    >
      <label>
        {t("wide.reason")}
        <textarea name={props.name} rows={2} maxLength={MAX_REASON} required value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      {props.danger && (
        <label class="check">
          <input type="checkbox" checked={sure} onChange={() => setSure(!sure)} />
          {t("wide.glassSure")}
        </label>
      )}
      <button class={props.danger ? "danger" : ""} disabled={props.busy || !sure || !reason.trim()}>
        {t(props.says)}
      </button>
    </form>
  );
}
