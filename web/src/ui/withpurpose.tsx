// Purpose first: nothing of a page is there before it is said why, and it stands above the page throughout. Kept while the tab is
// open and somebody is signed in, so that going from a search to a replay asks nobody twice; never kept in the browser.

import { effect, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { session } from "../state/session";
import { t } from "../text";
import { AskPurpose, words, written, type Purpose } from "./purpose";

const given = signal<Purpose | null>(null);
const asking = signal(true);

let user = "";
effect(() => {
  const now = session.value?.user ?? "";
  if (now === user) return;
  user = now;
  given.value = null;
  asking.value = true;
});

/** `children` gets the purpose as the service takes it; with another one the page begins anew. */
export function WithPurpose(props: { children: (purpose: string) => ComponentChildren }) {
  const purpose = given.value;
  if (!purpose || asking.value) {
    return (
      <AskPurpose
        before={purpose}
        onGiven={(said) => {
          given.value = said;
          asking.value = false;
        }}
      />
    );
  }
  return (
    <div class="with-purpose">
      <div class="purpose-bar">
        <strong>{t("purpose.shown", { purpose: words(purpose) })}</strong>
        <button onClick={() => (asking.value = true)}>{t("purpose.change")}</button>
      </div>
      <div class="with-purpose-page" key={written(purpose)}>
        {props.children(written(purpose))}
      </div>
    </div>
  );
}
