// The keys of the page and of the frame.

import { signal } from "@preact/signals";
import { t } from "../text";
import { Dialog } from "./dialog";
import { tables } from "./keys";

export const helpOpen = signal(false);
const NAMES: Record<string, string> = { " ": "␣", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
const nameOf = (key: string): string => key.replace(/[^+]+$/, (last) => NAMES[last] ?? (last.length === 1 && key.includes("+") ? last.toUpperCase() : last));

export function Help() {
  return (
    <Dialog title={t("keys.title")} onClose={() => (helpOpen.value = false)} wide>
      <div class="keys">
        {tables.value.map((table) => (
          <section key={table.title}>
            <h3>{t(table.title)}</h3>
            <dl>
              {table.bindings.map(
                (binding) =>
                  binding.says && (
                    <div key={binding.says}>
                      <dt>
                        {binding.keys
                          .filter((key) => !/[\uff01-\uff5e]/.test(key))
                          .slice(0, 2)
                          .map((key) => (
                            <kbd key={key}>{nameOf(key)}</kbd>
                          ))}
                      </dt>
                      <dd>{t(binding.says)}</dd>
                    </div>
                  ),
              )}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
