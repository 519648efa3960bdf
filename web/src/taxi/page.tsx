// One taxi: where it is and how far that can be believed, what can be told to it and what became of that, what it is in.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { get, path } from "../api/client";
import { first } from "../api/first";
import { CommandList, useCommands } from "../commands/list";
import { PlaceMap } from "../map/placemap";
import type { PageProps } from "../pages/table";
import { go, place as address } from "../router";
import { queue } from "../state/alarms";
import { useLive } from "../state/follow";
import { nowMs, span, tick, when } from "../state/time";
import { t, word } from "../text";
import { pageCommands } from "../ui/command";
import { use } from "../ui/keys";
import { SeverityMark } from "../ui/marks";
import { BecauseLine, useBecause, type Because } from "../ui/because";
import { Failure } from "../ui/notices";
import type { Alarm } from "../api/types";
import { Actions } from "./actions";
import { DeviceEvidence } from "./evidence";
import { COARSE_M, compass, OLD_MS, statusOf, taxiPath } from "./status";
import { Supervision } from "./supervision";

export interface Registered {
  device: string;
  slot: number;
  enabled: boolean;
  name: string;
  plate: string;
  phone: string;
  model: string;
  owner_ref: string;
  protocol: string;
}

interface Terminal {
  device: string;
  protocol: string | null;
  session: { protocol?: string } | null;
}

export default function TaxiPage({ params }: PageProps) {
  const named = params["device"] ? `taxi/${params["device"]}` : (address.value.query.get("device") ?? "");
  return named.startsWith("taxi/") ? <Panel key={named} device={named} /> : <Finder />;
}

/** What is said of a device in the registry. */
export function useRegistered(device: string): { found: Registered | null; error: unknown; again: () => void } {
  const [found, setFound] = useState<Registered | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ended = new AbortController();
    get<Registered>(path("/devices/{device}", { device }), {}, { signal: ended.signal }).then(
      (one) => {
        setFound(one);
        setError(null);
      },
      (problem: unknown) => {
        if (!ended.signal.aborted) setError(problem);
      },
    );
    return () => ended.abort();
  }, [device, turn]);
  return { found, error, again: () => setTurn((n) => n + 1) };
}

function Panel({ device }: { device: string }) {
  const { found, error, again } = useRegistered(device);
  const commands = useCommands(device);
  const alarms = queue.value.filter((one) => one.device === device);
  const worst = alarms.find((one) => one.kind === "sos") ?? alarms[0];
  const why = useBecause(worst?.alarm ?? "");
  // What the alarm does changes what the desk has told the taxi.
  const version = alarms.map((one) => `${one.alarm}:${one.version}`).join();
  useEffect(() => {
    if (version) commands.read();
  }, [version]);
  useLayoutEffect(() => {
    const focus = (selector: string) => (): void => document.querySelector<HTMLElement>(selector)?.focus();
    pageCommands.value = () => [
      { says: t("taxi.photo"), hint: "p", run: focus("#taxi-photo") },
      { says: t("taxi.text"), hint: "t", run: focus("#taxi-text") },
      { says: t("command.replay", { device }), run: () => go(`/replay?devices=${encodeURIComponent(device)}`) },
    ];
    const undo = use({
      title: "keys.taxi",
      bindings: [
        { keys: ["p"], says: "keys.taxi.photo", run: focus("#taxi-photo") },
        { keys: ["t"], says: "keys.taxi.text", run: focus("#taxi-text") },
        { keys: ["r"], says: "keys.taxi.refresh", run: commands.read },
      ],
    });
    return () => {
      undo();
      pageCommands.value = () => [];
    };
  }, [device]);
  if (error !== null) {
    return (
      <div class="narrow">
        <Failure error={error} again={again} />
        <p>
          <a href="/taxi">{t("taxi.find")}</a>
        </p>
      </div>
    );
  }
  return (
    <div class="taxi" data-device={device}>
      <header class="panel-head">
        <h1>{found?.plate || found?.name || device}</h1>
        <span class="fine">
          {found?.plate || found?.name ? device : ""}
          {found?.owner_ref && ` · ${found.owner_ref}`}
          {found?.model && ` · ${found.model}`}
          {found && !found.enabled && <strong class="bad-text"> · {t("taxi.disabled")}</strong>}
        </span>
        <Connected registered={found} />
        <div class="chips">
          <a class="button" href={`/map?follow=${encodeURIComponent(device)}`}>
            {t("map.follow")}
          </a>
          <a class="button" href={`/replay?devices=${encodeURIComponent(device)}`}>
            {t("map.replay")}
          </a>
        </div>
      </header>
      <div class="taxi-columns">
        <section aria-label={t("taxi.place")}>
          <LivePlace device={device} why={why} />
        </section>
        <section aria-label={t("taxi.actions")}>
          <Actions device={device} alarms={alarms} commands={commands} />
          <CommandList of={commands} />
        </section>
        <section>
          <Alarms alarms={alarms} />
          <BecauseLine why={why} />
          <DeviceEvidence device={device} alarm={worst?.alarm ?? ""} purpose={why.purpose} fresh={commands.commands} />
          <Supervision device={device} why={why} />
        </section>
      </div>
      {why.dialog}
    </div>
  );
}

