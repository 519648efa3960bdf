// The dialogs of what an operator does: what it needs is asked, and nothing else.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { list } from "../api/client";
import { OUTCOMES, type Alarm, type AlarmContext, type NearUnit, type Outcome, type Unit } from "../api/types";
import { alarmById, queue } from "../state/alarms";
import { session } from "../state/session";
import { clockTime, nowMs } from "../state/time";
import { t, word } from "../text";
import { Dialog } from "../ui/dialog";
import { say, sayError } from "../ui/notices";
import { act, asking } from "./act";
import { distance } from "./words";

const close = (): void => {
  asking.value = null;
};

export function Dialogs(props: { context: AlarmContext | null }) {
  const asked = asking.value;
  const alarm = asked ? alarmById(asked.id) : undefined;
  if (!asked || !alarm) return null;
  if (asked.deed === "hand_over") return <HandOver alarm={alarm} />;
  if (asked.deed === "dispatch") return <Dispatch alarm={alarm} context={props.context} />;
  if (asked.deed === "resolve") return <Resolve alarm={alarm} />;
  if (asked.deed === "close") return <Close alarm={alarm} />;
  return <Shelve alarm={alarm} />;
}

function Feet(props: { says: string; disabled?: boolean }) {
  return (
    <footer>
      <button type="button" onClick={close}>
        {t("do.cancel")}
      </button>
      <button class="primary" disabled={props.disabled ?? false}>
        {props.says}
      </button>
    </footer>
  );
}

function HandOver({ alarm }: { alarm: Alarm }) {
  const [to, setTo] = useState("");
  const [note, setNote] = useState("");
  return (
    <Dialog
      title={t("ask.handOver")}
      onClose={close}
      onSubmit={() =>
        void act(alarm, "hand_over", { to: to.trim(), ...(note.trim() ? { note: note.trim() } : {}) }, t("done.handOver", { to })).then((done) => done && close())
      }
    >
      <label>
        {t("ask.handOverTo")}
        <input data-first required value={to} onInput={(event) => setTo(event.currentTarget.value)} autocomplete="off" />
      </label>
      <label>
        {t("ask.note")}
        <textarea rows={3} maxLength={500} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      <Feet says={t("do.handOver")} disabled={!to.trim()} />
    </Dialog>
  );
}

function Dispatch({ alarm, context }: { alarm: Alarm; context: AlarmContext | null }) {
  const [units, setUnits] = useState<(NearUnit | Unit)[]>(context?.units ?? []);
  const [unit, setUnit] = useState(context?.units[0]?.unit ?? "");
  const [eta, setEta] = useState("");
  const listed = units.length > 0;
  useLayoutEffect(() => {
    document.querySelector<HTMLElement>(".unit-list [data-first]")?.focus();
  }, [listed]);
  useEffect(() => {
    // Nearest first as the alarm brought them, then the other free ones.
    list<Unit>("/units", { state: "free" }).then(
      (free) => {
        const near = context?.units ?? [];
        const known = new Set(near.map((one) => one.unit));
        setUnits([...near, ...free.filter((one) => !known.has(one.device))]);
        setUnit((now) => now || near[0]?.unit || free[0]?.device || "");
      },
      (error: unknown) => sayError(error),
    );
  }, []);
  return (
    <Dialog
      title={t("ask.dispatch")}
      onClose={close}
      onSubmit={() =>
        void act(alarm, "dispatch", { unit, ...(eta ? { eta_minutes: Number(eta) } : {}) }, t("done.dispatch", { unit })).then((done) => done && close())
      }
    >
      <div class="unit-list" role="radiogroup" aria-label={t("ask.unit")}>
        {units.map((one) => {
          const id = "unit" in one ? one.unit : one.device;
          return (
            <label key={id}>
              <input type="radio" name="unit" checked={unit === id} onChange={() => setUnit(id)} {...(unit === id ? { "data-first": true } : {})} />
              {id}
              <small>
                {word("unit", one.state)}
                {"distance_m" in one && one.distance_m !== null && ` · ${distance(one.distance_m)}`}
              </small>
            </label>
          );
        })}
        {!units.length && <p class="empty">{t("alarm.noUnits")}</p>}
      </div>
      <label>
        {t("ask.eta")}
        <input type="number" min={0} max={600} step={1} value={eta} onInput={(event) => setEta(event.currentTarget.value)} />
      </label>
      <Feet says={t("do.send")} disabled={!unit} />
    </Dialog>
  );
}

