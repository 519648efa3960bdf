// How the service itself does: what is not as it should be first, then its sources, the counters that must add up, disk, cameras, clock.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { said, type System } from "../api/oversight";
import { clockTime, msOf, span } from "../state/time";
import { t, word } from "../text";
import { useAsked } from "../ui/ask";
import { Failure } from "../ui/notices";
import { Lines } from "../ui/plot";
import { bytes, short } from "../ui/scale";

const POLL_MS = 5_000;
const MOST_LOOKS = 120;
/** Longer than this with nothing is told by a mark; some sources are silent for long by nature. */
const SILENT_S = 300;

interface Look {
  at: number;
  perS: number | null;
  lagS: number | null;
}

export default function SystemPage() {
  const asked = useAsked((signal) => get<System>("/system", {}, { signal }), "system", POLL_MS);
  const looks = useLooks(asked.value);
  const now = asked.value;
  return (
    <div class="sheets" data-page="system">
      <header>
        <h1>{t("system.title")}</h1>
        {now && <p class="fine">{t("over.updated", { time: clockTime(msOf(now.time) ?? 0) })}</p>}
      </header>
      {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
      {now && (
        <>
          <Findings now={now} />
          <Tiles now={now} />
          <Sources now={now} looks={looks} />
          <div class="two-sheets">
            <Invariant now={now} />
            <Stores now={now} />
            <Cameras now={now} />
            <Versions now={now} />
          </div>
        </>
      )}
      {!now && asked.error === null && <p class="empty">{t("app.loading")}</p>}
    </div>
  );
}

/** The last answers, for the plot: nobody keeps them but this page. */
function useLooks(now: System | null): readonly Look[] {
  const kept = useRef<Look[]>([]);
  const [looks, setLooks] = useState<readonly Look[]>([]);
  useEffect(() => {
    if (!now) return;
    const at = msOf(now.time) ?? 0;
    const lag = now.points.lag_ms;
    kept.current = [...kept.current, { at, perS: now.points.per_s, lagS: lag === null ? null : lag / 1000 }].slice(-MOST_LOOKS);
    setLooks(kept.current);
  }, [now]);
  return looks;
}

function Findings({ now }: { now: System }) {
  return (
    <section class="sheet" aria-labelledby="findings-title" data-findings={now.findings.length}>
      <h2 id="findings-title">{t("system.findings")}</h2>
      {now.findings.length ? (
        <ul class="finding-list">
          {now.findings.map((one) => (
            <li key={one.finding} data-finding={one.finding}>
              {said(one.words)}
            </li>
          ))}
        </ul>
      ) : (
        <p class="well">{t("system.well")}</p>
      )}
    </section>
  );
}

function Tiles({ now }: { now: System }) {
  const { disk, points } = now;
  const registered = Object.values(now.devices.registered).reduce((a, b) => a + b, 0);
  const free = disk.free_bytes === null ? t("app.none") : bytes(disk.free_bytes);
  return (
    <dl class="figures">
      <div>
        <dt>{t("system.rate")}</dt>
        <dd>{points.per_s === null ? t("app.none") : short(points.per_s)}</dd>
      </div>
      <div class={points.lag_ms === null ? "" : points.lag_ms > 60_000 ? "bad" : "good"}>
        <dt>{t("system.lag")}</dt>
        <dd>{points.lag_ms === null ? t("app.none") : t("over.s", { n: short(points.lag_ms / 1000) })}</dd>
      </div>
      <div>
        <dt>{t("system.online")}</dt>
        <dd>
          {now.devices.online ?? t("app.none")} <small>{t("system.ofRegistered", { n: registered })}</small>
        </dd>
      </div>
      <div class={disk.free_share === null ? "" : disk.free_share < 0.1 ? "bad" : "good"}>
        <dt>{t("system.free")}</dt>
        <dd>
          {free} <small>{disk.seen_s < 3600 ? t("system.leftUnknown") : disk.days_left === null ? t("system.leftSteady") : t("system.left", { n: Math.floor(disk.days_left) })}</small>
        </dd>
      </div>
      <div>
        <dt>{t("system.viewers")}</dt>
        <dd>{now.viewers.events ?? t("app.none")}</dd>
      </div>
      <div>
        <dt>{t("system.uptime")}</dt>
        <dd>{now.service.uptime_s === null ? t("app.none") : span(now.service.uptime_s * 1000)}</dd>
      </div>
    </dl>
  );
}

function Sources({ now, looks }: { now: System; looks: readonly Look[] }) {
  const labels = looks.map((look) => clockTime(look.at));
  return (
    <section class="sheet" aria-labelledby="sources-title">
      <h2 id="sources-title">{t("system.sources")}</h2>
      <div class="beside">
        {now.sources.length ? (
          <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="sources-title">
            <table data-table="sources">
              <thead>
                <tr>
                  <th scope="col">{t("system.source")}</th>
                  <th scope="col">{t("system.connected")}</th>
                  <th scope="col" class="number">
                    {t("system.perS")}
                  </th>
                  <th scope="col" class="number">
                    {t("system.silent")}
                  </th>
                  <th scope="col" class="number">
                    {t("system.count")}
                  </th>
                  <th scope="col" class="number">
                    {t("system.rejected")}
                  </th>
                </tr>
              </thead>
              <tbody>
                {now.sources.map((one) => (
                  <tr key={one.source} data-source={one.source}>
                    <th scope="row">{said(one.words)}</th>
                    <td>{one.connected === null ? t("app.none") : <span class={`tag ${one.connected ? "good" : "bad"}`}>{t(one.connected ? "system.up" : "system.down")}</span>}</td>
                    <td class="number">{one.per_s === null ? t("app.none") : short(one.per_s)}</td>
                    <td class="number">{one.silent_s === null ? t("app.none") : <span class={one.silent_s > SILENT_S ? "warn-text" : ""}>{span(one.silent_s * 1000)}</span>}</td>
                    <td class="number">{one.count ?? t("app.none")}</td>
                    <td class="number">{one.rejected ?? t("app.none")}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        ) : (
          <p class="empty">{t("system.noSources")}</p>
        )}
        <div>
          <Lines title={t("system.plotRate")} unit={t("system.plotRate")} height={120} labels={labels} series={[{ name: t("system.rate"), nth: 1, values: looks.map((look) => look.perS) }]} />
          <Lines title={t("system.plotLag")} unit={t("system.plotLag")} height={120} labels={labels} series={[{ name: t("system.lag"), nth: 2, values: looks.map((look) => look.lagS) }]} />
        </div>
      </div>
    </section>
  );
}

function Invariant({ now }: { now: System }) {
  const { points } = now;
  const parts: [string, number][] = [
    [t("system.stored"), points.stored],
    [t("system.duplicate"), points.duplicate],
    [t("system.quarantined"), points.quarantined],
    ...(points.expired ? ([[t("system.expired"), points.expired]] as [string, number][]) : []),
    [t("system.inFlight"), points.in_flight],
  ];
  return (
    <section class="sheet" aria-labelledby="invariant-title" data-holds={points.holds ? "yes" : "no"}>
      <h2 id="invariant-title">
        {t("system.invariant")} <span class={`tag ${points.holds ? "good" : "bad"}`}>{t(points.holds ? "system.holds" : "system.broken")}</span>
      </h2>
      <dl class="equation">
        <div>
          <dt>{t("system.received")}</dt>
          <dd>{points.received}</dd>
        </div>
        {parts.map(([name, count], n) => (
          <Part key={name} sign={n ? "+" : "="} name={name} count={count} />
        ))}
      </dl>
      <p class="fine">{t("system.invariantHint")}</p>
      <h3>{t("system.byReason")}</h3>
      {now.rejected.length ? (
        <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="invariant-title">
          <table data-table="rejected">
            <thead>
              <tr>
                <th scope="col">{t("system.reason")}</th>
                <th scope="col" class="number">
                  {t("system.points")}
                </th>
              </tr>
            </thead>
            <tbody>
              {now.rejected.map((one) => (
                <tr key={one.reason}>
                  <td>
                    {said(one.words)} <small>{one.reason}</small>
                  </td>
                  <td class="number">{one.rows}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p class="fine">{t("system.nothingRejected")}</p>
      )}
    </section>
  );
}

function Part(props: { sign: string; name: string; count: number }) {
  return (
    <>
      <span aria-hidden="true">{props.sign}</span>
      <div>
        <dt>{props.name}</dt>
        <dd>{props.count}</dd>
      </div>
    </>
  );
}

function Stores({ now }: { now: System }) {
  const { series, broker, disk, clock } = now;
  const skew = Math.abs(Date.now() - (msOf(now.time) ?? 0));
  return (
    <section class="sheet" aria-labelledby="stores-title">
      <h2 id="stores-title">{t("system.stores")}</h2>
      <dl class="facts">
        <dt>{t("system.series")}</dt>
        <dd>
          {word("series", series.store)} {series.away && <span class="tag bad">{t("system.away", { age: span(series.away_s * 1000) })}</span>}
          {!!series.numbers_pending && <small> {t("system.pending", { n: series.numbers_pending })}</small>}
          {!!series.mirror_missed && <small class="warn-text"> {t("system.missed", { n: series.mirror_missed })}</small>}
        </dd>
        <dt>{t("system.broker")}</dt>
        <dd>{broker.port ? t(broker.embedded ? "system.embedded" : "system.external", { port: broker.port }) : t("over.unknown")}</dd>
        <dt>{t("system.free")}</dt>
        <dd>
          {disk.free_bytes === null || disk.total_bytes === null ? t("over.unknown") : `${bytes(disk.free_bytes)} / ${bytes(disk.total_bytes)}`}
          {disk.fills_bytes_per_day !== null && <small> −{bytes(disk.fills_bytes_per_day)} / {t("figures.dayUnit")}</small>}
        </dd>
        <dt>{t("system.evidence")}</dt>
        <dd>{disk.evidence_bytes === null ? t("over.unknown") : bytes(disk.evidence_bytes)}</dd>
        <dt>{t("system.recordings")}</dt>
        <dd>{disk.recording_bytes === null ? t("over.unknown") : bytes(disk.recording_bytes)}</dd>
        <dt>{t("system.clock")}</dt>
        <dd>
          {clock.synchronised === null ? t("over.unknown") : <span class={`tag ${clock.synchronised ? "good" : "bad"}`}>{t(clock.synchronised ? "system.steered" : "system.free.clock")}</span>}{" "}
          <small>{t("system.browser", { n: Math.round(skew) })}</small>
        </dd>
        <dt>{t("system.clocksOff")}</dt>
        <dd>{clock.devices_off ?? t("over.unknown")}</dd>
      </dl>
    </section>
  );
}

const CAMERA_TONES: Record<string, string> = { online: "good", degraded: "warn", stalled: "warn", offline: "bad", parked: "bad" };

function Cameras({ now }: { now: System }) {
  const there = now.cameras.filter((one) => one.count);
  return (
    <section class="sheet" aria-labelledby="cameras-title">
      <h2 id="cameras-title">{t("system.cameras")}</h2>
      {there.length ? (
        <dl class="facts">
          {there.map((one) => (
            <CameraState key={one.state} tone={CAMERA_TONES[one.state] ?? ""} words={said(one.words)} count={one.count} />
          ))}
          <dt>{t("system.workers")}</dt>
          <dd>{t("system.workersAre", { n: now.video.workers ?? 0, dead: now.video.worker_deaths ?? 0 })}</dd>
        </dl>
      ) : (
        <p class="empty">{t("system.camerasNone")}</p>
      )}
    </section>
  );
}

function CameraState(props: { tone: string; words: string; count: number }) {
  return (
    <>
      <dt>
        <span class={`tag ${props.tone}`}>{props.words}</span>
      </dt>
      <dd>{props.count}</dd>
    </>
  );
}

function Versions({ now }: { now: System }) {
  const { service } = now;
  return (
    <section class="sheet" aria-labelledby="versions-title">
      <h2 id="versions-title">{t("system.versions")}</h2>
      <dl class="facts">
        <dt>{t("system.program")}</dt>
        <dd>lucheng {service.version}</dd>
        <dt>{t("system.machine")}</dt>
        <dd>{service.machine}</dd>
        <dt>{t("system.libraries")}</dt>
        <dd translate={false}>
          Python {service.python}, SQLite {service.sqlite}
          {Object.entries(service.libraries).map(([name, version]) => `, ${name} ${version}`)}
        </dd>
      </dl>
    </section>
  );
}
