// One alarm with everything it brings along, and what can be done with it.

import type { ComponentChildren } from "preact";
import { address } from "../api/client";
import { WORKS, type Alarm, type AlarmContext, type AlarmDetails, type Clock } from "../api/types";
import { clockTime, countdown, msOf, span, tick, when } from "../state/time";
import { bikePath } from "../ebike/case";
import { taxiPath } from "../taxi/status";
import { t, word, type Key } from "../text";
import { SeverityMark } from "../ui/marks";
import { begin, DEED_WORDS, mayAct } from "./act";
import { can, next, type Deed } from "./allowed";
import { face, type ClockFace } from "./clock";
import { TestMark } from "./testmark";
import { byWhom, distance, stepSaid } from "./words";

const CLOCKS: readonly Clock[] = ["to_receive_ms", "to_show_ms", "to_acknowledge_ms", "to_dispatch_ms", "to_scene_ms", "total_ms"];
const DEEDS: readonly { deed: Deed; key: string }[] = [
  { deed: "ack", key: "a" },
  { deed: "dispatch", key: "d" },
  { deed: "arrive", key: "s" },
  { deed: "resolve", key: "c" },
  { deed: "close", key: "c" },
  { deed: "hand_over", key: "o" },
  { deed: "shelve", key: "h" },
  { deed: "restore", key: "h" },
];
const MOMENT: Record<(typeof WORKS)[number], keyof Alarm> = {
  new: "received",
  acknowledged: "acknowledged",
  dispatched: "dispatched",
  on_scene: "on_scene",
  resolved: "resolved",
  closed: "closed",
};

export function clockWords(at: ClockFace): string {
  if (at.state === "none") return t("clock.none");
  if (at.state === "late") return t("clock.late");
  if (at.state === "kept" || at.state === "broken") return t("clock.took", { time: countdown(at.seconds) });
  return t(at.state === "over" ? "clock.over" : "clock.left", { time: countdown(at.seconds) });
}

