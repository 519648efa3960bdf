// The alarm desk: the queue, the chosen alarm, the map and the cameras around it.

import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { get, path } from "../api/client";
import type { Alarm, AlarmDetails } from "../api/types";
import { topSlot } from "../app";
import { MapBox, type Mark } from "../map/mapbox";
import type { PageProps } from "../pages/table";
import { go, match, place } from "../router";
import { alarmById, loaded, onRing, putAlarm, queue, revision } from "../state/alarms";
import { msOf, nowMs } from "../state/time";
import { t, word } from "../text";
import { pageCommands, type Command } from "../ui/command";
import { use } from "../ui/keys";
import { Failure } from "../ui/notices";
import { begin, DEED_WORDS } from "./act";
import { can, type Deed } from "./allowed";
import { Details } from "./details";
import { Dialogs, HandOverNote } from "./dialogs";
import { grouped, move, QueuePane, search, choose } from "./queuepane";
import { SoundGate, SoundState } from "./soundgate";
import { BEFORE_MS, Tiles } from "./tiles";

/** An alarm that came longer ago is not new to whoever opens it. */
const FRESH_MS = 30_000;

export default function Desk({ params }: PageProps) {
  const id = params["alarm"] ?? "";
  const { details, error } = useDetails(id);
  const [note, setNote] = useState(false);
  const [said, setSaid] = useState("");
  void revision.value;
  const alarm = alarmById(id) ?? details ?? undefined;

  useEffect(() => {
    topSlot.value = SoundState;
    return () => {
      topSlot.value = null;
    };
  }, []);
  useEffect(
    () => onRing((one) => setSaid(t("desk.announce", { kind: word("kind", one.kind), severity: t(`severity.${one.severity}`) }))),
    [],
  );
  // The most urgent is chosen by itself where nothing is: whoever sits down sees what is due.
  const first = queue.value[0]?.alarm;
  useEffect(() => {
    if (!id && loaded.value && first) choose(first);
  }, [id, first, loaded.value]);

  useLayoutEffect(() => {
    // By the address, which a press changes at once: who presses twice, or goes on and acts, is not on the alarm that was drawn last.
    const here = (): string => match("/desk/:alarm", place.peek().path)?.["alarm"] ?? "";
    const now = (): Alarm | undefined => alarmById(here());
    const deed = (one: Deed) => (): void => begin(now(), one);
    const finish = (): void => begin(now(), now()?.work === "resolved" ? "close" : "resolve");
    const away = (): void => begin(now(), now()?.side ? "restore" : "shelve");
    const focus = (selector: string) => (): void => document.querySelector<HTMLElement>(selector)?.focus();
    pageCommands.value = (): Command[] => {
      const one = now();
      const deeds: Deed[] = ["ack", "dispatch", "arrive", "resolve", "close", "hand_over", "shelve", "restore"];
      const made = one ? deeds.filter((d) => can(one, d)).map((d) => ({ says: `${t(DEED_WORDS[d])} · ${word("kind", one.kind)}`, run: () => begin(one, d) })) : [];
      const report = one ? [{ says: t("command.incident"), run: () => go(`/desk/${encodeURIComponent(one.alarm)}/report`) }] : [];
      return [...made, ...report, { says: t("note.title"), hint: "n", run: () => setNote(true) }];
    };
    const undo = use({
      title: "keys.desk",
      bindings: [
        { keys: ["j", "ArrowDown"], says: "keys.down", run: () => move(here(), 1) },
        { keys: ["k", "ArrowUp"], says: "keys.up", run: () => move(here(), -1) },
        { keys: ["Home"], says: "keys.first", run: () => move("", 0) },
        { keys: ["a"], says: "keys.ack", run: deed("ack") },
        { keys: ["d"], says: "keys.dispatch", run: deed("dispatch") },
        { keys: ["s"], says: "keys.scene", run: deed("arrive") },
        { keys: ["c"], says: "keys.close", run: finish },
        { keys: ["v"], says: "keys.video", run: focus("#desk-video") },
        { keys: ["m"], says: "keys.map", run: focus("#desk-map canvas") },
        { keys: ["/", "／"], says: "keys.searchQueue", run: focus("#queue-search") },
        { keys: ["o"], says: "keys.handOver", run: deed("hand_over") },
        { keys: ["h"], says: "keys.shelve", run: away },
        { keys: ["g"], says: "keys.group", run: () => (grouped.value = !grouped.value) },
        { keys: ["n"], says: "keys.note", run: () => setNote(true) },
        {
          keys: ["Escape"],
          run: () => {
            search.value = "";
            document.querySelector<HTMLElement>("[role=listbox]")?.focus();
          },
        },
      ],
    });
    return () => {
      undo();
      pageCommands.value = () => [];
    };
  }, []);

  return (
    <>
      <div class="desk">
        <QueuePane chosen={id} />
        <section aria-label={t("alarm.facts")}>
          {alarm ? (
            <Details alarm={alarm} details={details} />
          ) : error !== null ? (
            <Failure error={error} />
          ) : (
            <p class="empty">
              {id ? t("app.loading") : t("desk.pick")}
              <br />
              <small>{t("desk.pickHint")}</small>
            </p>
          )}
        </section>
        <Aside alarm={alarm} details={details} />
      </div>
      <Dialogs context={details?.context ?? null} />
      {note && <HandOverNote onClose={() => setNote(false)} />}
      <SoundGate />
      <div class="visually-hidden" role="status" aria-live="assertive">
        {said}
      </div>
    </>
  );
}

