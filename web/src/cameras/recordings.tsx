// What a camera recorded, by its time: played from any point, by pictures, to the next motion or alarm; clips cut out of it.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { place } from "../router";
import { session } from "../state/session";
import { clockTime, dateTime, fromLocalInput, nowMs, span, toLocalInput } from "../state/time";
import { t, word } from "../text";
import { distance } from "../desk/words";
import { use } from "../ui/keys";
import { Icon } from "../ui/marks";
import { Failure } from "../ui/notices";
import { RecordedPlayer, type RecordedFace } from "../video/recorded";
import { may } from "./allowed";
import { ClipForm } from "./clip";
import { edge, playable, readTime, within, zoomed, type CameraTime, type Stretch } from "./time";
import { CameraTimeline } from "./timeline";
import type { Timeline } from "./types";

const HOUR_MS = 3_600_000;
const WINDOWS = { "1h": HOUR_MS, "6h": 6 * HOUR_MS, "1d": 24 * HOUR_MS, "7d": 7 * 24 * HOUR_MS } as const;
type Window = keyof typeof WINDOWS;
const RATES = [0.25, 0.5, 1, 2, 4, 8] as const;
const WORDS_MS = 200;
const JUMP_MS = 10_000;
const AGAIN_MS = 30_000;
/** Motion and alarms are gone to a little before they begin. */
const BEFORE_MS = 2_000;
/** Where nobody says from when, the last minute is shown. */
const LAST_MS = 60_000;