export function Details(props: { alarm: Alarm; details: AlarmDetails | null }) {
  const { alarm, details } = props;
  const context = details?.context ?? null;
  const clock = face(alarm, tick.value);
  const received = msOf(alarm.received);
  return (
    <article class="details" aria-labelledby="alarm-title" data-alarm={alarm.alarm} data-work={alarm.work}>
      <header class="details-head">
        <SeverityMark severity={alarm.severity} />
        <div>
          <h1 id="alarm-title">
            {word("kind", alarm.kind)} <TestMark alarm={alarm} />
          </h1>
          <div>
            {context?.site?.name || alarm.device}
            {received !== null && <small> · {t("clock.age", { age: span(tick.value - received) })}</small>}
          </div>
        </div>
        <div class="big-clock" title={t("clock.title")}>
          <div class={`clock ${clock.state}`}>{clockWords(clock)}</div>
          <span class={`work ${alarm.work}`}>{t(`work.${alarm.work}`)}</span>
          {alarm.side && <span class="work">{t(`side.${alarm.side}`)}</span>}
        </div>
      </header>
      <div class={`clock-bar ${clock.state}`} aria-hidden="true">
        <i style={{ width: `${clock.share * 100}%` }} />
      </div>
      <Deeds alarm={alarm} />
      <ol class="steps">
        {WORKS.map((one, i) => {
          const here = WORKS.indexOf(alarm.work);
          const at = msOf(alarm[MOMENT[one]] as string | null);
          return (
            <li key={one} class={i < here ? "done" : i === here ? "here" : ""} {...(i === here ? { "aria-current": "step" as const } : {})}>
              {t(`work.${one}`)}
              {at !== null && i <= here && <time>{clockTime(at)}</time>}
            </li>
          );
        })}
      </ol>
      <div class="columns">
        <Facts alarm={alarm} context={context} />
        <Surroundings context={context} alarm={alarm} />
      </div>
      <div class="columns">
        <section>
          <h3>{t("alarm.history")}</h3>
          <ol class="history">
            {details?.history.map((step) => (
              <li key={step.number}>
                <time>{step.time ? clockTime(Date.parse(step.time)) : ""}</time>
                <span>
                  {word("action", step.action)} <small>{byWhom(step.by)}</small> {stepSaid(step) && <q>{stepSaid(step)}</q>}
                </span>
              </li>
            ))}
          </ol>
        </section>
        <section>
          <h3>{t("alarm.evidence")}</h3>
          <EvidenceList details={details} />
          <h3>{t("alarm.clocks")}</h3>
          <dl class="facts">
            {CLOCKS.map((one) => {
              const ms = alarm.clocks_ms[one];
              return ms === null || ms === undefined ? null : <Fact key={one} name={`clock.${one}` as Key}>{(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s</Fact>;
            })}
          </dl>
        </section>
      </div>
      <a class="button" href={`/desk/${encodeURIComponent(alarm.alarm)}/report`}>
        {t("alarm.print")}
      </a>
    </article>
  );
}

/** The page of the device's own, or "". */
function panelOf(device: string): string {
  if (device.startsWith("taxi/")) return taxiPath(device);
  return device.startsWith("ebike/") ? bikePath(device) : "";
}

function Deeds({ alarm }: { alarm: Alarm }) {
  if (!mayAct()) return <div class="deeds">{t("not.allowed")}</div>;
  const first = next(alarm);
  return (
    <div class="deeds">
      {DEEDS.filter((one) => can(alarm, one.deed)).map(({ deed, key }) => (
        <button key={deed} class={deed === first ? "primary" : ""} onClick={() => begin(alarm, deed)} data-deed={deed}>
          {t(DEED_WORDS[deed])}
          <kbd>{key}</kbd>
        </button>
      ))}
    </div>
  );
}

function Fact(props: { name: Key; children: ComponentChildren }) {
  return (
    <>
      <dt>{t(props.name)}</dt>
      <dd>{props.children}</dd>
    </>
  );
}

function Facts({ alarm, context }: { alarm: Alarm; context: AlarmContext | null }) {
  const area = context?.jurisdiction.map((one) => one.name || one.area).reverse().join(" › ");
  return (
    <section>
      <h3>{t("alarm.facts")}</h3>
      <dl class="facts">
        <Fact name="alarm.device">
          {panelOf(alarm.device) ? <a href={panelOf(alarm.device)}>{alarm.device}</a> : alarm.device} {context?.device.plate} {context?.device.name}
        </Fact>
        {context?.site && (
          <>
            <Fact name="alarm.site">{context.site.name}</Fact>
            <Fact name="alarm.contact">
              {context.site.contact} {context.site.phone && <a href={`tel:${context.site.phone}`}>{context.site.phone}</a>}
            </Fact>
          </>
        )}
        <Fact name="alarm.area">{area || alarm.jurisdiction || t("app.none")}</Fact>
        <Fact name="alarm.place">
          {alarm.place_hidden ? t("alarm.hidden") : alarm.lat === null || alarm.lon === null ? t("alarm.noPlace") : `${alarm.lat.toFixed(5)}, ${alarm.lon.toFixed(5)}`}
        </Fact>
        <Fact name="alarm.time">{when(alarm.time)}</Fact>
        <Fact name="alarm.received">
          {when(alarm.received)} {alarm.late && <span class="warn-text">{t("clock.late")}</span>}
        </Fact>
        <Fact name="alarm.condition">
          {t(`condition.${alarm.condition}`)} · {t("alarm.signals", { n: alarm.signals })}
          {alarm.lap > 1 && ` · ${t("alarm.lap", { n: alarm.lap })}`}
          {alarm.latches && <small> · {t("alarm.latched")}</small>}
        </Fact>
        <Fact name="alarm.owner">{alarm.owner || t("alarm.nobody")}</Fact>
        {alarm.unit && (
          <Fact name="alarm.unit">
            {alarm.unit}
            {alarm.eta && ` · ${t("alarm.eta")} ${clockTime(Date.parse(alarm.eta))}`}
          </Fact>
        )}
        {alarm.side === "shelved" && <Fact name="do.shelve">{t("alarm.shelvedUntil", { time: when(alarm.shelved_until), reason: alarm.side_reason })}</Fact>}
        {alarm.outcome && <Fact name="alarm.outcome">{t(`outcome.${alarm.outcome}`)}</Fact>}
        {alarm.reason && <Fact name="alarm.reason">{alarm.reason}</Fact>}
        {alarm.rung > 0 && alarm.overdue && <Fact name="alarm.overdue">{t("alarm.rung", { n: alarm.rung })}</Fact>}
        <Fact name="alarm.id">{alarm.alarm}</Fact>
      </dl>
    </section>
  );
}

function Surroundings({ context, alarm }: { context: AlarmContext | null; alarm: Alarm }) {
  if (!context) return <section class="fine">{t("app.loading")}</section>;
  return (
    <section>
      <h3>{t("alarm.units")}</h3>
      <ul class="plain">
        {context.units.map((unit) => (
          <li key={unit.unit}>
            <span>
              {unit.unit}
              {unit.fix_age_s !== null && <small> · {t("clock.age", { age: span(unit.fix_age_s * 1000) })}</small>}
            </span>
            <span>
              {unit.distance_m !== null && distance(unit.distance_m)} <small>{word("unit", unit.state)}</small>
            </span>
          </li>
        ))}
        {!context.units.length && <li class="fine">{t("alarm.noUnits")}</li>}
      </ul>
      {context.defence?.next_line != null && (
        <>
          <h3>{t("alarm.defence", { line: context.defence.next_line })}</h3>
          <p class="fine">
            {t("alarm.posts")} {context.defence.posts.length}
            {context.defence.levels.map((one) => ` · ${t("alarm.level", { n: one.level })} ${one.units.length}`)}
          </p>
          <ul class="plain">
            {context.defence.posts.slice(0, 6).map((post) => (
              <li key={post.name}>
                <span>{post.name}</span>
                {post.distance_m !== null && <span>{distance(post.distance_m)}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
      <h3>{t("alarm.cameras")}</h3>
      <ul class="plain">
        {context.cameras.map((camera) => (
          <li key={camera.camera}>
            <span>{camera.name || camera.camera}</span>
            <span>{camera.distance_m === null ? "" : distance(camera.distance_m)}</span>
          </li>
        ))}
        {!context.cameras.length && <li class="fine">{t("alarm.noCameras")}</li>}
      </ul>
      {alarm.place_hidden && <p class="fine">{t("alarm.hidden")}</p>}
    </section>
  );
}

function EvidenceList({ details }: { details: AlarmDetails | null }) {
  if (!details?.evidence.length) return <p class="fine">{t("alarm.noEvidence")}</p>;
  return (
    <ul class="plain">
      {details.evidence.map((piece) => (
        <li key={piece.evidence}>
          <span>
            {word("evidence", piece.kind)} <small>{piece.time ? clockTime(Date.parse(piece.time)) : ""}</small>
          </span>
          <a href={address(`/evidence/${encodeURIComponent(piece.evidence)}/bytes`, { purpose: `alarm:${details.alarm}` })} download>
            {t("do.save")} ({Math.ceil(piece.size_bytes / 1024)} KiB)
          </a>
        </li>
      ))}
    </ul>
  );
}
