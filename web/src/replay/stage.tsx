// The stage of a replay: the map with everybody at the clock's moment, the deck with clock, rates and timeline, and the keyboard.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CityMap } from "../map/citymap";
import { EVERYTHING } from "../map/fleetlayer";
import { theme } from "../state/prefs";
import { dateTime } from "../state/time";
import { t } from "../text";
import { use } from "../ui/keys";
import { Icon } from "../ui/marks";
import { sayError } from "../ui/notices";
import { RATES, ReplayClock, type Rate } from "./clock";
import { Frames } from "./frames";
import { besideFeatures, drawVehicles, lineFeatures } from "./lines";
import { edgesOf, laneOf, readFrames, type Replay, type Vehicle } from "./read";
import { Timeline } from "./timeline";
import { nextEdge, seenAt, type Seen } from "./track";

const STEP_MS = 10_000;
/** The words and the timeline follow so often; the map's marks with every frame, a whole fleet ten times a second. */
const WORDS_MS = 100;
const RATE_WORDS: Partial<Record<Rate, string>> = { 0.25: "¼", 0.5: "½" };

/** The moment that is shown; a signal, so that only what shows it is drawn anew. */
export const atMs = signal(0);
/** Where somebody wants the clock to go: a moment of a list beside the stage. */
export const seekMs = signal<number | null>(null);
const waiting = signal(false);

export interface Window {
  fromMs: number;
  toMs: number;
}

