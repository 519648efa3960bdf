// What is asked of a person in a case: the owner's report, the next step, the officer who gets it.

import { useEffect, useState } from "preact/hooks";
import { path, post } from "../api/client";
import { first } from "../api/first";
import { Problem } from "../api/problem";
import type { Registered } from "../taxi/page";
import { t } from "../text";
import { Dialog } from "../ui/dialog";
import { Failure, say, sayError } from "../ui/notices";
import type { Case, CaseState, Officer } from "./case";

const MAX_NOTE = 500;
const MAX_REF = 100;

/** A change of a case decided on what stood on the screen; true when it was made. */
export async function change(one: Case, deed: string, body: Record<string, unknown>, onDone: (after: Case) => void, done: (after: Case) => string): Promise<boolean> {
  try {
    const after = await post<Case>(path(`/cases/{case}/${deed}`, { case: one.case }), { ...body, version: one.version }, { version: one.version });
    onDone(after);
    say("good", done(after), one.case);
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status === 409) {
      say("warn", error.who ? t("conflict.title", { who: error.who }) : error.title, error.detail || error.mend);
      const now = error.current as Case | null | undefined;
      if (now && now.case === one.case) onDone(now);
    } else {
      sayError(error);
    }
    return false;
  }
}

function Note(props: { value: string; onInput: (text: string) => void; says?: "ebike.note" | "ebike.stepNote"; focus?: boolean }) {
  return (
    <label>
      {t(props.says ?? "ebike.stepNote")}
      <textarea name="note" rows={3} maxLength={MAX_NOTE} value={props.value} onInput={(event) => props.onInput(event.currentTarget.value)} {...(props.focus ? { "data-first": true } : {})} />
    </label>
  );
}

function Feet(props: { says: string; disabled: boolean; onClose: () => void }) {
  return (
    <footer>
      <button type="button" onClick={props.onClose}>
        {t("do.cancel")}
      </button>
      <button class="primary" disabled={props.disabled}>
        {props.says}
      </button>
    </footer>
  );
}

export function StepDialog(props: { of: Case; to: CaseState; onClose: () => void; onDone: (after: Case) => void }) {
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  return (
    <Dialog
      title={`${t(`caseDo.${props.to as "stolen"}`)} · ${props.of.device}`}
      onClose={props.onClose}
      onSubmit={() => {
        setBusy(true);
        void change(props.of, "step", { state: props.to, note: note.trim() }, props.onDone, (after) => t("ebike.moved", { state: t(`case.${after.state}`) })).then(() => props.onClose());
      }}
    >
      {props.to === "closed" && <p class="warn-text">{t("ebike.closeHint")}</p>}
      <Note value={note} onInput={setNote} focus />
      <Feet says={t(`caseDo.${props.to as "stolen"}`)} disabled={busy} onClose={props.onClose} />
    </Dialog>
  );
}

export function HandOverDialog(props: { of: Case; onClose: () => void; onDone: (after: Case) => void }) {
  const [officers, setOfficers] = useState<Officer[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [to, setTo] = useState("");
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    first<Officer>("/cases/officers").then((found) => {
      const others = found.filter((one) => one.officer !== props.of.officer);
      setOfficers(others);
      setTo((before) => before || (others[0]?.officer ?? ""));
    }, setError);
  }, []);
  return (
    <Dialog
      title={`${t("ebike.handOver")} · ${props.of.case}`}
      onClose={props.onClose}
      onSubmit={() => {
        setBusy(true);
        void change(props.of, "hand_over", { to, note: note.trim() }, props.onDone, (after) => t("ebike.handed", { to: after.officer })).then((done) => {
          setBusy(false);
          if (done) props.onClose();
        });
      }}
    >
      {error !== null && <Failure error={error} />}
      {officers && !officers.length && <p class="warn-text">{t("ebike.noOfficers")}</p>}
      <label>
        {t("ebike.handTo")}
        <select name="officer" data-first value={to} disabled={!officers?.length} onChange={(event) => setTo(event.currentTarget.value)}>
          {officers?.map((one) => (
            <option key={one.officer} value={one.officer}>
              {t("ebike.officerCases", { who: one.name ? `${one.name} ${one.officer}` : one.officer, n: one.cases })}
            </option>
          ))}
        </select>
      </label>
      <Note value={note} onInput={setNote} />
      <Feet says={t("ebike.handOver")} disabled={busy || !to} onClose={props.onClose} />
    </Dialog>
  );
}

export function ReportDialog(props: { device: string; onClose: () => void; onDone: (made: Case) => void }) {
  const [text, setText] = useState(props.device);
  const [found, setFound] = useState<Registered[] | null>(null);
  const [device, setDevice] = useState(props.device);
  const [ref, setRef] = useState("");
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const wanted = text.trim().replace(/^ebike\//, "");
    if (!wanted) {
      setFound(null);
      return undefined;
    }
    const ended = new AbortController();
    const timer = setTimeout(() => {
      first<Registered>("/devices", { kind: "ebike", text: wanted, limit: 8 }, { signal: ended.signal }).then(
        (rows) => {
          setFound(rows);
          setDevice((before) => (rows.some((one) => one.device === before) ? before : (rows[0]?.device ?? "")));
        },
        (problem: unknown) => {
          if (!ended.signal.aborted) setError(problem);
        },
      );
    }, 200);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [text]);
  async function submit(): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      const made = await post<Case>("/cases", { device, owner_ref: ref.trim(), note: note.trim() });
      say("good", t("ebike.reported", { case: made.case }), made.device);
      props.onDone(made);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return (
    <Dialog title={t("ebike.report")} onClose={props.onClose} onSubmit={() => void submit()}>
      <p class="fine">{t("ebike.reportIntro")}</p>
      <label>
        {t("ebike.which")}
        <input name="find" type="search" data-first spellcheck={false} autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {found && (
        <fieldset class="unit-list bike-found">
          <legend class="visually-hidden">{t("ebike.found")}</legend>
          {!found.length && <p class="fine pad">{t("ebike.notFound")}</p>}
          {found.map((one) => (
            <label key={one.device}>
              <input type="radio" name="device" value={one.device} checked={device === one.device} onChange={() => setDevice(one.device)} />
              {one.device}
              <small>
                {one.plate} {one.name} {one.owner_ref}
              </small>
            </label>
          ))}
        </fieldset>
      )}
      <label>
        {t("ebike.ownerRef")} ({t("ask.required")})
        <input name="owner_ref" required maxLength={MAX_REF} value={ref} onInput={(event) => setRef(event.currentTarget.value)} />
      </label>
      <Note value={note} onInput={setNote} says="ebike.note" />
      {error !== null && <Failure error={error} />}
      <Feet says={t("ebike.doReport")} disabled={busy || !device || !ref.trim()} onClose={props.onClose} />
    </Dialog>
  );
}
