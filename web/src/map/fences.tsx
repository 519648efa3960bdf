// Fences drawn and edited on the map, or typed; kept by the service, which checks them. A change carries the version of the fences that
// it was decided on, so that nobody's work is written over unseen.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { get, path, post } from "../api/client";
import { Problem } from "../api/problem";
import { circleOf, handlesOf, parseArea, writtenArea, type Area } from "../search/area";
import { t } from "../text";
import { Dialog } from "../ui/dialog";
import { dialogs, use } from "../ui/keys";
import { say, sayError } from "../ui/notices";
import type { At, CityMap, Features } from "./citymap";
import { ring } from "./datum";
import { draw, drawnFeatures, type Shape } from "./drawing";
import { areaOf, featureOf, RULES, type FenceFeature, type Rule } from "./fencearea";

export type { FenceFeature } from "./fencearea";

interface FenceShown {
  version: number;
  feature: FenceFeature;
}

interface Draft {
  shape: Shape;
  corners: At[];
  /** The fence that is edited with its version, or null for a new one. */
  of: FenceShown | null;
}

const LEAST = 3;
/** The service has its own limit. */
const MOST_FENCE_M = 1_000_000;

function drawnArea(draft: Draft): Area | null {
  if (draft.shape === "circle") return circleOf(draft.corners, MOST_FENCE_M);
  return draft.corners.length >= LEAST ? { kind: "polygon", corners: draft.corners } : null;
}

export function draftFeatures(map: CityMap, shape: Shape, corners: readonly At[]): Features {
  const circle = shape === "circle" ? circleOf(corners, MOST_FENCE_M) : null;
  return drawnFeatures(map, shape, corners, circle?.kind === "circle" ? ring(map.datum, circle.lat, circle.lon, circle.radiusM, 72) : null);
}

export function FenceTools(props: { map: CityMap; chosen: FenceFeature | null; onChange: () => void }) {
  const { map } = props;
  const [draft, setDraft] = useState<Draft | null>(null);
  const [asking, setAsking] = useState<{ of: FenceShown | null; text: string } | null>(null);
  const [removing, setRemoving] = useState<FenceShown | null>(null);

  useLayoutEffect(() => {
    map.set("draft", draftFeatures(map, draft?.shape ?? "polygon", draft?.corners ?? []));
    if (!draft) return undefined;
    const put = (corners: At[]): void => setDraft((now) => now && { ...now, corners });
    const hand = draw(map, draft.shape, draft.corners, (corners) => map.set("draft", draftFeatures(map, draft.shape, corners)), put);
    const undo = use({
      title: "map.fence.new",
      bindings: [
        { keys: ["Enter"], run: finish },
        { keys: ["Backspace"], run: hand.back },
        { keys: ["Escape"], run: () => setDraft(null) },
      ],
    });
    return () => {
      hand.end();
      undo();
    };
  }, [draft]);
  useEffect(() => () => map.set("draft", draftFeatures(map, "polygon", [])), []);

  function finish(): void {
    if (dialogs.peek() || !draft) return;
    const area = drawnArea(draft);
    if (area) setAsking({ of: draft.of, text: writtenArea(area) });
    else say("warn", t("map.fence.few"));
  }

  /** What is drawn may be simplified, so the fence itself is read before it is changed. */
  async function shownOf(id: string): Promise<FenceShown | null> {
    try {
      return await get<FenceShown>(path("/fences/{fence}", { fence: id }));
    } catch (error) {
      sayError(error);
      return null;
    }
  }
  async function edit(id: string, typed: boolean): Promise<void> {
    const of = await shownOf(id);
    const area = of && areaOf(of.feature);
    if (of && !area) say("warn", t("map.fence.shape"));
    if (!of || !area) return;
    if (typed) setAsking({ of, text: writtenArea(area) });
    else setDraft({ shape: area.kind === "circle" ? "circle" : "polygon", corners: handlesOf(area), of });
  }

  const chosen = props.chosen?.properties.id ?? "";
  return (
    <>
      <div class="fence-tools panel" role="region" aria-label={t("map.fences")}>
        {draft ? (
          <>
            <span>{draft.shape === "circle" ? t("search.drawCircleHint") : t("map.fence.corners", { n: draft.corners.length })}</span>
            {draft.shape === "polygon" && <small>{t("search.drawHint")}</small>}
            <button class="primary" disabled={!drawnArea(draft)} onClick={finish}>
              {t("do.save")}
            </button>
            <button onClick={() => setDraft(null)}>{t("do.cancel")}</button>
          </>
        ) : (
          <>
            <button data-fence="polygon" onClick={() => setDraft({ shape: "polygon", corners: [], of: null })}>
              {t("map.fence.new")}
            </button>
            <button data-fence="circle" onClick={() => setDraft({ shape: "circle", corners: [], of: null })}>
              {t("map.fence.newCircle")}
            </button>
            <button data-fence="typed" onClick={() => setAsking({ of: null, text: "" })}>
              {t("map.fence.typed")}
            </button>
            {chosen && (
              <>
                <button data-fence="edit" onClick={() => void edit(chosen, false)}>
                  {t("map.fence.edit")}
                </button>
                <button data-fence="properties" onClick={() => void edit(chosen, true)}>
                  {t("map.fence.properties")}
                </button>
                <button class="danger" data-fence="remove" onClick={() => void shownOf(chosen).then(setRemoving)}>
                  {t("map.fence.remove")}
                </button>
              </>
            )}
          </>
        )}
      </div>
      {asking && (
        <FenceDialog
          of={asking.of}
          text={asking.text}
          onClose={() => setAsking(null)}
          onDone={() => {
            setAsking(null);
            setDraft(null);
            props.onChange();
          }}
        />
      )}
      {removing && (
        <RemoveDialog
          of={removing}
          onClose={() => setRemoving(null)}
          onDone={() => {
            setRemoving(null);
            props.onChange();
          }}
        />
      )}
    </>
  );
}

