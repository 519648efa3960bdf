// The map of the whole city: what moves, cameras, fences, jurisdictions and open alarms; filters, follow, and drawing fences.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Feature } from "geojson";
import { get } from "../api/client";
import type { PageProps } from "../pages/table";
import { go, place } from "../router";
import { queue } from "../state/alarms";
import { Bit, cells, fleet, fleetAtMs, fleetRevision, type Place } from "../state/fleet";
import { watchView } from "../state/link";
import { theme } from "../state/prefs";
import { is } from "../state/session";
import { nowMs, span, tick } from "../state/time";
import { taxiPath } from "../taxi/status";
import { language, t, word } from "../text";
import { use } from "../ui/keys";
import { say, sayError } from "../ui/notices";
import { CityMap, type Box, type Features, type Picked } from "./citymap";
import type { Datum } from "./datum";
import { FenceTools, type FenceFeature } from "./fences";
import { accuracyFeatures, nameFeatures, OLD_S, stateOf, type FleetFilter } from "./fleetlayer";
import { markFeatures } from "./mapbox";

interface Shown extends FleetFilter {
  cameras: boolean;
  fences: boolean;
  areas: boolean;
  alarms: boolean;
}

const shown = signal<Shown>({
  taxis: true,
  units: true,
  onlyMoving: false,
  onlyOccupied: false,
  hideOld: false,
  cameras: true,
  fences: true,
  areas: false,
  alarms: true,
});
/** The device that the map stays on. */
const followed = signal("");
const chosen = signal<Picked | null>(null);
/** Of the base map. */
const datum = signal<Datum>("wgs84");
/** The last update of the moving ones, ms of this thread. */
const updateMs = signal(0);

const CAMERA_PAUSE_MS = 250;
const FOLLOW_ZOOM = 15;

