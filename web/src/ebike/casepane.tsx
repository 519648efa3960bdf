// One case: where it stands, where the e-bike was last (while the case is open), what was done by whom, and what can follow.

import { useEffect, useMemo, useState } from "preact/hooks";
import { get, path } from "../api/client";
import { first } from "../api/first";
import { Problem } from "../api/problem";
import type { Alarm } from "../api/types";
import { CommandList, argWords, useCommands } from "../commands/list";
import { PlaceMap } from "../map/placemap";
import type { Mark } from "../map/mapbox";
import { queue, revision } from "../state/alarms";
import { useLiveUnder } from "../state/follow";
import { clockTime, dateTime, nowMs, span, tick, when } from "../state/time";
import { useRegistered } from "../taxi/page";
import { OLD_MS } from "../taxi/status";
import { t, word } from "../text";
import { Failure } from "../ui/notices";
import { AsRegistered, BikeDeeds } from "./bike";
import { armedNow, bikePath, CASE_STATES, doings, due, following, isOpen, reportedAt, sightings, type Case, type CaseState, type Done, type LastPlace, type LastPlaces } from "./case";
import { HandOverDialog, StepDialog } from "./dialogs";

const SHOWN_PLACES = 12;
const HOURS = 24;

export function CasePane(props: { id: string; known: Case | null; onChange: (after: Case) => void }) {
  const [read, setRead] = useState<Case | null>(null);
  const [error, setError] = useState<unknown>(null);
  const known = props.known;
  useEffect(() => {
    if (known) return undefined;
    const ended = new AbortController();
    get<Case>(path("/cases/{case}", { case: props.id }), {}, { signal: ended.signal }).then(setRead, (problem: unknown) => {
      if (!ended.signal.aborted) setError(problem);
    });
    return () => ended.abort();
  }, [props.id, known === null]);
  const one = known ?? read;
  if (!one) return <div class="case-pane pad">{error !== null ? <Failure error={error} /> : <p class="fine">{t("app.loading")}</p>}</div>;
  return (
    <Shown
      one={one}
      onChange={(after) => {
        setRead(after);
        props.onChange(after);
      }}
    />
  );
}

function Shown({ one, onChange }: { one: Case; onChange: (after: Case) => void }) {
  /** Its place is refused: somebody has closed it meanwhile. */
  function onStale(): void {
    get<Case>(path("/cases/{case}", { case: one.case })).then(onChange, () => undefined);
  }
  const [asking, setAsking] = useState<CaseState | "hand" | null>(null);
  const { found } = useRegistered(one.device);
  const commands = useCommands(one.device, true);
  const alarms = useAlarms(one.device);
  const next = due(one.state);
  const open = isOpen(one);
  return (
    <article class="case-pane" aria-labelledby="case-title" data-case={one.case} data-state={one.state}>
      <header class="panel-head">
        <h1 id="case-title">{one.device}</h1>
        <span class="fine">
          {one.case} · {t("ebike.since", { time: when(reportedAt(one)) })}
        </span>
        {open && <BikeDeeds device={one.device} commands={commands} />}
      </header>
      <ol class="steps">
        {CASE_STATES.map((state, i) => {
          const at = CASE_STATES.indexOf(one.state);
          const step = one.steps.find((each) => each.state === state && !each.to);
          return (
            <li key={state} class={i === at ? "here" : i < at && step ? "done" : ""} {...(i === at ? { "aria-current": "step" as const } : {})}>
              {t(`case.${state}`)}
              {step?.time && <time>{clockTime(Date.parse(step.time))}</time>}
            </li>
          );
        })}
      </ol>
      {open && (
        <div class="deeds">
          {following(one.state).map((state) => (
            <button key={state} class={state === next ? "primary" : ""} data-step={state} onClick={() => setAsking(state)}>
              {t(`caseDo.${state as "stolen"}`)}
            </button>
          ))}
          <button data-step="hand" onClick={() => setAsking("hand")}>
            {t("ebike.handOver")}
          </button>
        </div>
      )}
      <div class="columns">
        <section>
          <dl class="facts">
            <dt>{t("ebike.officer")}</dt>
            <dd>{one.officer || t("ebike.noOfficer")}</dd>
            <dt>{t("ebike.owner")}</dt>
            <dd>{one.owner_ref}</dd>
          </dl>
          <AsRegistered found={found} />
          <p>
            <a href={bikePath(one.device)}>{t("ebike.casesOf")}</a>
          </p>
          <History rows={doings(one, commands.commands, alarms)} />
        </section>
        <section>
          {open ? (
            <Places of={one} onStale={onStale} />
          ) : (
            <>
              <h2>{t("ebike.places")}</h2>
              <p class="fine" data-hidden="yes">
                {t("ebike.placesHidden")}
              </p>
            </>
          )}
        </section>
      </div>
      <CommandList of={commands} />
      {asking === "hand" && <HandOverDialog of={one} onClose={() => setAsking(null)} onDone={onChange} />}
      {asking && asking !== "hand" && <StepDialog of={one} to={asking} onClose={() => setAsking(null)} onDone={onChange} />}
    </article>
  );
}

