// The incident report of an alarm: a sheet of A4 that says on paper what happened, when, who did what, where, with what evidence.

import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { get, path } from "../api/client";
import type { AlarmDetails, NearCamera, NearUnit } from "../api/types";
import { argWords } from "../commands/list";
import type { Command } from "../commands/life";
import { byWhom, distance, stepSaid } from "../desk/words";
import type { PageProps } from "../pages/table";
import { countdown, dateTime, nowMs, when } from "../state/time";
import { compass } from "../taxi/status";
import { t, word, type Key } from "../text";
import { use } from "../ui/keys";
import { SeverityMark } from "../ui/marks";
import { Failure } from "../ui/notices";
import { Sketch, type Placed } from "./drawing";
import { metres, reach, roadsAround, towards, type At } from "./sketch";
import { notesOf, stageTimes, verdict, type StageTime } from "./times";

interface IncidentReport extends AlarmDetails {
  commands: Command[];
  cases: string[];
  city: string;
  made: string;
  made_by: string;
}

interface Roads {
  features: Parameters<typeof roadsAround>[0];
}

const STAGES: Record<StageTime["stage"], Key> = {
  happened: "alarm.time",
  received: "alarm.received",
  shown: "action.show",
  acknowledged: "work.acknowledged",
  dispatched: "work.dispatched",
  on_scene: "work.on_scene",
  resolved: "work.resolved",
  closed: "work.closed",
};
const LETTERS = "ABCDEFGH";
const MOST_HISTORY = 200;

export default function IncidentPage({ params }: PageProps) {
  const id = params["alarm"] ?? "";
  const [report, setReport] = useState<IncidentReport | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ended = new AbortController();
    get<IncidentReport>(path("/alarms/{alarm}/report", { alarm: id }), {}, { signal: ended.signal }).then(
      (found) => {
        setReport(found);
        setError(null);
      },
      (problem: unknown) => {
        if (!ended.signal.aborted) setError(problem);
      },
    );
    return () => ended.abort();
  }, [id, turn]);
  useLayoutEffect(() => use({ title: "nav.incident", bindings: [{ keys: ["p"], says: "incident.print", run: () => print() }] }), []);
  return (
    <div class="incident">
      <div class="incident-bar">
        <a class="button" href={`/desk/${encodeURIComponent(id)}`}>
          {t("incident.back")}
        </a>
        <button class="primary" disabled={!report} onClick={() => print()}>
          {t("incident.print")} <kbd>p</kbd>
        </button>
      </div>
      {error !== null && (
        <div class="narrow">
          <Failure error={error} again={() => setTurn((n) => n + 1)} />
        </div>
      )}
      {!report && error === null && <p class="empty">{t("app.loading")}</p>}
      {report && <Sheet report={report} />}
    </div>
  );
}