/** Somebody changed it meanwhile: what was meant is still on the screen, and what to do next is said. */
function tell(error: unknown): void {
  if (error instanceof Problem && error.status === 409) say("warn", error.title || t("map.fence.changed"), error.detail || t("map.fence.changedMend"));
  else sayError(error);
}

function RemoveDialog(props: { of: FenceShown; onClose: () => void; onDone: () => void }) {
  const { id, name } = props.of.feature.properties;
  async function remove(): Promise<void> {
    try {
      await post(path("/fences/{fence}/remove", { fence: id }), {}, { version: props.of.version });
      say("good", t("map.fence.removed"));
      props.onDone();
    } catch (error) {
      tell(error);
    }
  }
  return (
    <Dialog title={t("map.fence.remove")} onClose={props.onClose} onSubmit={() => void remove()}>
      <p>{t("map.fence.sure", { name: name || id })}</p>
      <footer>
        <button type="button" data-first onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="danger">{t("map.fence.remove")}</button>
      </footer>
    </Dialog>
  );
}

function FenceDialog(props: { of: FenceShown | null; text: string; onClose: () => void; onDone: () => void }) {
  const before = props.of?.feature.properties;
  const [rule, setRule] = useState<Rule>(before?.rule ?? "forbidden");
  const [text, setText] = useState(props.text);
  const [wrong, setWrong] = useState("");
  async function save(): Promise<void> {
    const given = new FormData(document.querySelector<HTMLFormElement>(".dialog form") as HTMLFormElement);
    const area = parseArea(text, MOST_FENCE_M);
    const limit = Number(given.get("limit_kmh"));
    const feature =
      area &&
      featureOf(area, {
        ...before,
        id: before?.id ?? String(given.get("id")).trim(),
        name: String(given.get("name")).trim(),
        rule,
        kinds: given.getAll("kinds").map(String),
        enabled: given.has("enabled"),
        ...(rule === "speed" && limit ? { limit_kmh: limit, road_class: "" } : { limit_kmh: 0 }),
        ...(rule === "speed" ? {} : { road_class: "" }),
        stay_s: rule === "stay" ? Number(given.get("stay_s")) : 0,
      });
    if (!feature) {
      setWrong(t("search.areaWrong", { place: t("search.areaText") }));
      return;
    }
    try {
      await post("/fences", { feature, change: !!before }, props.of ? { version: props.of.version } : {});
      say("good", t("map.fence.saved"));
      props.onDone();
    } catch (error) {
      tell(error);
    }
  }
  return (
    <Dialog title={before ? t("map.fence.edit") : t("map.fence.new")} onClose={props.onClose} onSubmit={() => void save()}>
      <label>
        {t("map.fence.id")}
        <input name="id" data-first={!before} required pattern="[A-Za-z0-9_.\-]+" defaultValue={before?.id ?? ""} disabled={!!before} />
      </label>
      <label>
        {t("map.fence.name")}
        <input name="name" data-first={!!before} required defaultValue={before?.name ?? ""} />
      </label>
      <label>
        {t("search.areaText")}
        <textarea name="area" rows={3} required spellcheck={false} aria-describedby="fence-area-hint" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <small id="fence-area-hint">{t("search.areaHint")}</small>
      {wrong && (
        <p class="bad-text" role="alert">
          {wrong}
        </p>
      )}
      <label>
        {t("map.fence.rule")}
        <select name="rule" value={rule} onChange={(event) => setRule(event.currentTarget.value as Rule)}>
          {RULES.map((one) => (
            <option key={one} value={one}>
              {t(`rule.${one}`)}
            </option>
          ))}
        </select>
      </label>
      {rule === "speed" && (
        <label>
          {t("map.fence.speed")}
          <input name="limit_kmh" type="number" min={1} max={200} required={!before?.road_class} defaultValue={String(before?.limit_kmh ?? (before?.road_class ? "" : 40))} />
        </label>
      )}
      {rule === "stay" && (
        <label>
          {t("map.fence.stay")}
          <input name="stay_s" type="number" min={1} required defaultValue={String(before?.stay_s ?? 600)} />
        </label>
      )}
      <fieldset class="outcomes">
        <legend>{t("map.fence.kinds")}</legend>
        {(["taxi", "ebike", "unit"] as const).map((kind) => (
          <label key={kind}>
            <input type="checkbox" name="kinds" value={kind} defaultChecked={before ? (before.kinds ?? []).includes(kind) : kind === "taxi"} />
            {t(kind === "taxi" ? "map.taxis" : kind === "unit" ? "map.units" : "map.ebikes")}
          </label>
        ))}
      </fieldset>
      <label class="check">
        <input type="checkbox" name="enabled" defaultChecked={before?.enabled !== false} />
        {t("map.fence.enabled")}
      </label>
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="primary">{t("do.save")}</button>
      </footer>
    </Dialog>
  );
}
