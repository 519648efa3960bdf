// What needs a purpose, behind the question for it.

import type { ComponentChildren } from "preact";
import { AskPurpose, written } from "../ui/purpose";
import { asking, purpose } from "./why";

/** Pictures are looked at for a reason: asked before the first one. */
export function WithPurpose(props: { children: (purpose: string) => ComponentChildren }) {
  if (!purpose.value || asking.value) {
    return (
      <AskPurpose
        before={purpose.value}
        onGiven={(given) => {
          purpose.value = given;
          asking.value = false;
        }}
      />
    );
  }
  return <div class="cam-view" key={written(purpose.value)}>{props.children(written(purpose.value))}</div>;
}