export function RecordingsView(props: { camera: string; name: string; purpose: string }) {
  const asked = Date.parse(place.peek().query.get("at") ?? "");
  const [window_, setWindow] = useState<Window>("1h");
  const [endMs, setEnd] = useState(() => (Number.isNaN(asked) ? Math.ceil(nowMs() / 1000) * 1000 : Math.min(nowMs(), asked + HOUR_MS / 2)));
  const [follows, setFollows] = useState(Number.isNaN(asked));
  const [time, setTime] = useState<CameraTime | null>(null);
  const [view, setView] = useState<Stretch>({ fromMs: 0, toMs: 1 });
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(true);
  const turn = useRef(0);

  async function read(quiet = false): Promise<void> {
    const mine = (turn.current += 1);
    if (!quiet) setBusy(true);
    const toMs = follows ? Math.ceil(nowMs() / 1000) * 1000 : endMs;
    try {
      const query = { camera: props.camera, from_ms: Math.round(toMs - WINDOWS[window_]), to_ms: Math.round(toMs), purpose: props.purpose };
      const found = readTime(await get<Timeline>("/timeline/cameras", query));
      if (mine !== turn.current) return;
      setError(null);
      setTime((before) => {
        setView((old) => (quiet && before && old.toMs - old.fromMs < before.toMs - before.fromMs ? within(old, found) : found));
        return found;
      });
    } catch (problem) {
      if (mine !== turn.current || quiet) return;
      setTime(null);
      setError(problem);
    } finally {
      if (mine === turn.current) setBusy(false);
    }
  }
  useEffect(() => {
    void read();
    if (!follows) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void read(true);
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [window_, endMs, follows, props.camera]);

  function move(by: number): void {
    const length = WINDOWS[window_];
    const to = Math.min(nowMs(), (follows ? nowMs() : endMs) + by * length);
    setFollows(to >= nowMs() - 1000);
    setEnd(to);
  }
  return (
    <div class="cam-recordings">
      <div class="cam-bar">
        <div class="chips" role="radiogroup" aria-label={t("recordings.window")}>
          {(Object.keys(WINDOWS) as Window[]).map((one) => (
            <button key={one} role="radio" aria-checked={one === window_} onClick={() => setWindow(one)}>
              {t(`recordings.window.${one}`)}
            </button>
          ))}
        </div>
        <button aria-label={t("recordings.earlier")} onClick={() => move(-1)}>
          ‹
        </button>
        <label class="cam-until">
          {t("recordings.until")}
          <input
            type="datetime-local"
            name="until"
            step={1}
            value={toLocalInput(follows ? (time?.toMs ?? endMs) : endMs)}
            onChange={(event) => {
              const ms = fromLocalInput(event.currentTarget.value);
              if (ms === null) return;
              setFollows(false);
              setEnd(ms);
            }}
          />
        </label>
        <button aria-label={t("recordings.later")} disabled={follows} onClick={() => move(1)}>
          ›
        </button>
        <button aria-pressed={follows} onClick={() => setFollows(true)}>
          {t("recordings.now")}
        </button>
      </div>
      {error !== null && <Failure error={error} again={() => void read()} />}
      {busy && !time && <div class="loading">{t("recordings.reading")}</div>}
      {time && <Deck key={props.camera} {...props} time={time} view={view} onView={setView} startMs={Number.isNaN(asked) ? null : asked} />}
    </div>
  );
}

function Deck(props: { camera: string; name: string; purpose: string; time: CameraTime; view: Stretch; onView: (view: Stretch) => void; startMs: number | null }) {
  const { time, view } = props;
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<RecordedPlayer | null>(null);
  const [face, setFace] = useState<RecordedFace>({ atMs: 0, playing: false, trouble: "", why: null, segment: null });
  const [rate, setRate] = useState(1);
  const [marks, setMarks] = useState<{ fromMs: number | null; toMs: number | null }>({ fromMs: null, toMs: null });
  const latest = useRef({ time, face });
  latest.current = { time, face };

  useEffect(() => {
    if (!video.current) return undefined;
    const made = new RecordedPlayer(video.current, props.camera, props.purpose, time);
    player.current = made;
    const last = time.recorded[time.recorded.length - 1];
    const start = props.startMs ?? (last && Math.max(last.fromMs, last.toMs - LAST_MS));
    const first = start === undefined ? null : playable(time.recorded, start);
    if (first !== null) made.seek(first);
    const timer = setInterval(() => setFace(made.face()), WORDS_MS);
    return () => {
      clearInterval(timer);
      made.stop();
      player.current = null;
    };
  }, [props.camera, props.purpose]);
  useEffect(() => player.current?.within(time), [time]);
  // what plays stays in sight
  useEffect(() => {
    if (face.playing && face.atMs > view.toMs && face.atMs < time.toMs) {
      const length = view.toMs - view.fromMs;
      props.onView(within({ fromMs: face.atMs - length * 0.1, toMs: face.atMs + length * 0.9 }, time));
    }
  }, [face.atMs]);

  const seek = (ms: number): void => {
    const at = playable(latest.current.time.recorded, Math.min(Math.max(ms, latest.current.time.fromMs), latest.current.time.toMs));
    if (at !== null) player.current?.seek(at);
  };
  const jump = (by: number): void => seek(latest.current.face.atMs + by);
  const toEdge = (what: "moving" | "alarms", forward: boolean): void => {
    const { time: now, face: shown } = latest.current;
    const starts = what === "moving" ? now.moving.map((one) => one.fromMs) : now.alarms.map((one) => one.atMs);
    const found = edge(starts, shown.atMs + BEFORE_MS, forward);
    if (found !== null) seek(found - BEFORE_MS);
  };
  const toggle = (): void => (latest.current.face.playing ? player.current?.pause() : player.current?.play());
  const step = (by: number): void => player.current?.step(by, latest.current.time.fps);
  const faster = (by: number): void => {
    const at = RATES.findIndex((one) => one === rate);
    const next = RATES[Math.min(RATES.length - 1, Math.max(0, at + by))] ?? 1;
    setRate(next);
    player.current?.setRate(next);
  };
  const mark = (which: "fromMs" | "toMs"): void => setMarks((old) => ({ ...old, [which]: Math.round(latest.current.face.atMs) }));
  const zoomBy = (factor: number): void => props.onView(zoomed(view, factor, face.atMs >= view.fromMs && face.atMs <= view.toMs ? face.atMs : (view.fromMs + view.toMs) / 2, time));
  useLayoutEffect(
    () =>
      use({
        title: "keys.recordings.page",
        bindings: [
          { keys: [" ", "k"], says: "keys.recordings.play", run: toggle },
          { keys: ["ArrowLeft"], says: "keys.recordings.back", run: () => jump(-JUMP_MS) },
          { keys: ["ArrowRight"], says: "keys.recordings.on", run: () => jump(JUMP_MS) },
          { keys: [",", "，"], says: "keys.recordings.stepBack", run: () => step(-1) },
          { keys: [".", "。"], says: "keys.recordings.step", run: () => step(1) },
          { keys: ["m"], says: "recordings.nextMotion", run: () => toEdge("moving", true) },
          { keys: ["n"], says: "recordings.lastMotion", run: () => toEdge("moving", false) },
          { keys: ["a"], says: "recordings.nextAlarm", run: () => toEdge("alarms", true) },
          { keys: ["b"], says: "recordings.lastAlarm", run: () => toEdge("alarms", false) },
          { keys: ["f"], says: "keys.recordings.faster", run: () => faster(1) },
          { keys: ["s"], says: "keys.recordings.slower", run: () => faster(-1) },
          { keys: ["+", "="], says: "keys.recordings.in", run: () => zoomBy(0.5) },
          { keys: ["-"], says: "keys.recordings.out", run: () => zoomBy(2) },
          { keys: ["<", "["], says: "recordings.markFrom", run: () => mark("fromMs") },
          { keys: [">", "]"], says: "recordings.markTo", run: () => mark("toMs") },
        ],
      }),
    [view, time, face.atMs, rate],
  );
  const nothing = time.recorded.length === 0;
  return (
    <>
      <div class="cam-play">
        <div class="tile cam-film" data-trouble={face.trouble} data-playing={face.playing} data-at={Math.round(face.atMs)}>
          <video ref={video} muted playsInline aria-label={t("recordings.of", { name: props.name })} />
          {nothing && <div class="cover">{t("recordings.nothing")}</div>}
          {!nothing && face.trouble && <div class="cover">{troubleWords(face)}</div>}
          <div class="foot">
            <span>
              {face.atMs ? dateTime(face.atMs) : ""}
              {face.segment && ` · ${face.segment.recording}`}
              {face.segment?.masked && ` · ${t("cameras.masked")}`}
              {face.segment?.held && ` · ${t("recordings.held")}`}
            </span>
          </div>
        </div>
        <aside class="cam-beside">
          {may(session.value?.role, "clip") && <ClipForm camera={props.camera} purpose={props.purpose} marks={marks} onMarks={setMarks} atMs={face.atMs} />}
          <h2>{t("recordings.alarms", { n: time.alarms.length })}</h2>
          <ul class="plain cam-alarms">
            {time.alarms.map((one) => (
              <li key={one.alarm}>
                <button onClick={() => seek(one.atMs - BEFORE_MS)}>
                  <span>
                    {clockTime(one.atMs)} {word("kind", one.kind)}
                  </span>
                  <small>{one.device === props.camera ? t("recordings.own") : one.distanceM === null ? t("recordings.ofSite") : distance(one.distanceM)}</small>
                </button>
              </li>
            ))}
            {!time.alarms.length && <li class="fine">{t("recordings.noAlarms")}</li>}
          </ul>
        </aside>
      </div>
      <div class="deck cam-deck">
        <div class="deck-line">
          <button class="primary" onClick={toggle} disabled={nothing} aria-label={t(face.playing ? "recordings.pause" : "recordings.play")}>
            <Icon name={face.playing ? "pause" : "play"} fill />
          </button>
          <span class="now">{face.atMs ? dateTime(face.atMs) : t("app.none")}</span>
          <button onClick={() => step(-1)} disabled={nothing} aria-label={t("keys.recordings.stepBack")}>
            ◂|
          </button>
          <button onClick={() => step(1)} disabled={nothing} aria-label={t("keys.recordings.step")}>
            |▸
          </button>
          <button onClick={() => jump(-JUMP_MS)} disabled={nothing}>
            −10 s
          </button>
          <button onClick={() => jump(JUMP_MS)} disabled={nothing}>
            +10 s
          </button>
          <button onClick={() => toEdge("moving", true)} disabled={!time.moving.length}>
            {t("recordings.nextMotion")} <kbd>M</kbd>
          </button>
          <button onClick={() => toEdge("alarms", true)} disabled={!time.alarms.length}>
            {t("recordings.nextAlarm")} <kbd>A</kbd>
          </button>
          <label class="cam-rate">
            {t("recordings.rate")}
            <select
              value={String(rate)}
              onChange={(event) => {
                const wanted = Number(event.currentTarget.value);
                setRate(wanted);
                player.current?.setRate(wanted);
              }}
            >
              {RATES.map((one) => (
                <option key={one} value={String(one)}>
                  {one}×
                </option>
              ))}
            </select>
          </label>
          <span class="spacer" />
          <button onClick={() => zoomBy(2)} aria-label={t("keys.recordings.out")}>
            −
          </button>
          <button onClick={() => zoomBy(0.5)} aria-label={t("keys.recordings.in")}>
            +
          </button>
        </div>
        <CameraTimeline time={time} view={view} onView={props.onView} atMs={face.atMs} marks={marks} onSeek={seek} />
        <p class="legend cam-legend">
          <span class="l-record">{t("recordings.recorded")}</span>
          <span class="l-held">{t("recordings.held")}</span>
          <span class="l-gap">{t("recordings.gap")}</span>
          <span class="l-motion">{t("recordings.motion")}</span>
          <span class="l-alarm">{t("recordings.alarm")}</span>
          <span class="fine">{t("recordings.sum", { recorded: span(time.recorded.reduce((sum, one) => sum + one.toMs - one.fromMs, 0)), n: time.gaps.length })}</span>
        </p>
      </div>
    </>
  );
}

function troubleWords(face: RecordedFace): string {
  if (face.trouble === "loading") return t("recordings.reading");
  if (face.trouble === "nothing") return t("recordings.nothingHere");
  if (face.trouble === "end") return t("recordings.end");
  if (face.trouble === "unplayable") return t("recordings.unplayable", { codec: String(face.why || "?") });
  return face.why instanceof Error ? `${t("recordings.failed")}\n${face.why.message}` : t("recordings.failed");
}
