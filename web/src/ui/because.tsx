// Why a panel reads what is protected: its open alarm by itself, else what is asked of the person, in a dialog over the panel.
// Shown beside what was read; kept for the tab alone, and for nobody who signs in after.

import { effect, signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { session } from "../state/session";
import { t } from "../text";
import { Dialog } from "./dialog";
import { AskPurpose, words, written, type Purpose } from "./purpose";

const said = signal<Purpose | null>(null);
let user = "";
effect(() => {
  const now = session.value?.user ?? "";
  if (now !== user) said.value = null;
  user = now;
});

export interface Because {
  /** As the service takes it; "" none yet. */
  purpose: string;
  asked: boolean;
  ask: () => void;
  words: string;
  dialog: preact.JSX.Element | null;
}

/** `alarm`: the open alarm that grants its own device, or "". */
export function useBecause(alarm: string): Because {
  const [asking, setAsking] = useState(false);
  const byAlarm: Purpose | null = alarm ? { code: "alarm", ref: alarm, note: "" } : null;
  const why = said.value ?? byAlarm;
  return {
    purpose: why ? written(why) : "",
    asked: said.value !== null,
    ask: () => setAsking(true),
    words: why ? words(why) : "",
    dialog: asking ? (
      <Dialog title={t("purpose.title")} onClose={() => setAsking(false)} plain>
        <AskPurpose
          before={why}
          onGiven={(given) => {
            said.value = given;
            setAsking(false);
          }}
        />
      </Dialog>
    ) : null,
  };
}

/** The line that says it, with the way to another one. */
export function BecauseLine({ why }: { why: Because }) {
  return (
    <p class="because">
      <span>{why.words ? t("purpose.shown", { purpose: why.words }) : t("taxi.purposeNeeded")}</span>
      <button type="button" onClick={why.ask}>
        {t(why.words ? "purpose.change" : "taxi.purposeAsk")}
      </button>
    </p>
  );
}