function Sheet({ report }: { report: IncidentReport }) {
  const shown = report.history.slice(-MOST_HISTORY);
  return (
    <article class="paper" data-alarm={report.alarm}>
      <header class="paper-head">
        <SeverityMark severity={report.severity} />
        <div>
          <p>{t("incident.city", { city: report.city })}</p>
          <h1>
            {t("alarm.report")} · {word("kind", report.kind)}
          </h1>
          <p>
            {report.alarm} · {t(`severity.${report.severity}`)} · {t(`work.${report.work}`)}
            {report.outcome && ` · ${t(`outcome.${report.outcome}`)}`}
          </p>
        </div>
        <Clock report={report} />
      </header>
      <Facts report={report} />
      <Times report={report} />
      <Place report={report} />
      <Block title={t("incident.who")}>
        {shown.length < report.history.length && <p>{t("incident.tooMany", { n: MOST_HISTORY })}</p>}
        <Rows
          class="who-table"
          heads={["incident.at", "incident.what", "incident.by", "incident.said"]}
          rows={shown.map((step) => [when(step.time), word("action", step.action), byWhom(step.by), stepSaid(step)])}
        />
      </Block>
      <Block title={t("incident.commands")}>
        {report.commands.length ? (
          <Rows
            class="command-table"
            heads={["incident.at", "incident.what", "incident.by", "taxi.status", "incident.said"]}
            rows={report.commands.map((one) => [
              when(one.asked),
              `${word("cmd", one.name)} ${argWords(one)}`,
              [one.by === "system" ? t("ebike.bySystem") : one.by, one.approved_by && t("cmds.approved", { who: one.approved_by }), one.stopped_by && t("cmds.hungUp", { who: one.stopped_by })].filter(Boolean).join("\n"),
              `${t(`cmdState.${one.state}`)}${one.ended ? `\n${t("cmdState.ended")} ${when(one.ended)}` : ""}`,
              [one.reason, one.detail].filter(Boolean).join("\n"),
            ])}
          />
        ) : (
          <p>{t("incident.noCommands")}</p>
        )}
      </Block>
      <Block title={t("incident.evidence")}>
        {report.evidence.length ? (
          <Rows
            class="evidence-table"
            heads={["incident.kind", "incident.taken", "incident.source", "incident.bytes", "SHA-256"]}
            rows={report.evidence.map((one) => [word("evidence", one.kind), when(one.time ?? one.received), one.device, `${Math.ceil(one.size_bytes / 1024)} KiB`, one.sha256])}
          />
        ) : (
          <p>{t("alarm.noEvidence")}</p>
        )}
      </Block>
      <Block title={t("incident.notes")} whole>
        {notesOf(report.history).map((one, i) => (
          <p key={i} class="paper-note">
            <q>{one.note}</q> — {one.by}, {when(one.time)}
          </p>
        ))}
        <div class="write-lines" aria-hidden="true">
          <i />
          <i />
          <i />
        </div>
      </Block>
      <Block title={t("incident.signatures")} whole>
        <div class="signs">
          {(
            [
              ["incident.signOperator", report.owner],
              ["incident.signUnit", report.unit],
              ["incident.signLead", report.reviewer],
            ] as const
          ).map(([key, name]) => (
            <div key={key}>
              <i aria-hidden="true" />
              <span>
                {t(key)}
                {name && `：${name}`}
              </span>
              <span>{t("incident.signDate")}</span>
            </div>
          ))}
        </div>
      </Block>
      <footer class="paper-foot">{t("incident.made", { time: when(report.made), user: report.made_by })}</footer>
    </article>
  );
}