export default function MapPage(_props: PageProps) {
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<CityMap | null>(null);
  const [failed, setFailed] = useState("");
  const [ready, setReady] = useState(0);
  const [view, setView] = useState<Box | null>(null);
  const [fences, setFences] = useState<Features | null>(null);
  const filter = shown.value;
  const near = useRef({ device: "", fixMs: 0 });

  useEffect(() => {
    if (!box.current) return undefined;
    const made = new CityMap(box.current);
    map.current = made;
    made.onFail = (why) => {
      if (!made.ready) setFailed(why);
    };
    made.onReady = () => {
      setFailed("");
      datum.value = made.datum;
      setReady((n) => n + 1);
    };
    made.onMove = setView;
    made.onPick = (picked) => {
      // a number for many: nearer, until each can be seen
      if (picked && ["cameras-many", "cells"].includes(picked.layer)) made.goTo(picked.at, Math.min(18, (made.view()?.zoom ?? 12) + 2));
      else chosen.value = picked;
    };
    const undo = use({
      title: "keys.map.page",
      bindings: [
        { keys: ["/", "／"], says: "keys.map.find", run: () => document.getElementById("map-find")?.focus() },
        { keys: ["m"], says: "keys.map.move", run: () => made.focus() },
        { keys: ["+", "="], says: "keys.map.zoom", run: () => made.zoomBy(1) },
        { keys: ["-"], run: () => made.zoomBy(-1) },
        { keys: ["f"], says: "keys.map.follow", run: toggleFollow },
        {
          keys: ["Escape"],
          run: () => {
            chosen.value = null;
            followed.value = "";
          },
        },
      ],
    });
    return () => {
      undo();
      made.stop();
      map.current = null;
      watchView(null);
    };
  }, []);
  useEffect(() => {
    void map.current?.start(theme.value, null, 12);
  }, [theme.value]);

  // An address may name what to follow.
  const asked = place.value.query.get("follow") ?? "";
  useEffect(() => {
    if (asked) followed.value = asked;
  }, [asked]);

  const picked = chosen.value?.properties["d"];
  const wanted = [followed.value, typeof picked === "string" ? picked : ""].filter(Boolean);
  const kinds = [...(filter.taxis ? ["taxi"] : []), ...(filter.units ? ["unit"] : [])];
  const key = `${wanted.join(",")}|${kinds.join(",")}`;
  useEffect(() => {
    if (view) watchView({ bbox: view.bbox, zoom: view.zoom, kinds, follow: [...new Set(wanted)] });
  }, [view, key]);

  useEffect(() => {
    const at = map.current;
    if (!ready || !at) return;
    const before = performance.now();
    const now = nowMs();
    const zoom = view?.zoom ?? 0;
    at.setFleet(filter, now);
    at.set("fleet", nameFeatures(at, new Set(wanted), filter, now, zoom));
    at.set("accuracy", accuracyFeatures(at, new Set(wanted), zoom));
    at.set("cells", {
      type: "FeatureCollection",
      features: (cells.value ?? []).map(([id, lat, lon, count]) => ({
        type: "Feature",
        geometry: { type: "Point", coordinates: at.draw({ lat, lon }) },
        properties: { id, count },
      })),
    });
    updateMs.value = performance.now() - before;
    const moving = followed.value ? fleet.get(followed.value) : undefined;
    if (moving) {
      // Whoever is followed is brought near once, and then kept in the middle at whatever zoom.
      const first = near.current.device !== followed.value;
      if (first) at.goTo(moving, Math.max(FOLLOW_ZOOM, view?.zoom ?? 0), false);
      else if (near.current.fixMs !== moving.fixMs) at.goTo(moving);
      near.current = { device: followed.value, fixMs: moving.fixMs };
    }
  }, [fleetRevision.value, ready, filter, key]);

  const alarms = queue.value;
  useEffect(() => {
    const at = map.current;
    if (!ready || !at) return;
    const marks = filter.alarms
      ? alarms.flatMap((one) =>
          one.lat === null || one.lon === null ? [] : [{ id: one.alarm, kind: `alarm${one.severity}`, lat: one.lat, lon: one.lon, label: word("kind", one.kind) }],
        )
      : [];
    at.set("marks", markFeatures(at, marks.reverse()));
  }, [alarms, ready, filter.alarms, language.value]);

  useCameras(map.current, view, ready, filter.cameras);
  useEffect(() => {
    if (!ready || !map.current) return;
    const at = map.current;
    if (filter.areas) {
      get<Features>("/map/jurisdictions").then((areas) => at.set("areas", at.turnedFeatures(areas)), sayError);
    }
    at.show("areas", filter.areas);
  }, [ready, filter.areas]);
  const readFences = (): void => {
    get<Features>("/map/fences").then(setFences, sayError);
  };
  useEffect(readFences, []);
  useEffect(() => {
    const at = map.current;
    if (!ready || !at || !fences) return;
    at.set("fences", at.turnedFeatures(fences));
    at.show("fences", filter.fences);
  }, [ready, fences, filter.fences]);

  return (
    <div class="map-page">
      <div ref={box} class="city-map" data-fleet={fleet.size} data-update-ms={updateMs.value.toFixed(1)} />
      {!ready && <div class="map-word">{failed ? t("map.failed", { why: failed }) : t("map.loading")}</div>}
      <Filters map={map.current} />
      <div class="panel right" hidden={!chosen.value && !followed.value}>
        <Chosen />
      </div>
      {is("supervisor", "officer") && map.current && ready > 0 && (
        <FenceTools map={map.current} chosen={fenceOf(chosen.value, fences)} onChange={readFences} />
      )}
      <div class="map-zoom">
        <button aria-label={t("map.zoomIn")} onClick={() => map.current?.zoomBy(1)}>
          +
        </button>
        <button aria-label={t("map.zoomOut")} onClick={() => map.current?.zoomBy(-1)}>
          −
        </button>
        <button aria-label={t("map.home")} onClick={() => map.current?.goHome()}>
          ⌂
        </button>
      </div>
      <Foot />
    </div>
  );
}

function toggleFollow(): void {
  if (followed.value) {
    followed.value = "";
    return;
  }
  const device = chosen.value?.properties["d"];
  if (typeof device === "string") followed.value = device;
}

function fenceOf(picked: Picked | null, fences: Features | null): FenceFeature | null {
  if (picked?.layer !== "fences-fill") return null;
  return (fences?.features.find((one) => one.properties["id"] === picked.properties["id"]) as FenceFeature | undefined) ?? null;
}