/** Whether commands reach it now. */
function Connected({ registered }: { registered: Registered | null }) {
  const [terminal, setTerminal] = useState<Terminal | null | undefined>(undefined);
  useEffect(() => {
    if (!registered) return undefined;
    let timer = 0;
    const read = (): void => {
      first<Terminal>("/terminals", { after: registered.slot - 1, limit: 1 }).then(
        (found) => setTerminal(found.find((one) => one.device === registered.device) ?? null),
        () => setTerminal(undefined),
      );
      timer = window.setTimeout(read, 15_000);
    };
    read();
    return () => window.clearTimeout(timer);
  }, [registered]);
  // Devices on the broker have no session here: nothing is said of them.
  if (!registered || terminal === undefined || (terminal === null && registered.protocol !== "jt808" && registered.protocol !== "jt905")) return null;
  const session = terminal?.session;
  return <span class={session ? "state good-text" : "state warn-text"}>{session ? t("taxi.online", { protocol: session.protocol ?? terminal?.protocol ?? "" }) : t("taxi.offline")}</span>;
}

function LivePlace({ device, why }: { device: string; why: Because }) {
  const live = useLive(device);
  const [since] = useState(nowMs);
  void tick.value;
  const waits = nowMs() - since < 3000;
  return (
    <>
      <PlaceMap
        here={live ? { lat: live.lat, lon: live.lon, accM: live.accM } : null}
        kind={live && (live.speedKmh ?? 0) > 3 && live.headingDeg !== null ? "moving-arrow" : "moving-dot"}
        headingDeg={live?.headingDeg ?? null}
        label={device.replace("taxi/", "")}
      />
      <div class="pad">
        <h2>{t("taxi.place")}</h2>
        {live ? (
          <>
            <ul class="said" aria-label={t("taxi.status")} data-live="yes">
              {statusOf(live).map((one) => (
                <li key={one.key} class={one.tone}>
                  {t(one.key)}
                </li>
              ))}
            </ul>
            <dl class="facts">
              <dt>{t("map.age")}</dt>
              <dd class={nowMs() - live.fixMs > OLD_MS ? "warn-text" : ""}>{t("clock.age", { age: span(nowMs() - live.fixMs) })}</dd>
              <dt>{t("map.accuracy")}</dt>
              <dd class={live.accM === null || live.accM > COARSE_M ? "warn-text" : ""}>{live.accM === null ? t("map.accuracyUnknown") : t("map.meters", { n: Math.round(live.accM) })}</dd>
              <dt>{t("map.speed")}</dt>
              <dd>{live.speedKmh === null ? t("app.none") : t("map.kmh", { n: Math.round(live.speedKmh) })}</dd>
              <dt>{t("map.heading")}</dt>
              <dd>{live.headingDeg === null ? t("app.none") : t("taxi.heading", { degrees: Math.round(live.headingDeg), point: t(`compass.${compass(live.headingDeg)}`) })}</dd>
              <dt>{t("alarm.place")}</dt>
              <dd>
                {live.lat.toFixed(5)}, {live.lon.toFixed(5)}
              </dd>
            </dl>
          </>
        ) : waits ? (
          <p class="fine">{t("taxi.waiting")}</p>
        ) : (
          <LastKnown device={device} why={why} />
        )}
      </div>
    </>
  );
}