/** The alarm with what it brings along, read again when it changed. */
function useDetails(id: string): { details: AlarmDetails | null; error: unknown } {
  const [found, setFound] = useState<{ id: string; details: AlarmDetails | null; error: unknown }>({ id: "", details: null, error: null });
  void revision.value;
  const version = alarmById(id)?.version ?? 0;
  useEffect(() => {
    if (!id) return undefined;
    const ended = new AbortController();
    const timer = setTimeout(() => {
      get<AlarmDetails>(path("/alarms/{alarm}", { alarm: id }), {}, { signal: ended.signal }).then(
        (details) => {
          putAlarm(plain(details));
          setFound({ id, details, error: null });
        },
        (error: unknown) => {
          if (!ended.signal.aborted) setFound((before) => ({ id, details: before.id === id ? before.details : null, error }));
        },
      );
    }, 60);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [id, version]);
  return found.id === id ? found : { details: null, error: null };
}

function plain(details: AlarmDetails): Alarm {
  const { signals_kept: _s, history: _h, evidence: _e, context: _c, ...alarm } = details;
  return alarm;
}

function Aside(props: { alarm: Alarm | undefined; details: AlarmDetails | null }) {
  const { alarm, details } = props;
  // What was before is shown of an alarm that has just come; an older one is looked at as it is now, and its past is in its clips.
  const id = alarm?.alarm ?? "";
  const fromMs = useMemo(() => {
    const at = msOf(alarm?.time) ?? msOf(alarm?.received);
    return at === null || nowMs() - at > FRESH_MS ? null : at - BEFORE_MS;
  }, [id]);
  const marks = useMemo<Mark[]>(() => {
    const made: Mark[] = [];
    for (const camera of details?.context.cameras ?? []) {
      if (camera.lat !== null && camera.lon !== null) {
        made.push({ id: camera.camera, kind: "camera", lat: camera.lat, lon: camera.lon, label: camera.name || camera.camera });
      }
    }
    for (const post of details?.context.defence?.posts ?? []) made.push({ id: post.name, kind: "post", lat: post.lat, lon: post.lon, label: post.name });
    if (alarm && alarm.lat !== null && alarm.lon !== null) {
      made.push({ id: alarm.alarm, kind: `alarm${alarm.severity}`, lat: alarm.lat, lon: alarm.lon, label: word("kind", alarm.kind) });
    }
    return made;
  }, [details, alarm?.lat, alarm?.lon, alarm?.severity]);
  const at = alarm && alarm.lat !== null && alarm.lon !== null ? { lat: alarm.lat, lon: alarm.lon } : null;
  const units = details?.context.units.slice(0, 5).map((unit) => unit.unit) ?? [];
  const follow = alarm && !alarm.place_hidden && alarm.device.startsWith("taxi/") ? [...units, alarm.device] : units;
  return (
    <section class="aside" aria-label={t("map.label")}>
      <div class="map-box" id="desk-map">
        <MapBox centre={at} zoom={15} marks={marks} follow={follow} live={!!alarm} kinds={["unit", "taxi"]} />
      </div>
      <div class="tiles-box" id="desk-video" tabIndex={-1}>
        <div class="tiles-head">
          <h2>{t("tiles.title")}</h2>
          {fromMs !== null && <small>{t("tiles.from")}</small>}
        </div>
        {details && alarm && (
          <Tiles key={alarm.alarm} cameras={details.context.cameras} purpose={`alarm:${alarm.alarm}`} fromMs={fromMs} />
        )}
      </div>
    </section>
  );
}
