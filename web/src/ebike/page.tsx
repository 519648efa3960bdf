// Stolen e-bikes: the cases, one case with what belongs to it, and an e-bike without one, of which no place is shown.

import { useCallback, useEffect, useLayoutEffect, useState } from "preact/hooks";
import { first } from "../api/first";
import type { PageProps } from "../pages/table";
import { go, place as address } from "../router";
import { revision } from "../state/alarms";
import { is, session } from "../state/session";
import { when } from "../state/time";
import { t } from "../text";
import { pageCommands } from "../ui/command";
import { use } from "../ui/keys";
import { Failure } from "../ui/notices";
import { BikePane } from "./bike";
import { casePath, fits, isOpen, reportedAt, type Case } from "./case";
import { CasePane } from "./casepane";
import { ReportDialog } from "./dialogs";

const MOST = 1000;
type Filter = "open" | "mine" | "all";

export default function EbikePage({ params }: PageProps) {
  const id = params["case"] ?? "";
  const bike = address.value.query.get("bike") ?? "";
  const [cases, setCases] = useState<readonly Case[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [filter, setFilter] = useState<Filter>("open");
  const [text, setText] = useState("");
  const [reporting, setReporting] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  const all = filter === "all";

  useEffect(() => {
    const ended = new AbortController();
    first<Case>("/cases", { all, limit: MOST }, { signal: ended.signal }).then(
      (found) => {
        setCases(found);
        setError(null);
      },
      (problem: unknown) => {
        if (!ended.signal.aborted) setError(problem);
      },
    );
    return () => ended.abort();
  }, [all, turn]);
  // An alarm of an e-bike may have moved its case on.
  useEffect(() => {
    if (!revision.value) return undefined;
    const timer = setTimeout(again, 1500);
    return () => clearTimeout(timer);
  }, [revision.value]);
  const put = useCallback((one: Case) => setCases((before) => (before ? [one, ...before.filter((old) => old.case !== one.case)].sort((a, b) => (a.case < b.case ? 1 : -1)) : [one])), []);

  const mine = session.value?.user ?? "";
  const shown = (cases ?? []).filter((one) => (all || isOpen(one)) && (filter !== "mine" || one.officer === mine) && fits(one, text));
  const at = shown.findIndex((one) => one.case === id);
  useLayoutEffect(() => {
    const step = (by: number) => (): void => {
      const to = shown[Math.max(0, Math.min(shown.length - 1, at + by))];
      if (to) go(casePath(to.case));
    };
    const undo = use({
      title: "keys.ebikes",
      bindings: [
        { keys: ["j", "ArrowDown"], says: "keys.ebikes.next", run: step(1) },
        { keys: ["k", "ArrowUp"], says: "keys.ebikes.before", run: step(-1) },
        { keys: ["/", "／"], says: "keys.ebikes.search", run: () => document.getElementById("case-search")?.focus() },
        { keys: ["n"], says: "keys.ebikes.report", run: () => is("operator", "supervisor") && setReporting("") },
        { keys: ["r"], says: "keys.ebikes.refresh", run: again },
      ],
    });
    pageCommands.value = () => (is("operator", "supervisor") ? [{ says: t("ebike.report"), hint: "n", run: () => setReporting("") }] : []);
    return () => {
      undo();
      pageCommands.value = () => [];
    };
  }, [shown.map((one) => one.case).join(), at]);

  return (
    <div class="ebikes">
      <section class="case-list" aria-label={t("ebike.cases")}>
        <header class="section-head">
          <h1>{t("ebike.cases")}</h1>
          <small>{cases && t("ebike.count", { n: shown.length })}</small>
          {is("operator", "supervisor") && (
            <button class="primary" onClick={() => setReporting("")}>
              {t("ebike.report")}
            </button>
          )}
        </header>
        <div class="chips" role="radiogroup" aria-label={t("ebike.filterLabel")}>
          {(["open", "mine", "all"] as const).map((one) => (
            <button key={one} role="radio" aria-checked={filter === one} onClick={() => setFilter(one)}>
              {t(`ebike.${one}`)}
            </button>
          ))}
        </div>
        <input id="case-search" type="search" placeholder={t("ebike.search")} aria-label={t("ebike.search")} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        {error !== null && <Failure error={error} again={again} />}
        {!cases && error === null && <p class="fine">{t("ebike.loading")}</p>}
        {cases && !shown.length && <p class="empty">{t(text || filter !== "open" ? "ebike.emptyFilter" : "ebike.empty")}</p>}
        <ul class="rows">
          {shown.map((one) => (
            <li key={one.case}>
              <a class="case-row" href={casePath(one.case)} {...(one.case === id ? { "aria-current": "page" as const } : {})} data-case={one.case}>
                <strong>{one.device}</strong>
                <span class={`case-state ${one.state}`}>{t(`case.${one.state}`)}</span>
                <small>
                  {one.case} · {when(reportedAt(one))}
                </small>
                <small>{one.officer || t("ebike.noOfficer")}</small>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {id ? (
        <CasePane key={id} id={id} known={cases?.find((one) => one.case === id) ?? null} onChange={put} />
      ) : bike ? (
        <BikePane key={bike} device={bike} onReport={() => setReporting(bike)} />
      ) : (
        <p class="empty">{t("ebike.pick")}</p>
      )}
      {reporting !== null && (
        <ReportDialog
          device={reporting}
          onClose={() => setReporting(null)}
          onDone={(made) => {
            setReporting(null);
            put(made);
            go(casePath(made.case));
          }}
        />
      )}
    </div>
  );
}