function Resolve({ alarm }: { alarm: Alarm }) {
  const [outcome, setOutcome] = useState<Outcome>("real");
  const [reason, setReason] = useState("");
  return (
    <Dialog
      title={t("ask.resolve")}
      onClose={close}
      onSubmit={() => void act(alarm, "resolve", { outcome, reason: reason.trim() }, t("done.resolve")).then((done) => done && close())}
    >
      <fieldset class="outcomes">
        <legend class="visually-hidden">{t("ask.outcome")}</legend>
        {OUTCOMES.map((one) => (
          <label key={one}>
            <input type="radio" name="outcome" checked={outcome === one} onChange={() => setOutcome(one)} {...(one === "real" ? { "data-first": true } : {})} />
            {t(`outcome.${one}`)}
          </label>
        ))}
      </fieldset>
      <label>
        {t("ask.note")}
        <textarea rows={3} maxLength={500} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <Feet says={t("do.resolve")} />
    </Dialog>
  );
}

function Close({ alarm }: { alarm: Alarm }) {
  const [reason, setReason] = useState("");
  const needed = alarm.condition === "active";
  return (
    <Dialog
      title={t("ask.close")}
      onClose={close}
      onSubmit={() => void act(alarm, "close", { reason: reason.trim() }, t("done.close")).then((done) => done && close())}
    >
      {needed && <p class="warn-text">{t("ask.closeActive")}</p>}
      <label>
        {t("ask.reason")}
        {needed && ` (${t("ask.required")})`}
        <textarea data-first rows={3} maxLength={500} required={needed} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <Feet says={t("do.closeAlarm")} disabled={needed && !reason.trim()} />
    </Dialog>
  );
}

function Shelve({ alarm }: { alarm: Alarm }) {
  const [minutes, setMinutes] = useState("30");
  const [reason, setReason] = useState("");
  return (
    <Dialog
      title={t("ask.shelve")}
      onClose={close}
      onSubmit={() => void act(alarm, "shelve", { minutes: Number(minutes), reason: reason.trim() }, t("done.shelve")).then((done) => done && close())}
    >
      <label>
        {t("ask.minutes")}
        <input type="number" min={1} max={44_640} required value={minutes} onInput={(event) => setMinutes(event.currentTarget.value)} />
      </label>
      <label>
        {t("ask.reason")}
        <textarea data-first rows={3} maxLength={500} required value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <Feet says={t("do.shelve")} disabled={!reason.trim()} />
    </Dialog>
  );
}

/** What is open at this seat, for the next shift: to print, or to hand over as a whole with a note. */
export function HandOverNote(props: { onClose: () => void }) {
  const user = session.value?.user ?? "";
  const mine = queue.value.filter((alarm) => alarm.owner === user);
  const [text, setText] = useState("");
  const [to, setTo] = useState("");
  async function give(): Promise<void> {
    let given = 0;
    let failed = 0;
    for (const alarm of mine) {
      if (!["acknowledged", "dispatched", "on_scene"].includes(alarm.work)) continue;
      const body = { to: to.trim(), ...(text.trim() ? { note: text.trim() } : {}) };
      if (await act(alarm, "hand_over", body, "", true)) given += 1;
      else failed += 1;
    }
    say(failed ? "warn" : "good", t("note.given", { n: given, to }), failed ? t("note.failed", { n: failed }) : "");
    props.onClose();
  }
  return (
    <Dialog title={t("note.title")} onClose={props.onClose} wide onSubmit={() => void give()}>
      <p class="fine">
        {t("note.intro")} {clockTime(nowMs())}
      </p>
      <div class="note-scroll">
        {mine.length ? (
          <table class="note-table">
            <thead>
              <tr>
                <th>{t("alarm.id")}</th>
                <th>{t("alarm.facts")}</th>
                <th>{t("alarm.device")}</th>
                <th>{t("map.state")}</th>
                <th>{t("alarm.unit")}</th>
              </tr>
            </thead>
            <tbody>
              {mine.map((alarm) => (
                <tr key={alarm.alarm}>
                  <td>{alarm.alarm.slice(0, 10)}</td>
                  <td>{word("kind", alarm.kind)}</td>
                  <td>{alarm.device}</td>
                  <td>{t(`work.${alarm.work}`)}</td>
                  <td>{alarm.unit || t("app.none")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          <p class="empty">{t("note.none")}</p>
        )}
      </div>
      <label>
        {t("note.free")}
        <textarea data-first rows={4} maxLength={500} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <label>
        {t("note.to")}
        <input value={to} onInput={(event) => setTo(event.currentTarget.value)} autocomplete="off" />
      </label>
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="primary" disabled={!to.trim() || !mine.length}>
          {t("note.give")}
        </button>
      </footer>
    </Dialog>
  );
}