function useCameras(map: CityMap | null, view: Box | null, ready: number, on: boolean): void {
  useEffect(() => {
    if (!map || !ready || !view) return undefined;
    map.show("cameras", on);
    if (!on) return undefined;
    const ended = new AbortController();
    const timer = setTimeout(() => {
      get<Features>("/map/cameras", { bbox: view.bbox.map((one) => one.toFixed(6)).join(","), zoom: view.zoom.toFixed(2) }, { signal: ended.signal }).then(
        (found) => {
          for (const feature of found.features as Feature[]) {
            feature.properties = { id: feature.id, ...feature.properties, count: Number(feature.properties?.["count"] ?? 1) };
          }
          map.set("cameras", map.turnedFeatures(found));
        },
        (error: unknown) => {
          if (!ended.signal.aborted) sayError(error);
        },
      );
    }, CAMERA_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [view, ready, on]);
}

function Check(props: { name: keyof Shown; label: string; mark?: string; count?: number }) {
  return (
    <label class="check">
      <input type="checkbox" checked={shown.value[props.name]} onChange={() => (shown.value = { ...shown.value, [props.name]: !shown.value[props.name] })} />
      {props.mark && <i class={props.mark} />}
      {props.label}
      {props.count !== undefined && <small>{props.count}</small>}
    </label>
  );
}

function Filters({ map }: { map: CityMap | null }) {
  const [text, setText] = useState("");
  async function find(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const wanted = text.trim();
    if (!wanted || !map) return;
    const device = wanted.includes("/") ? wanted : `taxi/${wanted}`;
    const here = fleet.get(device);
    if (here) {
      map.goTo(here, 16);
      chosen.value = { layer: "fleet", properties: { d: device }, at: here };
      return;
    }
    try {
      if (device.startsWith("taxi/") || device.startsWith("unit/")) {
        const [found] = await get<{ lat: number | null; lon: number | null }[]>("/where", { devices: [device] }).then((one) => (Array.isArray(one) ? one : (one as { items: [] }).items));
        if (found?.lat != null && found.lon != null) {
          map.goTo({ lat: found.lat, lon: found.lon }, 16);
          chosen.value = { layer: "fleet", properties: { d: device }, at: { lat: found.lat, lon: found.lon } };
          return;
        }
      } else {
        const found = await get<{ lat: number | null; lon: number | null }>(`/devices/${device.split("/").map(encodeURIComponent).join("/")}`);
        if (found.lat !== null && found.lon !== null) {
          map.goTo({ lat: found.lat, lon: found.lon }, 17);
          return;
        }
      }
      say("warn", t("map.notFound", { what: wanted }));
    } catch (error) {
      sayError(error);
    }
  }
  return (
    <div class="panel left" aria-label={t("map.layers")} role="region">
      <form onSubmit={(event) => void find(event)}>
        <input id="map-find" type="search" value={text} placeholder={t("map.search")} aria-label={t("map.search")} onInput={(event) => setText(event.currentTarget.value)} />
      </form>
      <hr />
      <Check name="taxis" label={t("map.taxis")} mark="moving" />
      <Check name="units" label={t("map.units")} mark="unit" />
      <Check name="alarms" label={t("map.alarms")} mark="alarm" count={queue.value.length} />
      <Check name="cameras" label={t("map.cameras")} mark="camera" />
      <Check name="fences" label={t("map.fences")} mark="fence" />
      <Check name="areas" label={t("map.areas")} mark="area" />
      <hr />
      <Check name="onlyMoving" label={t("map.onlyMoving")} />
      <Check name="onlyOccupied" label={t("map.onlyOccupied")} />
      <Check name="hideOld" label={t("map.hideOld")} />
      <hr />
      <div class="legend" aria-label={t("map.legend")}>
        <span>
          <i class="moving" />
          {t("map.vacant")} · {t("map.moving")}
        </span>
        <span>
          <i class="occupied" />
          {t("map.occupied")}
        </span>
        <span>
          <i class="standing" />
          {t("map.standing")}
        </span>
        <span>
          <i class="old" />
          {t("map.old", { n: OLD_S })}
        </span>
      </div>
    </div>
  );
}

function Foot() {
  void tick.value;
  void fleetRevision.value;
  const text = cells.value ? t("map.clustered") : t("map.shown", { n: fleet.size });
  return (
    <div class="map-foot" aria-live="off">
      {text}
      {datum.value === "gcj02" && ` · GCJ-02`}
      {fleetAtMs.value > 0 && ` · ${t("map.updated", { age: span(nowMs() - fleetAtMs.value) })}`}
    </div>
  );
}

function Chosen() {
  void fleetRevision.value;
  const picked = chosen.value;
  const device = typeof picked?.properties["d"] === "string" ? picked.properties["d"] : followed.value;
  const at = device ? fleet.get(device) : undefined;
  if (device) return <Vehicle device={device} at={at} />;
  if (!picked) return null;
  const name = String(picked.properties["label"] ?? picked.properties["name"] ?? picked.properties["camera"] ?? picked.properties["id"] ?? "");
  const alarm = picked.layer === "marks" ? String(picked.properties["id"]) : "";
  const camera = picked.layer === "cameras-one" ? String(picked.properties["camera"] ?? picked.properties["id"] ?? "") : "";
  return (
    <>
      <h2>
        {name}
        <Shut />
      </h2>
      {camera && (
        <>
          <p class="fine">
            {camera}
            {picked.properties["state"] ? ` · ${word("camState", String(picked.properties["state"]))}` : ""}
          </p>
          <a href={`/cameras/${camera}`}>{t("map.openCamera")}</a>
        </>
      )}
      {picked.layer === "fences-fill" && (
        <>
          <p>
            {word("rule", String(picked.properties["rule"]))}
            {picked.properties["limit_kmh"] ? ` · ${t("map.kmh", { n: Number(picked.properties["limit_kmh"]) })}` : ""}
            {picked.properties["enabled"] === false && ` · ${t("map.fence.off")}`}
          </p>
          <button onClick={() => go(`/search?area=${encodeURIComponent(`fence:${String(picked.properties["id"])}`)}`)}>{t("map.searchHere")}</button>
        </>
      )}
      {alarm && <button onClick={() => go(`/desk/${encodeURIComponent(alarm)}`)}>{t("map.openAlarm")}</button>}
    </>
  );
}

function Shut() {
  return (
    <button
      class="icon"
      aria-label={t("do.close")}
      onClick={() => {
        chosen.value = null;
        followed.value = "";
      }}
    >
      ✕
    </button>
  );
}

function Vehicle({ device, at }: { device: string; at: Place | undefined }) {
  void tick.value;
  const alarm = queue.value.find((one) => one.device === device);
  const following = followed.value === device;
  return (
    <>
      <h2>
        {device}
        <Shut />
      </h2>
      {at ? (
        <dl class="facts">
          <dt>{t("map.state")}</dt>
          <dd>
            {t(`map.${stateOf(at) === "unit" ? "moving" : (stateOf(at) as "moving" | "occupied" | "standing")}`)}
            {at.bits & Bit.ignitionSent ? ` · ${t(at.bits & Bit.ignition ? "map.ignition" : "map.noIgnition")}` : ""}
          </dd>
          <dt>{t("map.speed")}</dt>
          <dd>{at.speedKmh === null ? t("app.none") : t("map.kmh", { n: Math.round(at.speedKmh) })}</dd>
          <dt>{t("map.heading")}</dt>
          <dd>{at.headingDeg === null ? t("app.none") : `${Math.round(at.headingDeg)}°`}</dd>
          <dt>{t("map.age")}</dt>
          <dd class={nowMs() - at.fixMs > OLD_S * 1000 ? "warn-text" : ""}>{span(nowMs() - at.fixMs)}</dd>
          <dt>{t("map.accuracy")}</dt>
          <dd>{at.accM === null ? t("map.accuracyUnknown") : t("map.meters", { n: Math.round(at.accM) })}</dd>
          <dt>{t("alarm.place")}</dt>
          <dd>
            {at.lat.toFixed(5)}, {at.lon.toFixed(5)}
          </dd>
        </dl>
      ) : (
        <p class="fine">{t("alarm.noPlace")}</p>
      )}
      <div class="chips">
        <button aria-pressed={following} onClick={() => (followed.value = following ? "" : device)}>
          {t(following ? "map.unfollow" : "map.follow")} <kbd>f</kbd>
        </button>
        {alarm && <button onClick={() => go(`/desk/${encodeURIComponent(alarm.alarm)}`)}>{t("map.openAlarm")}</button>}
        {device.startsWith("taxi/") && <button onClick={() => go(taxiPath(device))}>{t("taxi.panel")}</button>}
        <button onClick={() => go(`/replay?devices=${encodeURIComponent(device)}`)}>{t("map.replay")}</button>
      </div>
    </>
  );
}