export function Stage(props: { replay: Replay | null; window: Window | null; busy: boolean }) {
  const { replay, window } = props;
  const vehicles = useMemo(() => replay?.vehicles ?? [], [replay]);
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<CityMap | null>(null);
  const clock = useMemo(() => new ReplayClock(0, 1), []);
  const [ready, setReady] = useState(0);
  const [failed, setFailed] = useState("");
  const [playing, setPlaying] = useState(false);
  const [rate, setRate] = useState<Rate>(1);
  const [follow, setFollow] = useState(true);
  const [followed, setFollowed] = useState("");
  const following = useRef("");
  const first = vehicles.find((one) => one.device === followed) ?? vehicles[0];
  following.current = follow ? (first?.device ?? "") : "";
  const frames = useMemo(
    () => (replay && replay.fleet !== null && window ? new Frames((at, step, count) => readFrames(replay.id, at, step, count), window.fromMs, window.toMs, replay.fleet) : null),
    [replay],
  );
  const shown = vehicles.length > 0 || frames !== null;

  useEffect(() => {
    if (!box.current) return undefined;
    const made = new CityMap(box.current);
    map.current = made;
    made.onFail = (why) => {
      if (!made.ready) setFailed(why);
    };
    made.onReady = () => setReady((n) => n + 1);
    made.onPick = (picked) => {
      const at = Number(picked?.properties["ms"]);
      if (picked?.layer === "stops" && at) seekMs.value = at;
      if (picked?.layer === "marks") setFollowed(String(picked.properties["id"]));
    };
    return () => made.stop();
  }, []);
  useEffect(() => {
    void map.current?.start(theme.value, null, 12);
  }, [theme.value]);

  useEffect(() => {
    if (!window) return;
    const now = performance.now();
    clock.range(window.fromMs, window.toMs);
    const begins = Math.min(...vehicles.map((one) => one.track.timeMs[0] ?? Infinity));
    clock.pause(now);
    clock.seek(Number.isFinite(begins) ? begins : window.fromMs, now);
    atMs.value = clock.at(now);
    setPlaying(false);
  }, [replay]);

  useEffect(() => {
    const at = map.current;
    if (!ready || !at) return;
    at.set("lines", lineFeatures(at, vehicles));
    at.set("stops", besideFeatures(at, vehicles));
    at.setFleet(EVERYTHING, 0, []);
    at.fit(vehicles.flatMap(({ track }) => Array.from(track.timeMs, (_, i) => ({ lat: track.lat[i] ?? 0, lon: track.lon[i] ?? 0 }))));
    drawVehicles(at, vehicles, clock.at(performance.now()), "");
  }, [vehicles, ready]);

  useEffect(() => {
    let frame = 0;
    let wordsAt = 0;
    let shownAt = -1;
    let fleetAt = 0;
    const drawFleet = (at: number, wall: number): void => {
      if (!frames || !map.current?.ready || wall - fleetAt < WORDS_MS || at === shownAt) return;
      const places = frames.at(at);
      if (!places) return;
      fleetAt = wall;
      shownAt = at;
      map.current.setFleet(EVERYTHING, at, places);
      if (box.current) box.current.dataset["fleet"] = String(places.length);
    };
    const turn = (wall: number): void => {
      const at = clock.at(wall);
      if (frames) {
        if (frames.failed !== null) {
          sayError(frames.failed);
          frames.failed = null;
          clock.pause(wall);
          setPlaying(false);
        } else void frames.want(at, clock.rate);
        waiting.value = !frames.has(at) && at < (window?.toMs ?? 0);
        // what is not read yet is not passed over: the clock waits for it
        if (waiting.value && clock.playing) clock.seek(Math.max(atMs.peek(), window?.fromMs ?? 0), wall);
        else drawFleet(at, wall);
      } else if (map.current?.ready && (clock.playing || at !== atMs.peek())) drawVehicles(map.current, vehicles, at, clock.playing ? following.current : "");
      if (wall - wordsAt >= WORDS_MS) {
        wordsAt = wall;
        atMs.value = clock.at(wall);
      }
      if (clock.playing && window && at >= window.toMs) {
        clock.pause(wall);
        setPlaying(false);
      }
      frame = requestAnimationFrame(turn);
    };
    frame = requestAnimationFrame(turn);
    return () => cancelAnimationFrame(frame);
  }, [replay, frames]);

  const edges = useMemo(() => edgesOf(vehicles), [vehicles]);
  const lanes = useMemo(() => vehicles.map(laneOf), [vehicles]);
  const toggle = (): void => {
    if (!shown) return;
    const wall = performance.now();
    if (clock.playing) clock.pause(wall);
    else clock.play(wall);
    setPlaying(clock.playing);
  };
  const seek = (ms: number): void => clock.seek(ms, performance.now());
  const by = (ms: number): void => seek(clock.at(performance.now()) + ms);
  const faster = (step: 1 | -1): void => {
    clock.step(step, performance.now());
    setRate(clock.rate);
  };
  const jump = (forward: boolean): void => {
    const to = nextEdge(edges, clock.at(performance.now()), forward);
    if (to !== null) seek(to);
  };
  // At once, not with the next drawing: a key that follows goes on from there.
  useEffect(
    () =>
      seekMs.subscribe((ms) => {
        if (ms === null) return;
        clock.seek(ms, performance.now());
        seekMs.value = null;
      }),
    [clock],
  );
  useLayoutEffect(
    () =>
      use({
        title: "keys.replay.page",
        bindings: [
          { keys: [" "], says: "keys.replay.play", run: toggle },
          { keys: ["-", "+"], says: "keys.replay.rate", run: (event) => faster(event.key === "+" ? 1 : -1) },
          { keys: ["="], run: () => faster(1) },
          { keys: ["ArrowLeft", "ArrowRight"], says: "keys.replay.step", run: (event) => by(event.key === "ArrowLeft" ? -STEP_MS : STEP_MS) },
          { keys: ["Home", "End"], says: "keys.replay.ends", run: (event) => window && seek(event.key === "Home" ? window.fromMs : window.toMs) },
          { keys: ["[", "]"], says: "keys.replay.edge", run: (event) => jump(event.key === "]") },
          { keys: ["f"], says: "keys.replay.follow", run: () => setFollow((now) => !now) },
        ],
      }),
    [replay],
  );
  return (
    <>
      <div class="stage">
        <div ref={box} class="city-map" />
        {!ready && <div class="map-word">{failed ? t("map.failed", { why: failed }) : t("map.loading")}</div>}
        {!shown && !props.busy && <div class="map-foot">{t("replay.pick")}</div>}
        {waiting.value && frames && (
          <div class="map-foot" role="status">
            {t("replay.reading")}
          </div>
        )}
        {vehicles.length > 0 && <Now vehicles={vehicles} followed={follow ? (first?.device ?? "") : ""} onFollow={setFollowed} />}
      </div>
      <div class="deck">
        <div class="deck-line">
          <button class="primary" disabled={!shown} aria-label={t(playing ? "replay.pause" : "replay.play")} onClick={toggle}>
            <Icon name={playing ? "pause" : "play"} fill />
          </button>
          <button disabled={!shown} title={t("replay.back")} onClick={() => by(-STEP_MS)}>
            −{t("time.s", { n: 10 })}
          </button>
          <button disabled={!shown} title={t("replay.forward")} onClick={() => by(STEP_MS)}>
            +{t("time.s", { n: 10 })}
          </button>
          <Moment />
          <div class="chips" role="radiogroup" aria-label={t("replay.rate")}>
            {RATES.map((one) => (
              <button
                key={one}
                role="radio"
                aria-checked={rate === one}
                onClick={() => {
                  clock.setRate(one, performance.now());
                  setRate(one);
                }}
              >
                {RATE_WORDS[one] ?? one}×
              </button>
            ))}
          </div>
          {!frames && (
            <label class="check spacer">
              <input type="checkbox" name="follow" checked={follow} onChange={() => setFollow(!follow)} />
              {t("replay.follow")}
            </label>
          )}
        </div>
        {window && <TimelineNow window={window} lanes={lanes} onSeek={seek} />}
        {!frames && <Legend />}
      </div>
    </>
  );
}

