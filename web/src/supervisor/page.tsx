// For whoever leads the shift: who sits, how loaded the desk is, how fast it acts, what makes the noise.

import { useState } from "preact/hooks";
import { get, list } from "../api/client";
import type { FigureRow, Figures, NoisyDevice, Seat, Seats, Times } from "../api/oversight";
import type { Alarm } from "../api/types";
import { clockTime, dateTime, fromLocalInput, msOf, nowMs, span, tick, toLocalInput, when } from "../state/time";
import { t, word } from "../text";
import { useAsked } from "../ui/ask";
import { SeverityMark } from "../ui/marks";
import { Failure } from "../ui/notices";
import { Bars, Lines } from "../ui/plot";
import { mostly, percent, seconds, shareTone, STEP_TONES, TONES } from "./words";

const SEATS_MS = 5_000;
const FIGURES_MS = 60_000;
const SHELVED_MS = 30_000;
const DAY_MS = 86_400_000;
const EEMUA = [1, 2, 5, 10];

export default function Supervisor() {
  return (
    <div class="sheets" data-page="supervisor">
      <header>
        <h1>{t("nav.supervisor")}</h1>
      </header>
      <SeatsSheet />
      <FiguresPart />
      <ShelvedSheet />
    </div>
  );
}

// -- who sits ----------------------------------------------------------------------------------

