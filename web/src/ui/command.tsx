// Ctrl+K: one line from which every page, alarm and device is reached. Pages add what they can do.

import { signal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { PAGES } from "../pages/table";
import { go } from "../router";
import { queue } from "../state/alarms";
import { chooseLanguage, chooseTheme, other } from "../state/prefs";
import { session, signOut } from "../state/session";
import { bikePath } from "../ebike/case";
import { taxiPath } from "../taxi/status";
import { t, word } from "../text";
import { dialogs } from "./keys";

export interface Command {
  says: string;
  /** Keys that do the same, shown beside it. */
  hint?: string;
  run: () => void;
}

export const commandOpen = signal(false);
/** Commands of the page that is open. */
export const pageCommands = signal<() => readonly Command[]>(() => []);
const MOST = 12;

function commands(text: string): Command[] {
  const role = session.value?.role ?? "";
  const made: Command[] = [...pageCommands.value()];
  for (const page of PAGES) {
    if (!(page.roles as readonly string[]).includes(role)) continue;
    if (page.paths[0]?.includes(":")) continue;
    made.push({ says: t("command.go", { page: t(page.title) }), run: () => go(page.paths[0] ?? "/") });
  }
  made.push({ says: t("command.theme"), run: () => chooseTheme(other().theme) });
  made.push({ says: t("command.language"), run: () => chooseLanguage(other().language) });
  made.push({ says: t("logout"), run: () => void signOut() });
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (says: string): boolean => parts.every((part) => says.toLowerCase().includes(part));
  const found = made.filter((one) => fits(one.says));
  if (text) {
    const may = (path: string): boolean => PAGES.some((page) => page.paths[0] === path && (page.roles as readonly string[]).includes(role));
    if (/^[a-z]+\/\S+$/i.test(text)) {
      if (may("/map")) found.push({ says: t("command.follow", { device: text }), run: () => go(`/map?follow=${encodeURIComponent(text)}`) });
      if (/^taxi\//i.test(text) && may("/taxi")) found.unshift({ says: t("command.taxi", { device: text }), run: () => go(taxiPath(text)) });
      if (/^ebike\//i.test(text) && may("/ebikes")) found.unshift({ says: t("command.ebike", { device: text }), run: () => go(bikePath(text)) });
      if (may("/replay")) found.push({ says: t("command.replay", { device: text }), run: () => go(`/replay?devices=${encodeURIComponent(text)}`) });
    }
    if (may("/desk")) {
      for (const alarm of queue.value) {
        if (found.length >= MOST) break;
        const says = `${alarm.alarm} ${word("kind", alarm.kind)} ${alarm.device}`;
        if (fits(says)) found.push({ says: t("command.alarm", { alarm: says }), run: () => go(`/desk/${encodeURIComponent(alarm.alarm)}`) });
      }
    }
  }
  return found.slice(0, MOST);
}

export function CommandLine() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const dialog = useRef<HTMLDialogElement>(null);
  const found = useMemo(() => commands(text), [text]);
  const close = (): void => {
    commandOpen.value = false;
  };
  useLayoutEffect(() => {
    dialog.current?.showModal();
    dialogs.value += 1;
    return () => {
      dialogs.value -= 1;
    };
  }, []);
  const run = (command: Command | undefined): void => {
    if (!command) return;
    close();
    command.run();
  };
  return (
    <dialog
      ref={dialog}
      class="command"
      aria-label={t("command.title")}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls="command-list"
        aria-activedescendant={`command-${at}`}
        aria-label={t("command.hint")}
        placeholder={t("command.hint")}
        value={text}
        autofocus
        spellcheck={false}
        onInput={(event) => {
          setText(event.currentTarget.value.trimStart());
          setAt(0);
        }}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            event.preventDefault();
            const step = event.key === "ArrowDown" ? 1 : -1;
            setAt((at + step + Math.max(1, found.length)) % Math.max(1, found.length));
          } else if (event.key === "Enter") {
            event.preventDefault();
            run(found[at]);
          }
        }}
      />
      <ul id="command-list" role="listbox" aria-label={t("command.title")}>
        {found.map((command, i) => (
          <li key={command.says} id={`command-${i}`} role="option" aria-selected={i === at} onClick={() => run(command)}>
            <span>{command.says}</span>
            {command.hint && <kbd>{command.hint}</kbd>}
          </li>
        ))}
      </ul>
      {!found.length && <p class="empty">{t("command.empty")}</p>}
    </dialog>
  );
}
