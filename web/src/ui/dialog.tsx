// A dialog that holds the focus, closes with Esc, and gives the focus back. The browser's own <dialog> does the holding.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../text";
import { dialogs } from "./keys";

export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
  /** Neither Esc nor a click beside it closes it. */
  firm?: boolean;
  onSubmit?: () => void;
  /** What is inside has forms of its own. */
  plain?: boolean;
}) {
  const at = useRef<HTMLDialogElement>(null);
  const close = useRef(props.onClose);
  close.current = props.onClose;
  // Before anything is painted: a key that follows at once finds the dialog open.
  useLayoutEffect(() => {
    const dialog = at.current;
    const before = document.activeElement;
    dialog?.showModal();
    // Never the cross first: Enter would close what was just opened.
    (dialog?.querySelector<HTMLElement>("[data-first]") ?? dialog)?.focus();
    dialogs.value += 1;
    return () => {
      dialogs.value -= 1;
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const head = (
    <header>
      <h2 id="dialog-title">{props.title}</h2>
      {!props.firm && (
        <button type="button" class="icon" aria-label={t("do.close")} onClick={() => close.current()}>
          ✕
        </button>
      )}
    </header>
  );
  return (
    <dialog
      ref={at}
      tabIndex={-1}
      class={props.wide ? "dialog wide" : "dialog"}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        if (!props.firm) close.current();
      }}
      onClick={(event) => {
        if (event.target === at.current && !props.firm) close.current();
      }}
    >
      {props.plain ? (
        <div class="dialog-in">
          {head}
          {props.children}
        </div>
      ) : (
        <form
          method="dialog"
          onSubmit={(event) => {
            event.preventDefault();
            props.onSubmit?.();
          }}
        >
          {head}
          {props.children}
        </form>
      )}
    </dialog>
  );
}
