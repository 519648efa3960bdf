// A map beside something else: centred on it, with its marks, and with what moves around it.

import { useEffect, useRef, useState } from "preact/hooks";
import { fleet, fleetRevision } from "../state/fleet";
import { watchView } from "../state/link";
import { theme } from "../state/prefs";
import { nowMs } from "../state/time";
import { t } from "../text";
import { CityMap, type At, type Box, type Features } from "./citymap";
import { accuracyFeatures, EVERYTHING, nameFeatures } from "./fleetlayer";

export interface Mark {
  id: string;
  kind: string;
  lat: number;
  lon: number;
  label: string;
  h?: number;
}

/** The less urgent, the smaller: a flood of small things must not hide a large one. */
const SIZES: Record<string, number> = { alarm1: 1.1, alarm2: 0.85, alarm3: 0.5 };

export function markFeatures(map: CityMap, marks: readonly Mark[]): Features {
  return {
    type: "FeatureCollection",
    features: marks.map((mark) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: map.draw(mark) },
      properties: { id: mark.id, kind: mark.kind, label: mark.label, h: mark.h ?? 0, size: SIZES[mark.kind] ?? 0.8 },
    })),
  };
}

export function MapBox(props: {
  centre: At | null;
  zoom: number;
  marks: readonly Mark[];
  follow: readonly string[];
  kinds: readonly string[];
  /** Shows what moves. */
  live: boolean;
}) {
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<CityMap | null>(null);
  const [failed, setFailed] = useState("");
  const [ready, setReady] = useState(0);
  const [view, setView] = useState<Box | null>(null);
  const { centre } = props;

  useEffect(() => {
    if (!box.current) return undefined;
    const made = new CityMap(box.current);
    map.current = made;
    made.onFail = setFailed;
    made.onReady = () => {
      setFailed("");
      setReady((n) => n + 1);
    };
    made.onMove = setView;
    return () => {
      made.stop();
      map.current = null;
      watchView(null);
    };
  }, []);
  useEffect(() => {
    void map.current?.start(theme.value, centre, props.zoom);
  }, [theme.value]);
  useEffect(() => {
    if (centre && ready) map.current?.goTo(centre, props.zoom, false);
  }, [centre?.lat, centre?.lon, ready]);
  useEffect(() => {
    if (ready && map.current) map.current.set("marks", markFeatures(map.current, props.marks));
  }, [props.marks, ready]);
  const follow = props.follow.join(",");
  useEffect(() => {
    if (!props.live || !view) return;
    watchView({ bbox: view.bbox, zoom: view.zoom, kinds: [...props.kinds], follow: follow ? follow.split(",").slice(0, 16) : [] });
  }, [view, follow, props.live]);
  useEffect(() => {
    if (!ready || !map.current) return;
    const [now, chosen, near] = [nowMs(), new Set(follow.split(",")), view?.zoom ?? 0];
    map.current.setFleet(EVERYTHING, now);
    map.current.set("fleet", nameFeatures(map.current, chosen, EVERYTHING, now, near));
    map.current.set("accuracy", accuracyFeatures(map.current, chosen, near));
  }, [fleetRevision.value, ready]);
  return (
    <>
      <div ref={box} class="city-map" data-fleet={fleet.size} />
      {!ready && <div class="map-word">{failed ? t("map.failed", { why: failed }) : t("map.loading")}</div>}
    </>
  );
}