interface Known {
  time: string;
  lat: number | null;
  lon: number | null;
  acc_m: number | null;
  speed_kmh: number | null;
  sat: number | null;
  alarms: string[];
}

/** Not live: what the store knows, for a purpose. */
function LastKnown({ device, why }: { device: string; why: Because }) {
  const [known, setKnown] = useState<Known | null | undefined>(undefined);
  const [error, setError] = useState<unknown>(null);
  function read(): void {
    if (!why.purpose) {
      why.ask();
      return;
    }
    first<Known>("/where", { devices: [device], purpose: why.purpose }).then(
      (found) => {
        setKnown(found[0] ?? null);
        setError(null);
      },
      (problem: unknown) => setError(problem),
    );
  }
  return (
    <>
      <p class="fine">{t("taxi.notLive")}</p>
      {error !== null && <Failure error={error} />}
      {known === null && <p>{t("taxi.neverHeard")}</p>}
      {known ? (
        <dl class="facts" data-known="yes">
          <dt>{t("map.age")}</dt>
          <dd class="warn-text">{t("taxi.lastKnownAt", { time: when(known.time) })}</dd>
          <dt>{t("alarm.place")}</dt>
          <dd>{known.lat === null || known.lon === null ? t("alarm.noPlace") : `${known.lat.toFixed(5)}, ${known.lon.toFixed(5)}`}</dd>
          <dt>{t("map.accuracy")}</dt>
          <dd>{known.acc_m === null ? t("map.accuracyUnknown") : t("map.meters", { n: Math.round(known.acc_m) })}</dd>
          {known.sat !== null && (
            <>
              <dt>{t("taxi.satellites")}</dt>
              <dd>{known.sat}</dd>
            </>
          )}
          {known.alarms.length > 0 && (
            <>
              <dt>{t("taxi.marks")}</dt>
              <dd class="warn-text">{known.alarms.map((one) => word("kind", one)).join(" · ")}</dd>
            </>
          )}
        </dl>
      ) : (
        <button onClick={read}>{t("taxi.lastKnown")}</button>
      )}
    </>
  );
}

function Alarms({ alarms }: { alarms: readonly Alarm[] }) {
  return (
    <section class="pad">
      <h2>{t("taxi.alarms")}</h2>
      {!alarms.length && <p class="fine">{t("taxi.noAlarms")}</p>}
      <ul class="plain">
        {alarms.map((alarm) => (
          <li key={alarm.alarm}>
            <SeverityMark severity={alarm.severity} small />
            <a href={`/desk/${encodeURIComponent(alarm.alarm)}`}>{word("kind", alarm.kind)}</a>
            <span>
              <span class={`work ${alarm.work}`}>{t(`work.${alarm.work}`)}</span> <small>{alarm.owner}</small>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Finder() {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Registered[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const wanted = text.trim();
    if (!wanted) {
      setFound(null);
      return undefined;
    }
    const ended = new AbortController();
    const timer = setTimeout(() => {
      first<Registered>("/devices", { kind: "taxi", text: wanted, limit: 20 }, { signal: ended.signal }).then(
        (page) => {
          setFound(page);
          setError(null);
        },
        (problem: unknown) => {
          if (!ended.signal.aborted) setError(problem);
        },
      );
    }, 200);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [text]);
  return (
    <div class="narrow stack">
      <h1>{t("nav.taxi")}</h1>
      <label>
        {t("taxi.find")}
        <input type="search" value={text} autofocus spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {error !== null && <Failure error={error} />}
      {!found && error === null && <p class="fine">{t("taxi.type")}</p>}
      {found && !found.length && <p class="fine">{t("taxi.none")}</p>}
      <ul class="plain">
        {found?.map((one) => (
          <li key={one.device}>
            <a href={taxiPath(one.device)}>{one.plate || one.device}</a>
            <small>
              {one.plate ? one.device : ""} {one.owner_ref}
            </small>
          </li>
        ))}
      </ul>
    </div>
  );
}
