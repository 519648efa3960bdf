// What a taxi did today, judged as the daily supervision judges it, up to now.

import { useState } from "preact/hooks";
import { get } from "../api/client";
import { clockTime, dateTime, nowMs, span } from "../state/time";
import { t, word } from "../text";
import type { Because } from "../ui/because";
import { Failure } from "../ui/notices";

/** As `console.reports.document` has it; what is not shown is left out. */
interface Row {
  device: string;
  points: number;
  distance_km: number | null;
  driving_s: number;
  trips: number;
  stops: number;
  hires: number | null;
  occupied_distance_share: number | null;
  max_kmh: number | null;
  online_time_rate: number | null;
  completeness: number | null;
  valid_rate: number | null;
}
interface Piece {
  start: string;
  end: string;
}
interface Report {
  date: string;
  to: string;
  vehicles: Row[];
  overspeed: (Piece & { lasted_s: number; limit_kmh: number; peak: { kmh: number } })[];
  fatigue: (Piece & { driven_s: number })[];
  areas: (Piece & { kind: string; fence: string })[];
  gaps: Piece[];
}

const TIMEOUT_MS = 60_000;
const ROWS = 5;
const share = (value: number | null): string => (value === null ? t("app.none") : `${(value * 100).toFixed(1)} %`);
const clock = (text: string): string => clockTime(Date.parse(text));

export function Supervision({ device, why }: { device: string; why: Because }) {
  const [report, setReport] = useState<Report | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  async function read(): Promise<void> {
    if (!why.purpose) {
      why.ask();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const date = dateTime(nowMs()).slice(0, 10);
      setReport(await get<Report>("/reports/supervision", { date, devices: [device], form: "json", purpose: why.purpose }, { timeoutMs: TIMEOUT_MS }));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  const row = report?.vehicles[0];
  return (
    <section class="pad supervision" data-read={report ? "yes" : "no"}>
      <header class="section-head">
        <h2>{t("taxi.supervision")}</h2>
        <button class="small" disabled={busy} onClick={() => void read()}>
          {t(report ? "cmds.refresh" : "taxi.readSupervision")}
        </button>
      </header>
      {error !== null && <Failure error={error} />}
      {report && (
        <p class="fine">{t("taxi.day", { date: report.date, time: clock(report.to) })}</p>
      )}
      {row && row.points === 0 && <p class="fine">{t("taxi.heardNothing")}</p>}
      {row && row.points > 0 && report && (
        <>
          <dl class="facts">
            <dt>{t("taxi.distance")}</dt>
            <dd>{row.distance_km === null ? t("app.none") : t("alarm.km", { n: row.distance_km.toFixed(1) })}</dd>
            <dt>{t("taxi.driving")}</dt>
            <dd>{span(row.driving_s * 1000)}</dd>
            <dt>{t("taxi.trips")}</dt>
            <dd>
              {row.trips} / {row.stops}
            </dd>
            <dt>{t("taxi.hires")}</dt>
            <dd>{row.hires ?? t("app.none")}</dd>
            <dt>{t("taxi.occupiedShare")}</dt>
            <dd>{share(row.occupied_distance_share)}</dd>
            <dt>{t("taxi.maxSpeed")}</dt>
            <dd>{row.max_kmh === null ? t("app.none") : t("map.kmh", { n: Math.round(row.max_kmh) })}</dd>
            <dt>{t("taxi.onlineTime")}</dt>
            <dd>{share(row.online_time_rate)}</dd>
            <dt>{t("taxi.completeness")}</dt>
            <dd>{share(row.completeness)}</dd>
            <dt>{t("taxi.validRate")}</dt>
            <dd>{share(row.valid_rate)}</dd>
          </dl>
          <Pieces title={t("taxi.overspeed", { n: report.overspeed.length })} rows={report.overspeed} say={(one) => t("taxi.overspeedRow", { kmh: Math.round(one.peak.kmh), limit: Math.round(one.limit_kmh), time: span(one.lasted_s * 1000) })} />
          <Pieces title={t("taxi.fatigue", { n: report.fatigue.length })} rows={report.fatigue} say={(one) => t("taxi.fatigueRow", { time: span(one.driven_s * 1000) })} />
          <Pieces title={t("taxi.areas", { n: report.areas.length })} rows={report.areas} say={(one) => `${word("kind", one.kind)} ${one.fence}`} />
          <Pieces title={t("taxi.gaps", { n: report.gaps.length })} rows={report.gaps} say={(one) => t("taxi.gapRow", { until: clock(one.end) })} />
        </>
      )}
    </section>
  );
}

function Pieces<T extends Piece>(props: { title: string; rows: readonly T[]; say: (row: T) => string }) {
  return (
    <>
      <h3>{props.title}</h3>
      {props.rows.length > 0 && (
        <ul class="plain">
          {props.rows.slice(-ROWS).map((row, i) => (
            <li key={`${row.start}-${i}`}>
              <time>{clock(row.start)}</time>
              <span>{props.say(row)}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
