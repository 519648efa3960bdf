// Why protected data is opened: asked first, shown throughout, and sent with every read.

import { useState } from "preact/hooks";
import { PURPOSES, type PurposeCode } from "../api/types";
import { t } from "../text";

export interface Purpose {
  code: PurposeCode;
  ref: string;
  note: string;
}

/** As the service takes it: `code:ref:note`. A colon in the reference would begin the note. */
export function written(purpose: Purpose): string {
  return [purpose.code, purpose.ref.replaceAll(":", " ").trim(), purpose.note.trim()].join(":").replace(/:+$/, "");
}

export function words(purpose: Purpose): string {
  return [t(`purpose.${purpose.code}`), purpose.ref, purpose.note].filter(Boolean).join(" · ");
}

const NEEDS_REF = new Set<PurposeCode>(["alarm", "case", "subject_request", "maintenance"]);

export function AskPurpose(props: { before: Purpose | null; onGiven: (purpose: Purpose) => void }) {
  const [code, setCode] = useState<PurposeCode>(props.before?.code ?? "case");
  const [ref, setRef] = useState(props.before?.ref ?? "");
  const [note, setNote] = useState(props.before?.note ?? "");
  const needed = NEEDS_REF.has(code);
  return (
    <form
      class="narrow stack"
      onSubmit={(event) => {
        event.preventDefault();
        props.onGiven({ code, ref: ref.trim(), note: note.trim() });
      }}
    >
      <h1>{t("purpose.title")}</h1>
      <p class="fine">{t("purpose.intro")}</p>
      <label>
        {t("purpose.code")}
        <select value={code} onChange={(event) => setCode(event.currentTarget.value as PurposeCode)} name="code" autofocus>
          {PURPOSES.map((one) => (
            <option key={one} value={one}>
              {t(`purpose.${one}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("purpose.ref")}
        {needed && ` (${t("ask.required")})`}
        <input name="ref" maxLength={100} required={needed} value={ref} onInput={(event) => setRef(event.currentTarget.value)} />
      </label>
      <label>
        {t("purpose.note")}
        <textarea name="note" rows={2} maxLength={300} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      <button class="primary" disabled={needed && !ref.trim()}>
        {t("purpose.start")}
      </button>
    </form>
  );
}
