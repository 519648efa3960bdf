// The queue: what is open, the most urgent first, with filters, search and folding.

import { computed, signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { SEVERITIES, type Alarm, type Severity } from "../api/types";
import { go } from "../router";
import { loadAlarms, loadError, loaded, loadShelved, queue, sayShown, shelved } from "../state/alarms";
import { session } from "../state/session";
import { clockTime, msOf, tick } from "../state/time";
import { t, word } from "../text";
import { SeverityMark } from "../ui/marks";
import { Failure, sayError } from "../ui/notices";
import { Virtual } from "../ui/virtual";
import { face } from "./clock";
import { clockWords } from "./details";
import { allGroups, beside, fits, floods, rowsOf, type Row, type Show } from "./queue";
import { TestMark } from "./testmark";
import { searched } from "./words";

export const show = signal<Show>("all");
export const severity = signal<Severity | 0>(0);
export const search = signal("");
/** Folded by hand; a flood folds by itself. */
export const grouped = signal(false);
export const opened = signal<ReadonlySet<string>>(new Set());

const filtered = computed(() => {
  const filter = { show: show.value, severity: severity.value, text: search.value.trim(), user: session.value?.user ?? "" };
  if (filter.show === "shelved") return shelved.value.filter((alarm) => fits(alarm, filter, searched));
  if (filter.show === "all" && !filter.severity && !filter.text) return queue.value;
  return queue.value.filter((alarm) => fits(alarm, filter, searched));
});
export const flooded = computed(() => floods(queue.value));
export const rows = computed(() => rowsOf(filtered.value, grouped.value ? allGroups(filtered.value) : flooded.value, opened.value));

const counts = computed(() => {
  const found: Record<Severity, number> = { 1: 0, 2: 0, 3: 0 };
  for (const alarm of queue.value) found[alarm.severity] += 1;
  return found;
});

function choosing(one: Show): void {
  show.value = one;
  if (one === "shelved") void loadShelved().catch(sayError);
}

export function toggleGroup(group: string): void {
  const next = new Set(opened.peek());
  if (!next.delete(group)) next.add(group);
  opened.value = next;
}

export function choose(alarm: string): void {
  go(`/desk/${encodeURIComponent(alarm)}`);
}

/** The row by `step` from the chosen one. */
export function move(chosen: string, step: number): void {
  const to = beside(rows.peek(), chosen, step);
  if (to) choose(to);
}

/** Height of a row, in the root's size, which follows the width of the window. */
const ROW_REM = 3.6;
const measured = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize);
const remPx = signal(measured());
addEventListener("resize", () => {
  remPx.value = measured();
});

export function QueuePane(props: { chosen: string }) {
  const input = useRef<HTMLInputElement>(null);
  const list = rows.value;
  const rowPx = Math.round(ROW_REM * remPx.value);
  const chosenKey = list.find((row) => row.alarm.alarm === props.chosen)?.key ?? "";
  return (
    <section aria-label={t("desk.queue")}>
      <div class="queue-head">
        <div class="line">
          <h1>{t("desk.queue")}</h1>
          <span class="counts">
            {SEVERITIES.map((one) => (
              <button
                key={one}
                aria-pressed={severity.value === one}
                onClick={() => (severity.value = severity.value === one ? 0 : one)}
              >
                <SeverityMark severity={one} small />
                <span data-count={one}>{counts.value[one]}</span>
              </button>
            ))}
          </span>
        </div>
        <input
          ref={input}
          id="queue-search"
          type="search"
          placeholder={t("desk.search")}
          aria-label={t("desk.search")}
          value={search.value}
          onInput={(event) => (search.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            search.value = "";
            event.currentTarget.blur();
          }}
        />
        <div class="line">
          <div class="chips" role="radiogroup" aria-label={t("desk.filter.label")}>
            {(["all", "new", "mine", "shelved"] as const).map((one) => (
              <button key={one} role="radio" aria-checked={show.value === one} onClick={() => choosing(one)}>
                {t(`desk.filter.${one}`)}
              </button>
            ))}
            <button aria-pressed={grouped.value} onClick={() => (grouped.value = !grouped.value)}>
              {t("desk.group")}
            </button>
          </div>
          <small data-queue-size={queue.value.length}>{t("desk.count", { shown: filtered.value.length, all: queue.value.length })}</small>
        </div>
        <Load />
        {flooded.value.size > 0 && <div class="flood">{t("desk.flood")}</div>}
        {loadError.value !== null && <Failure error={loadError.value} again={() => void loadAlarms()} />}
      </div>
      <Virtual<Row>
        id="queue"
        items={list}
        rowPx={rowPx}
        label={t("desk.queue")}
        selected={chosenKey}
        keyOf={keyOf}
        onVisible={visible}
        render={(row) => <QueueRow row={row} chosen={row.alarm.alarm === props.chosen} />}
        empty={!loaded.value ? t("desk.loading") : queue.value.length ? t("desk.emptyFilter") : t("desk.empty")}
      />
    </section>
  );
}

/** What this browser saw come in, against what one seat can take in. */
const EEMUA_ALARMS_PER_10_MIN = 1;
const TEN_MINUTES_MS = 600_000;

function Load() {
  const since = new Date(tick.value - TEN_MINUTES_MS).toISOString();
  const came = queue.value.filter((alarm) => (alarm.received ?? "") > since).length;
  return <small class={came > EEMUA_ALARMS_PER_10_MIN ? "warn-text" : ""}>{t("desk.load", { n: came, limit: EEMUA_ALARMS_PER_10_MIN })}</small>;
}

const keyOf = (row: Row): string => (row.child ? `${row.group}/${row.key}` : row.key);
const visible = (items: readonly Row[]): void => sayShown(items.map((row) => row.alarm));

function QueueRow(props: { row: Row; chosen: boolean }) {
  const { row } = props;
  const alarm: Alarm = row.alarm;
  const clock = face(alarm, tick.value);
  const received = msOf(alarm.received);
  const kind = ["row", `s${alarm.severity}`, alarm.work, props.chosen ? "chosen" : "", row.child ? "child" : ""].join(" ");
  return (
    <div class={kind} onClick={() => choose(alarm.alarm)} data-alarm={alarm.alarm}>
      <SeverityMark severity={alarm.severity} />
      <span class="what">
        <strong>
          {word("kind", alarm.kind)} <TestMark alarm={alarm} />
        </strong>
        <small>
          {row.count > 1 ? t("desk.grouped", { n: row.count }) : [alarm.device, alarm.jurisdiction, alarm.owner].filter(Boolean).join(" · ")}
        </small>
      </span>
      <span class="end">
        {row.count > 1 && row.group ? (
          <button
            class="fold"
            aria-expanded={row.open}
            onClick={(event) => {
              event.stopPropagation();
              toggleGroup(row.group);
            }}
          >
            {t(row.open ? "desk.fold" : "desk.open")} {row.count}
          </button>
        ) : (
          <>
            <span class={`clock ${clock.state}`}>{clock.state === "none" ? "" : clockWords(clock)}</span>
            <small>
              <span class={`work ${alarm.work}`}>{t(`work.${alarm.work}`)}</span> {received !== null && clockTime(received)}
            </small>
          </>
        )}
      </span>
    </div>
  );
}
