// A small map of one device: where it is, how far off it may be, where it was; it stays on it unless it is moved by hand.

import { useEffect, useRef, useState } from "preact/hooks";
import { theme } from "../state/prefs";
import { t } from "../text";
import { CityMap, type At } from "./citymap";
import { ring } from "./datum";
import { markFeatures, type Mark } from "./mapbox";

export interface Spot extends At {
  accM: number | null;
}

const ZOOM = 15;

export function PlaceMap(props: {
  /** Where it is; null: not known. */
  here: Spot | null;
  kind: string;
  label: string;
  headingDeg?: number | null;
  /** Other places with how far off each may be, and marks. */
  spots?: readonly Spot[];
  marks?: readonly Mark[];
  /** Where it was, in order. */
  line?: readonly At[];
}) {
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<CityMap | null>(null);
  const [failed, setFailed] = useState("");
  const [ready, setReady] = useState(0);
  const near = useRef(false);
  const { here } = props;
  useEffect(() => {
    if (!box.current) return undefined;
    const made = new CityMap(box.current);
    map.current = made;
    made.onFail = (why) => {
      if (!made.ready) setFailed(why);
    };
    made.onReady = () => {
      setFailed("");
      setReady((n) => n + 1);
    };
    return () => {
      made.stop();
      map.current = null;
    };
  }, []);
  useEffect(() => {
    void map.current?.start(theme.value, here, ZOOM);
  }, [theme.value]);
  useEffect(() => {
    const at = map.current;
    if (!at || !ready) return;
    const marks: Mark[] = [...(props.marks ?? [])];
    if (here) marks.push({ id: "here", kind: props.kind, lat: here.lat, lon: here.lon, label: props.label, h: props.headingDeg ?? 0 });
    at.set("marks", markFeatures(at, marks));
    const spots = [...(props.spots ?? []), ...(here ? [here] : [])].filter((one) => (one.accM ?? 0) > 0);
    at.set("accuracy", {
      type: "FeatureCollection",
      features: spots.map((one) => ({ type: "Feature", geometry: { type: "Polygon", coordinates: [ring(at.datum, one.lat, one.lon, one.accM ?? 0)] }, properties: {} })),
    });
    const line = props.line ?? [];
    at.set("lines", {
      type: "FeatureCollection",
      features: line.length > 1 ? [{ type: "Feature", geometry: { type: "LineString", coordinates: line.map((one) => at.draw(one)) }, properties: { colour: "#36c5b0", gap: false } }] : [],
    });
  }, [ready, here?.lat, here?.lon, here?.accM, props.headingDeg, props.spots, props.marks, props.line]);
  useEffect(() => {
    if (!here || !ready) return;
    map.current?.goTo(here, near.current ? undefined : ZOOM, near.current);
    near.current = true;
  }, [ready, here?.lat, here?.lon]);
  return (
    <div class="place-map">
      <div ref={box} class="city-map" />
      {!ready && <div class="map-word">{failed ? t("map.failed", { why: failed }) : t("map.loading")}</div>}
    </div>
  );
}