function SeatsSheet() {
  const asked = useAsked((signal) => get<Seats>("/desk/seats", {}, { signal }), "seats", SEATS_MS);
  const found = asked.value;
  return (
    <section class="sheet" aria-labelledby="seats-title">
      <h2 id="seats-title">
        {t("seats.title")} {found && <small class="fine">{t("over.updated", { time: clockTime(msOf(found.time) ?? 0) })}</small>}
      </h2>
      {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
      {found && (
        <>
          <dl class="figures">
            <div class={TONES[found.level]} data-load={found.per_seat}>
              <dt>{t("load.now")}</dt>
              <dd>
                {found.per_seat} <small>{t(`level.${found.level}`)}</small>
              </dd>
            </div>
            <div class={found.flood ? "bad" : ""}>
              <dt>{t("load.last")}</dt>
              <dd>
                {found.last_10_min} {found.flood && <small class="bad-text">{t("load.flood")}</small>}
              </dd>
            </div>
            <div class={found.taken ? "" : "bad"}>
              <dt>{t("seats.taken")}</dt>
              <dd>{found.taken}</dd>
            </div>
            <div>
              <dt>{t("load.open")}</dt>
              <dd>{found.open}</dd>
            </div>
            <div class={found.new ? "warn" : ""}>
              <dt>{t("load.new")}</dt>
              <dd>{found.new}</dd>
            </div>
          </dl>
          {found.seats.length ? (
            <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="seats-title">
              <table>
                <thead>
                  <tr>
                    <th scope="col">{t("over.user")}</th>
                    <th scope="col">{t("over.role")}</th>
                    <th scope="col">{t("seats.state")}</th>
                    <th scope="col">{t("seats.last")}</th>
                    <th scope="col">{t("seats.has")}</th>
                    <th scope="col" class="number">
                      {t("seats.took10")}
                    </th>
                    <th scope="col">{t("load.level")}</th>
                    <th scope="col" class="number">
                      {t("seats.took")}
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {found.seats.map((seat) => (
                    <SeatRow key={seat.user} seat={seat} />
                  ))}
                </tbody>
              </table>
            </div>
          ) : (
            <p class="empty">{t("seats.empty")}</p>
          )}
        </>
      )}
      <p class="fine">{t("seats.hint")}</p>
    </section>
  );
}

const SEAT_TONES = { open: "good", acted: "plain", away: "warn" } as const;

function SeatRow({ seat }: { seat: Seat }) {
  const age = (at: string | null): string => span(tick.value - (msOf(at) ?? tick.value));
  // Who is away and has nothing is no warning.
  const tone = seat.state === "away" && !seat.open ? "plain" : SEAT_TONES[seat.state];
  return (
    <tr data-seat={seat.user} data-state={seat.state}>
      <th scope="row">{seat.name ? `${seat.name} (${seat.user})` : seat.user}</th>
      <td>{word("role", seat.role)}</td>
      <td>
        <span class={`tag ${tone}`}>
          {t(`seat.${seat.state}`)}
          {seat.pages > 1 && ` ×${seat.pages}`}
        </span>
        {seat.since && <small> {t("seats.since", { age: age(seat.since) })}</small>}
      </td>
      <td>{seat.last ? `${word("action", seat.last_action)} · ${t("over.ago", { age: age(seat.last) })}` : t("app.none")}</td>
      <td>
        {seat.open} {seat.oldest && <small>{t("seats.oldest", { age: age(seat.oldest) })}</small>}
      </td>
      <td class="number">{seat.taken_10_min}</td>
      <td>{seat.seat ? <span class={`tag ${TONES[seat.level]}`}>{t(`level.${seat.level}`)}</span> : t("app.none")}</td>
      <td class="number">{seat.taken}</td>
    </tr>
  );
}

// -- figures -----------------------------------------------------------------------------------

type Preset = "day" | "week" | "month" | "own";
interface Window {
  preset: Preset;
  by: "hour" | "day";
  fromMs: number;
  toMs: number;
}

const DAYS: Record<Preset, number> = { day: 1, week: 7, month: 31, own: 1 };

function FiguresPart() {
  const [window, setWindow] = useState<Window>({ preset: "day", by: "hour", fromMs: 0, toMs: 0 });
  const asked = useAsked(
    (signal) => {
      const own = window.preset === "own";
      const from = own ? window.fromMs : nowMs() - DAYS[window.preset] * DAY_MS;
      return get<Figures>("/desk/figures", { by: window.by, from_ms: Math.round(from), to_ms: own ? window.toMs : undefined }, { signal, timeoutMs: 60_000 });
    },
    JSON.stringify(window),
    FIGURES_MS,
  );
  const found = asked.value;
  return (
    <>
      <section class="sheet" aria-label={t("figures.window")}>
        <WindowForm window={window} busy={asked.busy} onChosen={setWindow} />
        {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
        {found?.cut && <p class="warn-text">{t("figures.cut")}</p>}
      </section>
      {found && (
        <>
          <LoadSheet figures={found} />
          <TimesSheet figures={found} />
          <DevicesSheet devices={found.devices} />
          <FloodsSheet figures={found} />
        </>
      )}
      {!found && asked.error === null && <p class="empty">{t("app.loading")}</p>}
    </>
  );
}

function WindowForm(props: { window: Window; busy: boolean; onChosen: (window: Window) => void }) {
  const [preset, setPreset] = useState<Preset>(props.window.preset);
  const [from, setFrom] = useState(toLocalInput(nowMs() - DAY_MS).slice(0, 16));
  const [to, setTo] = useState(toLocalInput(nowMs()).slice(0, 16));
  const [by, setBy] = useState<"hour" | "day">("hour");
  const [wrong, setWrong] = useState(false);
  function choose(one: Preset): void {
    setPreset(one);
    if (one !== "own") props.onChosen({ preset: one, by: one === "day" ? "hour" : "day", fromMs: 0, toMs: 0 });
  }
  return (
    <form
      class="row-form"
      onSubmit={(event) => {
        event.preventDefault();
        const [fromMs, toMs] = [fromLocalInput(from), fromLocalInput(to)];
        const right = fromMs !== null && toMs !== null && fromMs < toMs;
        setWrong(!right);
        if (right) props.onChosen({ preset: "own", by, fromMs, toMs });
      }}
    >
      <label>
        {t("figures.window")}
        <select name="window" value={preset} onChange={(event) => choose(event.currentTarget.value as Preset)}>
          <option value="day">{t("figures.day")}</option>
          <option value="week">{t("figures.week")}</option>
          <option value="month">{t("figures.month")}</option>
          <option value="own">{t("figures.own")}</option>
        </select>
      </label>
      {preset === "own" && (
        <>
          <label>
            {t("over.from")}
            <input type="datetime-local" name="from" required value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
          </label>
          <label>
            {t("over.to")}
            <input type="datetime-local" name="to" required value={to} onInput={(event) => setTo(event.currentTarget.value)} />
          </label>
          <label>
            {t("figures.by")}
            <select name="by" value={by} onChange={(event) => setBy(event.currentTarget.value as "hour" | "day")}>
              <option value="hour">{t("figures.hour")}</option>
              <option value="day">{t("figures.dayUnit")}</option>
            </select>
          </label>
          <button class="primary" disabled={props.busy}>
            {t("figures.show")}
          </button>
        </>
      )}
      {wrong && (
        <span class="bad-text" role="alert">
          {t("figures.badTime")}
        </span>
      )}
    </form>
  );
}

/** Of a period: `14:00`, or `11-23`. */
function labelOf(row: FigureRow, by: "hour" | "day"): string {
  const at = dateTime(msOf(row.time) ?? 0);
  return by === "hour" ? at.slice(11, 16) : at.slice(5, 10);
}

function periodOf(row: FigureRow, by: "hour" | "day"): string {
  const at = dateTime(msOf(row.time) ?? 0);
  return by === "hour" ? at.slice(5, 16) : at.slice(0, 10);
}

function LoadSheet({ figures }: { figures: Figures }) {
  const { rows, by } = figures;
  const bars = rows.map((row) => ({
    label: labelOf(row, by),
    value: row.peak_per_seat,
    tone: TONES[row.peak_level],
    says: t("load.bar", { time: periodOf(row, by), peak: row.peak_10_min, seats: row.seats, each: row.peak_per_seat, level: t(`level.${row.peak_level}`) }),
  }));
  const references = EEMUA.map((at) => ({ at, says: t("load.limit", { n: at }) }));
  return (
    <section class="sheet" aria-labelledby="load-title">
      <h2 id="load-title">{t("load.title")}</h2>
      <div class="beside">
        <Bars title={t("load.title")} unit={t("load.unit")} bars={bars} references={references} />
        <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="load-title">
          <table data-table="load">
            <thead>
              <tr>
                <th scope="col">{t("over.time")}</th>
                <th scope="col" class="number">
                  {t("load.alarms")}
                </th>
                <th scope="col" class="number">
                  {t("load.seats")}
                </th>
                <th scope="col" class="number">
                  {t("load.peak")}
                </th>
                <th scope="col" class="number">
                  {t("load.peakSeat")}
                </th>
                <th scope="col" class="number">
                  {t("load.mean")}
                </th>
                <th scope="col">{t("load.level")}</th>
              </tr>
            </thead>
            <tbody>
              {[...rows].reverse().map((row) => (
                <tr key={row.time}>
                  <td class="time">{periodOf(row, by)}</td>
                  <td class="number">{row.alarms}</td>
                  <td class="number">{row.seats}</td>
                  <td class="number">{row.peak_10_min}</td>
                  <td class="number">{row.peak_per_seat}</td>
                  <td class="number">{row.per_seat}</td>
                  <td>
                    <span class={`tag ${TONES[row.peak_level]}`}>{t(`level.${row.peak_level}`)}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
      <p class="fine">{t("load.hint")}</p>
    </section>
  );
}

const CLOCKS = ["acknowledge", "dispatch", "arrive"] as const;

function TimesSheet({ figures }: { figures: Figures }) {
  const { rows, by, in_all: all } = figures;
  const labels = rows.map((row) => labelOf(row, by));
  const series = CLOCKS.map((clock, n) => ({ name: t(`sla.${clock}`), nth: (n + 1) as 1 | 2 | 3, values: rows.map((row) => row[clock].p95) }));
  return (
    <section class="sheet" aria-labelledby="sla-title">
      <h2 id="sla-title">{t("sla.title")}</h2>
      <dl class="figures">
        <div class={shareTone(all.share)} data-share={all.share ?? ""}>
          <dt>{t("sla.share")}</dt>
          <dd>
            {percent(all.share) ?? t("app.none")}
            <small>{all.share === null ? t("sla.noneYet") : t("sla.kept", { kept: all.kept, over: all.over })}</small>
          </dd>
        </div>
        {CLOCKS.map((clock) => (
          <div key={clock}>
            <dt>{t(`sla.${clock}`)}</dt>
            <dd>
              {all[clock].p50 === null ? t("app.none") : t("over.s", { n: seconds(all[clock], "p50") ?? "" })}
              <small>{all[clock].count ? spreadText(all, clock) : t("app.none")}</small>
            </dd>
          </div>
        ))}
      </dl>
      <div class="beside">
        <Lines title={t("sla.title")} unit={t("sla.seconds")} labels={labels} series={series} references={[{ at: figures.promise_s, says: t("sla.promise") }]} />
        <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="sla-title">
          <table data-table="sla">
            <thead>
              <tr>
                <th scope="col">{t("over.time")}</th>
                <th scope="col" class="number">
                  {t("sla.share")}
                </th>
                {CLOCKS.map((clock) => (
                  <th key={clock} scope="col" class="number">
                    {t(`sla.${clock}`)}
                    <br />
                    <small>
                      {t("sla.p50")} / {t("sla.p95")} / {t("sla.worst")}
                    </small>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...rows].reverse().map((row) => (
                <tr key={row.time}>
                  <td class="time">{periodOf(row, by)}</td>
                  <td class="number">
                    {percent(row.share) ?? t("app.none")}
                    {row.late > 0 && <small> {t("sla.late", { n: row.late })}</small>}
                  </td>
                  {CLOCKS.map((clock) => (
                    <td key={clock} class="number">
                      {row[clock].count ? (["p50", "p95", "worst"] as const).map((which) => seconds(row[clock], which)).join(" / ") : t("app.none")}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
      <p class="fine">{t("sla.hint")}</p>
    </section>
  );
}

function spreadText(times: Times, clock: (typeof CLOCKS)[number]): string {
  const one = times[clock];
  return t("sla.spread", { p50: seconds(one, "p50") ?? "", p95: seconds(one, "p95") ?? "", worst: seconds(one, "worst") ?? "" });
}

function DevicesSheet({ devices }: { devices: NoisyDevice[] }) {
  const bars = devices.slice(0, 10).map((one) => ({
    label: one.device.replace(/^[a-z]+\//, "").replace(/^.+(?=.{6})/, "…"),
    value: one.alarms,
    tone: STEP_TONES[one.step],
    says: `${one.device}: ${one.alarms}, ${t(`step.${one.step}`)}`,
  }));
  return (
    <section class="sheet" aria-labelledby="noise-title">
      <h2 id="noise-title">{t("noise.title")}</h2>
      {devices.length ? (
        <div class="beside">
          <Bars title={t("noise.title")} unit={t("load.alarms")} bars={bars} room={12} />
          <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="noise-title">
            <table data-table="devices">
              <thead>
                <tr>
                  <th scope="col">{t("noise.device")}</th>
                  <th scope="col" class="number">
                    {t("load.alarms")}
                  </th>
                  <th scope="col" class="number">
                    {t("noise.signals")}
                  </th>
                  <th scope="col">{t("noise.kinds")}</th>
                  <th scope="col">{t("noise.outcomes")}</th>
                  <th scope="col">{t("noise.step")}</th>
                </tr>
              </thead>
              <tbody>
                {devices.map((one) => (
                  <tr key={one.device} data-device={one.device}>
                    <th scope="row">{one.device}</th>
                    <td class="number">{one.alarms}</td>
                    <td class="number">{one.signals}</td>
                    <td>{mostly(one.kinds, (code) => word("kind", code))}</td>
                    <td>{mostly(one.outcomes as Record<string, number>, (code) => word("outcome", code)) || <small>{t("noise.open")}</small>}</td>
                    <td>
                      <span class={`tag ${STEP_TONES[one.step]}`}>{t(`step.${one.step}`)}</span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </div>
      ) : (
        <p class="empty">{t("over.none")}</p>
      )}
      <p class="fine">{t("noise.hint")}</p>
    </section>
  );
}

function FloodsSheet({ figures }: { figures: Figures }) {
  return (
    <section class="sheet" aria-labelledby="floods-title">
      <h2 id="floods-title">
        {t("floods.title")} <small class="fine">{t("floods.hint")}</small>
      </h2>
      {figures.floods.length ? (
        <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="floods-title">
          <table data-table="floods">
            <thead>
              <tr>
                <th scope="col">{t("over.from")}</th>
                <th scope="col">{t("over.to")}</th>
                <th scope="col" class="number">
                  {t("load.alarms")}
                </th>
                <th scope="col" class="number">
                  {t("floods.peak")}
                </th>
                <th scope="col">{t("floods.mostly")}</th>
              </tr>
            </thead>
            <tbody>
              {figures.floods.map((flood) => (
                <tr key={flood.from}>
                  <td class="time">{when(flood.from)}</td>
                  <td class="time">{when(flood.to)}</td>
                  <td class="number">{flood.alarms}</td>
                  <td class="number">{flood.peak_10_min}</td>
                  <td>
                    {mostly(flood.kinds, (code) => word("kind", code))}
                    {Object.keys(flood.areas).length > 0 && <small> · {mostly(flood.areas, (area) => area)}</small>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p class="empty">{t("floods.none")}</p>
      )}
    </section>
  );
}

// -- shelved -----------------------------------------------------------------------------------

function ShelvedSheet() {
  const asked = useAsked((signal) => list<Alarm>("/alarms", { side: "shelved", folded: false }, { signal }), "shelved", SHELVED_MS);
  return (
    <section class="sheet" aria-labelledby="shelved-title">
      <h2 id="shelved-title">{t("shelved.title")}</h2>
      {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
      {asked.value?.length === 0 && <p class="empty">{t("shelved.none")}</p>}
      {!!asked.value?.length && (
        <div class="scroll-table" tabIndex={0} role="group" aria-labelledby="shelved-title">
          <table data-table="shelved">
            <thead>
              <tr>
                <th scope="col">{t("noise.kinds")}</th>
                <th scope="col">{t("noise.device")}</th>
                <th scope="col">{t("shelved.until")}</th>
                <th scope="col">{t("shelved.why")}</th>
                <th scope="col">{t("over.user")}</th>
              </tr>
            </thead>
            <tbody>
              {asked.value.map((alarm) => (
                <tr key={alarm.alarm}>
                  <td>
                    <SeverityMark severity={alarm.severity} small /> <a href={`/desk/${alarm.alarm}`}>{word("kind", alarm.kind)}</a>
                  </td>
                  <td>{alarm.device}</td>
                  <td class="time">{when(alarm.shelved_until)}</td>
                  <td>{alarm.side_reason}</td>
                  <td>{alarm.changed_how === "shelve" ? alarm.changed_by : alarm.owner || t("app.none")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