function Legend() {
  return (
    <div class="legend">
      <span>
        <i class="l-gap" />
        {t("replay.gap")}
      </span>
      <span>
        <i class="l-stop" />
        {t("replay.stop")}
      </span>
      <span>
        <i class="l-occupied" />
        {t("replay.occupied")}
      </span>
      <span>
        <i class="l-pass" />
        {t("replay.inView")}
      </span>
      <span>
        <i class="l-alarm" />
        {t("replay.alarm")}
      </span>
      <span class="speed-scale">
        {t("replay.colour")} 0 <b /> 90 {t("replay.kmh")}
      </span>
    </div>
  );
}

function Moment() {
  return (
    <span class="now" data-at-ms={Math.round(atMs.value)}>
      {atMs.value ? dateTime(atMs.value) : t("app.none")}
    </span>
  );
}

function TimelineNow(props: { window: Window; lanes: ReturnType<typeof laneOf>[]; onSeek: (ms: number) => void }) {
  return <Timeline fromMs={props.window.fromMs} toMs={props.window.toMs} lanes={props.lanes} atMs={atMs.value} onSeek={props.onSeek} />;
}

function howWords(seen: Seen): string {
  if (seen.how === "before") return t("replay.notYet");
  if (seen.how === "gap") return t("replay.inGap");
  return t(seen.how === "interpolated" ? "replay.interpolated" : "replay.measured");
}

/** What each vehicle does now; the one that the map follows is chosen here. */
function Now({ vehicles, followed, onFollow }: { vehicles: readonly Vehicle[]; followed: string; onFollow: (device: string) => void }) {
  const at = atMs.value;
  return (
    <div class="panel right now-panel">
      {vehicles.map((one) => {
        const seen = seenAt(one.track, at);
        return (
          <div key={one.device} class="vehicle" style={{ borderLeftColor: one.colour }}>
            <button class="quiet" aria-pressed={followed === one.device} title={t("replay.followThis")} onClick={() => onFollow(one.device)}>
              {one.device}
            </button>
            {seen && (
              <p>
                {seen.speedKmh === null ? t("app.none") : t("map.kmh", { n: Math.round(seen.speedKmh) })}
                {seen.occupied !== null && ` · ${t(seen.occupied ? "map.occupied" : "map.vacant")}`} · {howWords(seen)}
              </p>
            )}
          </div>
        );
      })}
    </div>
  );
}
