// Short messages at the edge: done, failed, who was first. Those that say that something was not done stay until they are put away.

import { signal } from "@preact/signals";
import { Problem, UNREACHABLE } from "../api/problem";
import { span } from "../state/time";
import { language, t } from "../text";

export interface Notice {
  id: number;
  tone: "good" | "bad" | "warn";
  title: string;
  body: string;
  /** What exactly, in the service's own words, which are English. */
  exactly: string;
}

const GOOD_MS = 4000;
const MOST = 5;
let next = 1;
export const notices = signal<readonly Notice[]>([]);

export function say(tone: Notice["tone"], title: string, body = "", exactly = ""): void {
  const notice: Notice = { id: next, tone, title, body, exactly };
  next += 1;
  notices.value = [...notices.peek(), notice].slice(-MOST);
  if (tone === "good") setTimeout(() => putAway(notice.id), GOOD_MS);
}

export function putAway(id: number): void {
  notices.value = notices.peek().filter((one) => one.id !== id);
}

/** What went wrong, as words: what it is and what to do next in the reader's language, what exactly in the service's. */
export function wordsOf(error: unknown): { title: string; body: string; exactly: string } {
  if (!(error instanceof Problem)) return { title: t("error.other"), body: error instanceof Error ? error.message : String(error), exactly: "" };
  if (error.code === UNREACHABLE) return { title: t("error.unreachable"), body: t("error.unreachable.mend"), exactly: "" };
  const title = error.title || t("error.code", { code: error.code });
  const mend = error.mend === title ? "" : error.mend;
  if (error.code === "locked" && error.waitS) return { title, body: `${t("error.wait", { time: span(error.waitS * 1000) })} ${mend}`, exactly: "" };
  const exactly = error.detail === title ? "" : error.detail;
  if (language.value === "en") return { title, body: [exactly, mend].filter(Boolean).join(" "), exactly: "" };
  return { title, body: mend, exactly };
}

export function sayError(error: unknown): void {
  const { title, body, exactly } = wordsOf(error);
  say("bad", title, body, exactly);
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.tone}`}>
          <div>
            <strong>{notice.title}</strong>
            {notice.body && <p>{notice.body}</p>}
            {notice.exactly && <p lang="en">{notice.exactly}</p>}
          </div>
          <button class="icon" aria-label={t("do.close")} onClick={() => putAway(notice.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}

/** What went wrong, where the thing would have stood. */
export function Failure(props: { error: unknown; again?: () => void }) {
  const { title, body, exactly } = wordsOf(props.error);
  return (
    <div class="failure" role="alert">
      <strong>{title}</strong>
      {body && <p>{body}</p>}
      {exactly && <p lang="en">{exactly}</p>}
      {props.again && <button onClick={props.again}>{t("do.retry")}</button>}
    </div>
  );
}
