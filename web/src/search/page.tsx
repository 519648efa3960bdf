// The search by area and time: why first; then a question, its places and its time; what was found as a list and on the map.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, post } from "../api/client";
import { CityMap, type At, type Features } from "../map/citymap";
import { ring } from "../map/datum";
import { draw, drawnFeatures } from "../map/drawing";
import type { PageProps } from "../pages/table";
import { readReplay, type Vehicle } from "../replay/read";
import { place } from "../router";
import { theme } from "../state/prefs";
import { nowMs, toLocalInput } from "../state/time";
import { t } from "../text";
import { ExportDialog } from "../ui/export";
import { use } from "../ui/keys";
import { Failure, sayError } from "../ui/notices";
import { isWide, Wide } from "../ui/wide";
import { WithPurpose } from "../ui/withpurpose";
import { circleOf, handlesOf, parseArea } from "./area";
import { aroundOf, foundOf, OF_TWO, QUESTIONS, readOf, type Answer, type Asked, type Found, type Question } from "./asking";
import { askedOf, Form, placeWord, textOf, type Draft, type Drawing, type Named, type PlaceName } from "./form";
import { areaFeatures, foundFeatures, placesOf, wayFeatures, type Outline } from "./onmap";
import { Results } from "./results";

const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 120_000;
const PLACES: readonly PlaceName[] = ["first", "second"];

export default function SearchPage(_props: PageProps) {
  return <WithPurpose>{(purpose) => <Search purpose={purpose} />}</WithPurpose>;
}

function firstDraft(): Draft {
  const { query } = place.value;
  const now = Math.floor(nowMs() / 60_000) * 60_000;
  const time = (name: string, other: number): string => {
    const ms = Date.parse(query.get(name) ?? "");
    return toLocalInput(Number.isNaN(ms) ? other : ms);
  };
  const question = QUESTIONS.find((one) => one === query.get("question")) ?? "inside";
  return {
    question,
    first: query.get("area") ?? "",
    second: query.get("second") ?? "",
    device: query.get("device") ?? "",
    from: time("from", now - HOUR_MS),
    to: time("to", now),
    within: question === "met" ? "60" : "60",
    near: "100",
    together: "60",
    kinds: ["taxi"],
    among: query.get("devices") ?? "",
    evidence: true,
  };
}

interface Got {
  asked: Asked;
  found: Found[];
  searched: number;
  allowedBy: string;
}

