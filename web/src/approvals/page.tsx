// Requests for what is wide: who decides sees exactly what is asked, grants or refuses; who asked sees his own; broken glass first.

import { useState } from "preact/hooks";
import { list, path, post } from "../api/client";
import type { ApprovalRow } from "../api/oversight";
import { approvalCounts } from "../state/approvals";
import { is, session } from "../state/session";
import { dateTime, msOf, span, tick, when } from "../state/time";
import { t, word, type Key } from "../text";
import { useAsked } from "../ui/ask";
import { Dialog } from "../ui/dialog";
import { Failure, say } from "../ui/notices";
import { deedsFor, exact, partOf, type Deed, type Part } from "./exact";

const POLL_MS = 10_000;
const PARTS: readonly Part[] = ["glass", "asked", "held", "past"];
const PART_WORDS: Record<Part, Key> = { glass: "approvals.glass", asked: "approvals.asked", held: "approvals.held", past: "approvals.past" };
const DEED_WORDS: Record<Deed, Key> = {
  grant: "approvals.grant",
  refuse: "approvals.refuse",
  takeBack: "approvals.takeBack",
  revoke: "approvals.revoke",
  review: "approvals.review",
};

export default function Approvals() {
  const decides = is("supervisor", "approver");
  const [all, setAll] = useState(false);
  const [doing, setDoing] = useState<{ deed: Deed; one: ApprovalRow } | null>(null);
  const counts = approvalCounts.value;
  // The beat tells of a change: the list is asked anew at once.
  const key = `${all}|${counts.waiting}|${counts.unreviewed}`;
  const asked = useAsked((signal) => list<ApprovalRow>("/approvals", { all }, { signal }), key, POLL_MS);
  const [last, setLast] = useState<ApprovalRow[] | null>(null);
  if (asked.value && asked.value !== last) setLast(asked.value);
  const rows = asked.value ?? last;
  return (
    <div class="sheets" data-page="approvals">
      <header>
        <h1>{t("approvals.title")}</h1>
        <p class="fine">{t(decides ? "approvals.hint" : "approvals.own")}</p>
        <div class="chips" role="group" aria-label={t("accounts.state")}>
          <button aria-pressed={!all} onClick={() => setAll(false)}>
            {t("approvals.waiting")}
          </button>
          <button aria-pressed={all} onClick={() => setAll(true)}>
            {t("approvals.all")}
          </button>
        </div>
      </header>
      {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
      {rows?.length === 0 && (
        <section class="sheet">
          <p class="empty">{t("approvals.none")}</p>
        </section>
      )}
      {PARTS.map((part) => {
        const mine = (rows ?? []).filter((one) => partOf(one) === part);
        return mine.length ? (
          <section key={part} class="sheet" aria-labelledby={`part-${part}`}>
            <h2 id={`part-${part}`}>
              {t(PART_WORDS[part])} <small class="fine">{mine.length}</small>
            </h2>
            {mine.map((one) => (
              <Request key={one.approval} one={one} decides={decides} onDo={(deed) => setDoing({ deed, one })} />
            ))}
          </section>
        ) : null;
      })}
      {!rows && asked.error === null && <p class="empty">{t("app.loading")}</p>}
      {doing && (
        <DeedDialog
          {...doing}
          onClose={() => setDoing(null)}
          onDone={() => {
            setDoing(null);
            say("good", `${doing.one.approval}: ${t(DEED_WORDS[doing.deed])}`);
            asked.again();
          }}
        />
      )}
    </div>
  );
}

/** How much of a term is left, or how long it has been over. */
function Term(props: { until: string | null }) {
  const left = (msOf(props.until) ?? 0) - tick.value;
  return (
    <>
      {when(props.until)} <small class={left < 0 ? "bad-text" : left < 3_600_000 ? "warn-text" : ""}>{left < 0 ? t("approvals.over", { age: span(-left) }) : t("approvals.left", { age: span(left) })}</small>
    </>
  );
}

const TONES: Record<ApprovalRow["state"], string> = { asked: "warn", granted: "good", used: "", refused: "bad", expired: "", broken: "bad", reviewed: "good" };

function Request(props: { one: ApprovalRow; decides: boolean; onDo: (deed: Deed) => void }) {
  const { one, decides } = props;
  const user = session.value?.user ?? "";
  const deeds = deedsFor(one, user, decides);
  const lines = exact(one.what, {
    time: dateTime,
    points: (n) => t("approvals.points", { n }),
    many: (first, n) => t("approvals.many", { first, n }),
  });
  return (
    <article class={`request ${one.state}`} data-approval={one.approval} data-state={one.state}>
      <header>
        <h3>{word("reads", one.operation)}</h3>
        <span class={`tag ${TONES[one.state]}`}>{t(`wideState.${one.state}`)}</span>
        <small>{one.approval}</small>
      </header>
      <dl class="facts">
        <dt>{t("approvals.who")}</dt>
        <dd>
          <strong>{one.by}</strong> ({word("role", one.role)}) · {when(one.asked)}
        </dd>
        <dt>{t("approvals.reason")}</dt>
        <dd>
          <q>{one.reason}</q>
        </dd>
        <dt>{t("audit.purposeName")}</dt>
        <dd>{purposeWords(one.purpose)}</dd>
        <dt>{t("approvals.vehicles")}</dt>
        <dd>{one.vehicles}</dd>
        <dt>{t("approvals.window")}</dt>
        <dd>
          {when(one.from)} – {when(one.to)}
        </dd>
        <dt>{t("approvals.why")}</dt>
        <dd>{one.wide.map((code) => word("wide", code)).join(", ")}</dd>
        {(one.state === "asked" || one.state === "granted" || one.state === "broken") && (
          <>
            <dt>{t(one.state === "asked" ? "approvals.until" : one.state === "broken" ? "approvals.reviewUntil" : "approvals.validUntil")}</dt>
            <dd>
              <Term until={one.expires} />
            </dd>
          </>
        )}
        {one.decided_by && (
          <>
            <dt>{t("approvals.by")}</dt>
            <dd>
              {one.decided_by} · {when(one.decided)} {one.note && <q>{one.note}</q>}
            </dd>
          </>
        )}
        {one.max_uses > 0 && (
          <>
            <dt>{t("approvals.usage")}</dt>
            <dd>{t("approvals.used", { n: one.uses, most: one.max_uses })}</dd>
          </>
        )}
        {one.reviewed_by && (
          <>
            <dt>{t("approvals.reviewedBy")}</dt>
            <dd>
              {one.reviewed_by} · {when(one.reviewed)} · <span class={one.justified ? "good-text" : "bad-text"}>{t(one.justified ? "approvals.justified" : "approvals.notJustified")}</span> <q>{one.review}</q>
            </dd>
          </>
        )}
      </dl>
      <details open={one.state === "asked"}>
        <summary>{t("approvals.exactly")}</summary>
        <dl class="facts">
          {lines.map(([name, text]) => (
            <Line key={name} name={name} text={text} />
          ))}
        </dl>
        <pre class="detail" tabIndex={0}>
          {JSON.stringify(one.what)}
        </pre>
      </details>
      <footer>
        {deeds.map((deed) => (
          <button key={deed} class={deed === "grant" || deed === "review" ? "primary" : deed === "takeBack" ? "" : "danger"} onClick={() => props.onDo(deed)}>
            {t(DEED_WORDS[deed])}
          </button>
        ))}
        {one.by === user && decides && (one.state === "asked" || one.state === "broken") && <small>{t("approvals.notOwn")}</small>}
      </footer>
    </article>
  );
}

function Line(props: { name: string; text: string }) {
  return (
    <>
      <dt>{props.name}</dt>
      <dd>{props.text}</dd>
    </>
  );
}

function purposeWords(purpose: string): string {
  const [code = "", ...rest] = purpose.split(":");
  return [word("purpose", code), ...rest].filter(Boolean).join(" · ");
}

function DeedDialog(props: { deed: Deed; one: ApprovalRow; onClose: () => void; onDone: () => void }) {
  const { deed, one } = props;
  const [note, setNote] = useState("");
  const [uses, setUses] = useState("");
  const [hours, setHours] = useState("");
  const [justified, setJustified] = useState(true);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const needed = deed !== "grant";
  async function go(): Promise<void> {
    setBusy(true);
    setError(null);
    const said = note.trim();
    const bodies = {
      grant: { note: said, ...(uses ? { uses: Number(uses) } : {}), ...(hours ? { valid_s: Math.round(Number(hours) * 3600) } : {}) },
      refuse: { reason: said },
      revoke: { reason: said },
      takeBack: { reason: said },
      review: { note: said, justified },
    };
    const verb = deed === "grant" || deed === "review" ? deed : "refuse";
    try {
      await post(path(`/approvals/{approval}/${verb}`, { approval: one.approval }), bodies[deed]);
      props.onDone();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={`${t(DEED_WORDS[deed])}: ${one.approval}`} onClose={props.onClose} onSubmit={() => void go()}>
      {deed === "grant" && <p>{t("approvals.grantSays", { user: one.by })}</p>}
      <label>
        {t(deed === "grant" ? "approvals.note" : deed === "review" ? "approvals.reviewNote" : "approvals.refuseReason")}
        {needed && ` (${t("ask.required")})`}
        <textarea name="note" data-first rows={3} maxLength={500} required={needed} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      {deed === "grant" && (
        <div class="row-form">
          <label>
            {t("approvals.uses")}
            <input name="uses" type="number" min={1} step={1} value={uses} onInput={(event) => setUses(event.currentTarget.value)} />
          </label>
          <label>
            {t("approvals.hours")}
            <input name="hours" type="number" min={0.1} step={0.1} value={hours} onInput={(event) => setHours(event.currentTarget.value)} />
          </label>
        </div>
      )}
      {deed === "review" && (
        <div class="stack" role="radiogroup" aria-label={t("approvals.review")}>
          {([true, false] as const).map((yes) => (
            <label key={String(yes)} class="check">
              <input type="radio" name="justified" value={yes ? "yes" : "no"} checked={justified === yes} onChange={() => setJustified(yes)} />
              {t(yes ? "approvals.justified" : "approvals.notJustified")}
            </label>
          ))}
        </div>
      )}
      {error !== null && <Failure error={error} />}
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class={deed === "grant" || deed === "review" ? "primary" : "danger"} disabled={busy || (needed && !note.trim())}>
          {t(DEED_WORDS[deed])}
        </button>
      </footer>
    </Dialog>
  );
}