function Block(props: { title: string; whole?: boolean; children: ComponentChildren }) {
  return (
    <section class={props.whole ? "block whole" : "block"}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}

function Rows(props: { class: string; heads: readonly (Key | "SHA-256")[]; rows: readonly (readonly string[])[] }) {
  return (
    <table class={props.class}>
      <thead>
        <tr>
          {props.heads.map((head) => (
            <th key={head} scope="col">
              {head === "SHA-256" ? head : t(head)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {props.rows.map((row, i) => (
          <tr key={i}>
            {row.map((cell, j) => (
              <td key={j}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Clock({ report }: { report: IncidentReport }) {
  const found = verdict(report, nowMs());
  const text = "seconds" in found ? t(`incident.${found.kind}`, { time: countdown(found.seconds) }) : t(`incident.${found.kind}`);
  return <strong class={`verdict ${found.kind}`}>{text}</strong>;
}

function Facts({ report }: { report: IncidentReport }) {
  const { context } = report;
  const area = context.jurisdiction.map((one) => one.name || one.area).reverse().join(" › ");
  const rows: [Key, string][] = [
    ["alarm.device", [report.device, context.device.plate, context.device.name].filter(Boolean).join(" · ")],
    ...(context.site ? ([["alarm.site", [context.site.name, context.site.contact, context.site.phone].filter(Boolean).join(" · ")]] as [Key, string][]) : []),
    ["alarm.area", area || report.jurisdiction || t("app.none")],
    ["alarm.place", placeWords(report)],
    ["alarm.condition", [t(`condition.${report.condition}`), t("alarm.signals", { n: report.signals }), report.lap > 1 ? t("alarm.lap", { n: report.lap }) : ""].filter(Boolean).join(" · ")],
    ["alarm.owner", report.owner || t("alarm.nobody")],
    ["alarm.unit", report.unit || t("app.none")],
    ["alarm.outcome", report.outcome ? [t(`outcome.${report.outcome}`), report.reason].filter(Boolean).join(" · ") : t("app.none")],
    ...(report.cases.length ? ([["incident.cases", report.cases.join(" · ")]] as [Key, string][]) : []),
  ];
  return (
    <dl class="facts paper-facts">
      {rows.map(([key, value]) => (
        <div key={key}>
          <dt>{t(key)}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function placeWords(report: IncidentReport): string {
  if (report.place_hidden) return t("alarm.hidden");
  if (report.lat === null || report.lon === null) return t("alarm.noPlace");
  return `${report.lat.toFixed(5)}, ${report.lon.toFixed(5)} (${t("incident.datum")})`;
}

function Times({ report }: { report: IncidentReport }) {
  return (
    <Block title={t("incident.times")} whole>
      <Rows
        class="time-table"
        heads={["incident.step", "incident.at", "incident.after", "incident.by"]}
        rows={stageTimes(report, report.history).map((one) => [
          t(STAGES[one.stage]),
          one.at ? dateTime(Date.parse(one.at)) : t("incident.notYet"),
          one.afterS === null ? "" : `${one.afterS < 0 ? "−" : "+"}${Math.abs(one.afterS) < 60 ? `${Math.abs(one.afterS).toFixed(1)} s` : countdown(one.afterS)}`,
          one.by === "system" ? t("ebike.bySystem") : one.by,
        ])}
      />
    </Block>
  );
}

function bearing(deg: number | null): string {
  return deg === null ? "" : t(`compass.${compass(deg)}`);
}

function Place({ report }: { report: IncidentReport }) {
  const centre: At | null = !report.place_hidden && report.lat !== null && report.lon !== null ? { lat: report.lat, lon: report.lon } : null;
  const [roads, setRoads] = useState<Roads | null | undefined>(undefined);
  useEffect(() => {
    if (!centre) return;
    get<Roads>("/map/roads").then(setRoads, () => setRoads(null));
  }, [centre === null]);
  const { cameras, units } = report.context;
  const drawn = useMemo(() => {
    if (!centre || roads === undefined) return null;
    const seen: Placed[] = cameras.flatMap((one: NearCamera, i) => (one.lat === null || one.lon === null ? [] : [{ mark: String(i + 1), at: metres(centre, { lat: one.lat, lon: one.lon }) }]));
    const men: Placed[] = units.flatMap((one: NearUnit, i) => (one.distance_m === null || one.bearing_deg === null ? [] : [{ mark: LETTERS[i] ?? "?", at: towards(one.distance_m, one.bearing_deg) }]));
    const half = reach([...seen, ...men].map((one) => one.at));
    return { seen, men, half, lines: roadsAround(roads?.features ?? [], centre, half) };
  }, [roads, report]);
  const rows = [
    ...units.map((one, i) => [LETTERS[i] ?? "?", t("incident.legendUnit"), one.unit, one.distance_m === null ? "" : distance(one.distance_m), bearing(one.bearing_deg)]),
    ...cameras.map((one, i) => [String(i + 1), t("incident.legendCamera"), one.name || one.camera, one.distance_m === null ? "" : distance(one.distance_m), bearing(one.bearing_deg)]),
  ];
  return (
    <Block title={t("incident.place")} whole>
      <div class={centre ? "place-block" : ""} data-sketch={drawn ? (drawn.lines.length ? "roads" : "plain") : "none"}>
        {centre && drawn && (
          <figure>
            <Sketch roads={drawn.lines} half={drawn.half} cameras={drawn.seen} units={drawn.men} />
            <figcaption>{t(drawn.lines.length ? "incident.sketch" : "incident.noRoads")}</figcaption>
          </figure>
        )}
        {!centre && <p>{placeWords(report)}</p>}
        <div>
          <h3>{t("incident.near")}</h3>
          {rows.length ? <Rows class="near-table" heads={["incident.mark", "incident.kind", "incident.name", "incident.distance", "incident.direction"]} rows={rows} /> : <p>{t("app.none")}</p>}
        </div>
      </div>
    </Block>
  );
}