function Search({ purpose }: { purpose: string }) {
  const [draft, setDraft] = useState<Draft>(firstDraft);
  const [drawing, setDrawing] = useState<Drawing | null>(null);
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [tried, setTried] = useState<Asked | null>(null);
  const [got, setGot] = useState<Got | null>(null);
  const [shown, setShown] = useState<Found | null>(null);
  const [way, setWay] = useState<Vehicle[] | null>(null);
  const [exported, setExported] = useState<string[] | null>(null);
  const registry = useRegistry();
  const change = (some: Partial<Draft>): void => setDraft((now) => ({ ...now, ...some }));

  async function read(asked: Asked, approval: string): Promise<void> {
    setBusy(true);
    setError(null);
    setTried(asked);
    setGot(null);
    setShown(null);
    setWay(null);
    const question = readOf(asked);
    try {
      const answer = await post<Answer>(question.where, { ...question.arguments, purpose, approval }, { timeoutMs: TIMEOUT_MS });
      setGot({ asked, found: foundOf(asked.question, answer), searched: answer.searched, allowedBy: answer.allowed_by });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  function ask(): void {
    const asked = askedOf(draft);
    setDrawing(null);
    if (typeof asked === "string") setWrong(asked);
    else {
      setWrong("");
      void read(asked, "");
    }
  }
  async function show(found: Found): Promise<void> {
    if (shown?.key === found.key) {
      setShown(null);
      setWay(null);
      return;
    }
    setShown(found);
    if (!got) return;
    const { fromMs, toMs } = aroundOf(found, got.asked);
    const devices = [found.device, ...(found.other ? [found.other] : []), ...(got.asked.question === "company" ? [got.asked.device] : [])];
    try {
      setWay((await readReplay({ devices, fromMs, toMs, purpose, approval: "", cameras: false })).vehicles);
    } catch (problem) {
      setWay(null);
      sayError(problem);
    }
  }

  const two = OF_TWO.includes(draft.question);
  const outlines: Outline[] =
    draft.question === "company"
      ? []
      : PLACES.slice(0, two ? 2 : 1).map((name) => ({ label: two ? t(name === "first" ? "search.letterA" : "search.letterB") : "", text: drawing?.place === name ? "" : draft[name] }));
  return (
    <div class="search">
      <div class="side">
        <Form draft={draft} onChange={change} drawing={drawing} onDraw={setDrawing} fences={registry.fences} areas={registry.areas} busy={busy} wrong={wrong} onAsk={ask} />
        {error !== null && !isWide(error) && <Failure error={error} />}
        {isWide(error) && tried && <Wide key={JSON.stringify(tried)} problem={error} read={readOf(tried)} purpose={purpose} onGo={(approval) => void read(tried, approval)} />}
      </div>
      <Stage
        outlines={outlines}
        registry={registry.outlines}
        drawing={drawing}
        question={draft.question}
        text={drawing ? draft[drawing.place] : ""}
        onDrawn={(text) => drawing && change({ [drawing.place]: text })}
        onDraw={setDrawing}
        got={got}
        way={way}
        onPick={(key) => {
          const found = got?.found.find((one) => one.key === key);
          if (found) void show(found);
        }}
      />
      <div class="found">
        {got ? (
          <Results asked={got.asked} found={got.found} searched={got.searched} allowedBy={got.allowedBy} shown={shown?.key ?? ""} onShow={(found) => void show(found)} onExport={setExported} />
        ) : (
          <p class="empty">{t(busy ? "search.doing" : "search.intro")}</p>
        )}
      </div>
      {exported && got && <ExportDialog what={{ devices: exported, fromMs: got.asked.fromMs, toMs: got.asked.toMs }} purpose={purpose} onClose={() => setExported(null)} />}
    </div>
  );
}

interface Registry {
  fences: Named[];
  areas: Named[];
  /** Outlines by `fence:ID`, `jurisdiction:ID`. */
  outlines: ReadonlyMap<string, Features["features"][number]>;
}

function useRegistry(): Registry {
  const [made, setMade] = useState<Registry>({ fences: [], areas: [], outlines: new Map() });
  useEffect(() => {
    Promise.all([get<Features>("/map/fences"), get<Features>("/map/jurisdictions")]).then(([fences, areas]) => {
      const outlines = new Map<string, Features["features"][number]>();
      const named = (features: Features, what: string): Named[] =>
        features.features.map((one) => {
          const id = String(one.properties["id"]);
          outlines.set(`${what}:${id}`, one);
          return { id, name: String(one.properties["name"] ?? "") };
        });
      setMade({ fences: named(fences, "fence"), areas: named(areas, "jurisdiction"), outlines });
    }, sayError);
  }, []);
  return made;
}

function Stage(props: {
  outlines: readonly Outline[];
  registry: Registry["outlines"];
  drawing: Drawing | null;
  question: Question;
  text: string;
  onDrawn: (text: string) => void;
  onDraw: (drawing: Drawing | null) => void;
  got: Got | null;
  way: Vehicle[] | null;
  onPick: (key: string) => void;
}) {
  const { drawing, got, way } = props;
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<CityMap | null>(null);
  const [ready, setReady] = useState(0);
  const [failed, setFailed] = useState("");
  const [corners, setCorners] = useState<At[]>([]);
  const pick = useRef(props.onPick);
  pick.current = props.onPick;

  useEffect(() => {
    if (!box.current) return undefined;
    const made = new CityMap(box.current);
    map.current = made;
    made.onFail = (why) => {
      if (!made.ready) setFailed(why);
    };
    made.onReady = () => setReady((n) => n + 1);
    made.onPick = (picked) => {
      if (picked?.layer === "found") pick.current(String(picked.properties["key"]));
    };
    const undo = use({
      title: "keys.search.page",
      bindings: [
        { keys: ["/", "／"], says: "keys.search.field", run: () => document.querySelector<HTMLElement>("[name=question]")?.focus() },
        { keys: ["r"], says: "keys.search.results", run: () => document.getElementById("search-results")?.focus() },
        { keys: ["m"], says: "keys.search.map", run: () => made.focus() },
        { keys: ["p"], says: "keys.search.draw", run: () => props.onDraw({ place: "first", shape: "polygon" }) },
        { keys: ["c"], run: () => props.onDraw({ place: "first", shape: "circle" }) },
      ],
    });
    return () => {
      undo();
      made.stop();
      map.current = null;
    };
  }, []);
  useEffect(() => {
    void map.current?.start(theme.value, null, 12);
  }, [theme.value]);

  // What is drawn begins with what stands there, where it is of that shape.
  useLayoutEffect(() => {
    const area = parseArea(props.text);
    setCorners(drawing && area?.kind === drawing.shape ? handlesOf(area) : []);
  }, [drawing]);
  // Before anything is painted: a click that follows at once finds the hand ready.
  useLayoutEffect(() => {
    const at = map.current;
    if (!ready || !at) return undefined;
    const outline = (now: readonly At[]): [number, number][] | null => {
      const circle = circleOf(now);
      return circle?.kind === "circle" ? ring(at.datum, circle.lat, circle.lon, circle.radiusM, 72) : null;
    };
    const shape = drawing?.shape ?? "polygon";
    const draft = (now: readonly At[]): void => at.set("draft", drawnFeatures(at, shape, now, outline(now)));
    draft(drawing ? corners : []);
    if (!drawing) return undefined;
    const put = (now: At[]): void => {
      setCorners(now);
      props.onDrawn(textOf(shape, now));
    };
    const hand = draw(at, shape, corners, draft, put);
    const undo = use({
      title: "keys.search.page",
      bindings: [
        { keys: ["Enter", "Escape"], run: () => props.onDraw(null) },
        { keys: ["Backspace"], run: hand.back },
      ],
    });
    return () => {
      hand.end();
      undo();
    };
  }, [drawing, corners, ready]);

  const texts = props.outlines.map((one) => `${one.label}${one.text}`).join("|");
  useEffect(() => {
    const at = map.current;
    if (ready && at) at.set("asked", areaFeatures(at, props.outlines, props.registry));
  }, [texts, ready, props.registry]);
  const found = useMemo(() => got?.found ?? [], [got]);
  useEffect(() => {
    const at = map.current;
    if (!ready || !at) return;
    at.set("found", foundFeatures(at, found));
    const inSight = placesOf(areaFeatures(at, props.outlines, props.registry));
    if (got && inSight.length) at.fitDrawn(inSight);
  }, [found, ready]);
  useEffect(() => {
    const at = map.current;
    if (!ready || !at) return;
    const features = wayFeatures(at, way);
    at.set("lines", features);
    if (way) at.fitDrawn(placesOf(features));
  }, [way, ready]);

  return (
    <div class="stage">
      <div ref={box} class="city-map" data-found={found.reduce((sum, one) => sum + one.places.length, 0)} data-way={way?.length ?? 0} />
      {!ready && <div class="map-word">{failed ? t("map.failed", { why: failed }) : t("map.loading")}</div>}
      {drawing && (
        <div class="map-foot" role="status">
          {t("search.clickMap", { place: placeWord(props.question, drawing.place) })}
        </div>
      )}
    </div>
  );
}