/** Its alarms, also those that are closed; read again when one of them changes. */
function useAlarms(device: string): readonly Alarm[] {
  const [found, setFound] = useState<readonly Alarm[]>([]);
  void revision.value;
  const now = queue.value
    .filter((alarm) => alarm.device === device)
    .map((alarm) => `${alarm.alarm}:${alarm.version}`)
    .join();
  useEffect(() => {
    const ended = new AbortController();
    first<Alarm>("/alarms", { device, all: true, limit: 100 }, { signal: ended.signal }).then(setFound, () => undefined);
    return () => ended.abort();
  }, [device, now]);
  return found;
}

function Places({ of: one, onStale }: { of: Case; onStale: () => void }) {
  const [last, setLast] = useState<LastPlaces | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const { place, gone } = useLiveUnder(`case:${one.case}`, one.device);
  void tick.value;
  // What comes live is newer than what was read: the list is read again, not oftener than twice a minute.
  const half = place ? Math.floor(place.fixMs / 30_000) : 0;
  useEffect(() => {
    const ended = new AbortController();
    get<LastPlaces>(path("/cases/{case}/places", { case: one.case }), { hours: HOURS }, { signal: ended.signal }).then(
      (found) => {
        setLast(found);
        setError(null);
      },
      (problem: unknown) => {
        if (ended.signal.aborted) return;
        setError(problem);
        if (problem instanceof Problem && problem.status === 403) onStale();
      },
    );
    return () => ended.abort();
  }, [one.case, one.version, turn, half, gone]);
  const points = last?.points ?? [];
  const newest = points[0];
  const live = place && (!newest || place.fixMs >= Date.parse(newest.time)) ? place : null;
  const here = live ? { lat: live.lat, lon: live.lon, accM: live.accM } : newest ? { lat: newest.lat, lon: newest.lon, accM: newest.acc_m } : null;
  const atMs = live ? live.fixMs : newest ? Date.parse(newest.time) : 0;
  const seen = useMemo(() => sightings(points), [last]);
  const marks = useMemo<Mark[]>(() => seen.map((sight, i) => ({ id: `seen-${i}`, kind: "post", lat: sight.lat, lon: sight.lon, label: clockTime(Date.parse(sight.last)) })), [seen]);
  const spots = useMemo(() => seen.map((sight) => ({ lat: sight.lat, lon: sight.lon, accM: sight.acc_m })), [seen]);
  const line = useMemo(() => points.filter((point) => !point.sighted).map((point) => ({ lat: point.lat, lon: point.lon })), [last]);
  return (
    <>
      <header class="section-head">
        <h2>{t("ebike.places")}</h2>
        <small>{t("ebike.placesHint", { case: one.case })}</small>
        <button class="small" onClick={() => setTurn((n) => n + 1)}>
          {t("cmds.refresh")}
        </button>
      </header>
      {error !== null && <Failure error={error} />}
      {last && !here && <p class="fine">{t("ebike.placesNone")}</p>}
      {here && (
        <>
          <PlaceMap here={here} kind="moving-dot" label={one.device.replace("ebike/", "")} marks={marks} spots={spots} line={line} />
          <p class="place-words" data-places={points.length}>
            <strong>
              {here.lat.toFixed(5)}, {here.lon.toFixed(5)}
            </strong>{" "}
            {here.accM !== null && t("ebike.accuracy", { n: Math.round(here.accM) })} · {t("clock.age", { age: span(nowMs() - atMs) })}
            {live && nowMs() - live.fixMs < OLD_MS && <span class="good-text"> · {t("ebike.live")}</span>}
          </p>
          <Tracker points={points} />
          <Table points={points} />
        </>
      )}
      <h3>{t("ebike.sightings")}</h3>
      {!seen.length && <p class="fine">{t("ebike.noSightings")}</p>}
      <ul class="plain" data-sightings={seen.length}>
        {seen.map((sight) => (
          <li key={sight.last}>
            <span>
              {dateTime(Date.parse(sight.last))}
              <small>
                {" "}
                {sight.lat.toFixed(5)}, {sight.lon.toFixed(5)}
              </small>
            </span>
            <span>{t("ebike.sightedAt", { n: sight.acc_m === null ? "?" : Math.round(sight.acc_m), times: sight.times })}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Tracker({ points }: { points: readonly LastPlace[] }) {
  const armed = armedNow(points);
  const battery = points.find((point) => point.battery_pct !== null)?.battery_pct;
  return (
    <p class="fine">
      {t(armed === null ? "ebike.armedUnknown" : armed ? "ebike.armed" : "ebike.disarmed")}
      {battery !== undefined && battery !== null && ` · ${t("ebike.battery", { n: battery })}`} · {t("ebike.placesMore", { n: points.length, hours: HOURS })}
    </p>
  );
}

function Table({ points }: { points: readonly LastPlace[] }) {
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={t("ebike.places")}>
      <table class="note-table">
        <thead>
          <tr>
            <th scope="col">{t("ebike.placeTime")}</th>
            <th scope="col">{t("ebike.placeAt")}</th>
            <th scope="col">{t("map.accuracy")}</th>
            <th scope="col">{t("map.speed")}</th>
            <th scope="col">{t("ebike.placeHow")}</th>
          </tr>
        </thead>
        <tbody>
          {points.slice(0, SHOWN_PLACES).map((point, i) => (
            <tr key={`${point.time}-${i}`}>
              <td>{when(point.time)}</td>
              <td>
                {point.lat.toFixed(5)}, {point.lon.toFixed(5)}
              </td>
              <td>{point.acc_m === null ? t("app.none") : t("ebike.accuracy", { n: Math.round(point.acc_m) })}</td>
              <td>{point.speed_kmh === null ? t("app.none") : t("map.kmh", { n: Math.round(point.speed_kmh) })}</td>
              <td>{t(point.sighted ? "ebike.byReader" : "ebike.byFix")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function whatWords(done: Done): string {
  const { what } = done;
  if (what.kind === "handed") return t("ebike.doneHanded", { to: what.to });
  if (what.kind === "command") return `${word("cmd", what.command.name)} ${argWords(what.command)} · ${t(`cmdState.${what.command.state}`)}`;
  if (what.kind === "alarm") return t("ebike.doneAlarm", { kind: word("kind", what.alarm.kind) });
  return what.state === "reported" ? t("ebike.doneReport") : t("ebike.doneStep", { state: t(`case.${what.state}`) });
}

function History({ rows }: { rows: readonly Done[] }) {
  return (
    <>
      <h2>{t("ebike.done")}</h2>
      <ol class="history">
        {rows.map((done) => (
          <li key={done.key} data-done={done.what.kind}>
            <time>{done.time ? dateTime(Date.parse(done.time)).slice(5, 16) : ""}</time>
            <span>
              {done.what.kind === "alarm" ? <a href={`/desk/${encodeURIComponent(done.what.alarm.alarm)}`}>{whatWords(done)}</a> : whatWords(done)}{" "}
              <small>{done.by === "system" ? t("ebike.bySystem") : done.by}</small> {done.note && <q>{done.note}</q>}
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}
