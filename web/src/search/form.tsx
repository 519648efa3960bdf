// What is asked: the question, its places (drawn, typed, or a fence or jurisdiction), the time, and among whom.

import type { ComponentChildren } from "preact";
import { t, type Key } from "../text";
import { fromLocalInput } from "../state/time";
import { circleOf, parseArea, writtenArea } from "./area";
import { KINDS, OF_TWO, QUESTIONS, type Asked, type Question } from "./asking";
import type { Shape } from "../map/drawing";

/** The form as it stands, texts as they were typed. */
export interface Draft {
  question: Question;
  first: string;
  second: string;
  device: string;
  from: string;
  to: string;
  within: string;
  near: string;
  together: string;
  kinds: string[];
  among: string;
  evidence: boolean;
}

export type PlaceName = "first" | "second";
export interface Drawing {
  place: PlaceName;
  shape: Shape;
}

/** What the registry has, to choose from. */
export interface Named {
  id: string;
  name: string;
}

const DEVICE = /^[a-z]+\/\S+$/;
const number = (text: string): number | null => (text.trim() === "" || Number.isNaN(Number(text)) ? null : Number(text));

export function placeWord(question: Question, place: PlaceName): string {
  if (!OF_TWO.includes(question)) return t("search.place");
  return t(place === "first" ? "search.placeA" : "search.placeB");
}

/** What is asked, or what is wrong with it. */
export function askedOf(draft: Draft): Asked | string {
  const [fromMs, toMs] = [fromLocalInput(draft.from), fromLocalInput(draft.to)];
  const devices = [...new Set(draft.among.split(/[,，\s]+/).filter(Boolean))];
  const two = OF_TWO.includes(draft.question);
  const places: PlaceName[] = draft.question === "company" ? [] : two ? ["first", "second"] : ["first"];
  for (const place of places) if (!parseArea(draft[place])) return t("search.areaWrong", { place: placeWord(draft.question, place) });
  if (draft.question === "company" && !DEVICE.test(draft.device.trim())) return t("search.badDevice");
  if (devices.some((one) => !DEVICE.test(one))) return t("search.badDevice");
  if (fromMs === null || toMs === null || fromMs >= toMs) return t("search.badTime");
  const written = (place: PlaceName): string => {
    const area = parseArea(draft[place]);
    return area && places.includes(place) ? writtenArea(area) : "";
  };
  const within = number(draft.within);
  return {
    question: draft.question,
    first: written("first"),
    second: written("second"),
    device: draft.device.trim(),
    fromMs,
    toMs,
    withinS: within === null ? null : two ? within * 60 : within,
    nearM: number(draft.near) ?? 100,
    togetherS: number(draft.together) ?? 60,
    kinds: draft.kinds,
    devices,
    evidence: draft.evidence,
  };
}

/** The text of what was drawn so far: a whole area, or "" until it is one. */
export function textOf(shape: Shape, corners: readonly { lat: number; lon: number }[]): string {
  if (shape === "circle") {
    const circle = circleOf(corners);
    return circle ? writtenArea(circle) : "";
  }
  return corners.length >= 3 ? writtenArea({ kind: "polygon", corners: [...corners] }) : "";
}

export function Form(props: {
  draft: Draft;
  onChange: (change: Partial<Draft>) => void;
  drawing: Drawing | null;
  onDraw: (drawing: Drawing | null) => void;
  fences: readonly Named[];
  areas: readonly Named[];
  busy: boolean;
  wrong: string;
  onAsk: () => void;
}) {
  const { draft, onChange } = props;
  const two = OF_TWO.includes(draft.question);
  const place = (name: PlaceName): ComponentChildren => <Place key={name} {...props} name={name} />;
  const field = (name: "from" | "to" | "within" | "near" | "together" | "device", says: Key, more: Record<string, unknown>): ComponentChildren => (
    <label>
      {t(says)}
      <input name={name} value={draft[name]} onInput={(event) => onChange({ [name]: event.currentTarget.value })} {...more} />
    </label>
  );
  return (
    <form
      class="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        props.onAsk();
      }}
    >
      <h1>{t("search.title")}</h1>
      <label>
        {t("search.question")}
        <select name="question" autofocus value={draft.question} onChange={(event) => onChange({ question: event.currentTarget.value as Question })}>
          {QUESTIONS.map((one) => (
            <option key={one} value={one}>
              {t(`search.${one}`)}
            </option>
          ))}
        </select>
      </label>
      {draft.question === "company" ? field("device", "search.device", { spellcheck: false, placeholder: "taxi/…" }) : place("first")}
      {two && place("second")}
      <div class="two">
        {field("from", "search.from", { type: "datetime-local", step: 1 })}
        {field("to", "search.to", { type: "datetime-local", step: 1 })}
      </div>
      {two && field("within", "search.within", { type: "number", min: 1, step: 1 })}
      {draft.question === "met" && field("within", "search.withinMet", { type: "number", min: 0, step: 1 })}
      {draft.question === "company" && (
        <div class="two">
          {field("near", "search.near", { type: "number", min: 1, max: 1000 })}
          {field("together", "search.together", { type: "number", min: 1 })}
        </div>
      )}
      <fieldset class="kinds">
        <legend>{t("search.kinds")}</legend>
        {KINDS.map((kind) => (
          <label key={kind} class="check">
            <input
              type="checkbox"
              name="kinds"
              value={kind}
              disabled={draft.among.trim() !== ""}
              checked={draft.kinds.includes(kind)}
              onChange={() => onChange({ kinds: draft.kinds.includes(kind) ? draft.kinds.filter((one) => one !== kind) : [...draft.kinds, kind] })}
            />
            {t(kind === "taxi" ? "map.taxis" : "map.units")}
          </label>
        ))}
      </fieldset>
      <label>
        {t("search.among")}
        <textarea name="among" rows={1} spellcheck={false} value={draft.among} onInput={(event) => onChange({ among: event.currentTarget.value })} />
      </label>
      {(draft.question === "inside" || draft.question === "both") && (
        <label class="check">
          <input type="checkbox" name="evidence" checked={draft.evidence} onChange={() => onChange({ evidence: !draft.evidence })} />
          {t("search.evidence")}
        </label>
      )}
      {props.wrong && (
        <p class="bad-text" role="alert">
          {props.wrong}
        </p>
      )}
      <button class="primary" disabled={props.busy}>
        {t(props.busy ? "search.doing" : "search.do")}
      </button>
    </form>
  );
}

function Place(props: { name: PlaceName; draft: Draft; onChange: (change: Partial<Draft>) => void; drawing: Drawing | null; onDraw: (drawing: Drawing | null) => void; fences: readonly Named[]; areas: readonly Named[] }) {
  const { name, draft } = props;
  const text = draft[name];
  const title = placeWord(draft.question, name);
  const drawing = props.drawing?.place === name ? props.drawing : null;
  const hint = `area-hint-${name}`;
  const put = (value: string): void => props.onChange({ [name]: value });
  const chosen = /^(fence|jurisdiction):/.test(text) ? text : "";
  return (
    <fieldset class={`place ${name}`}>
      <legend>{title}</legend>
      <div class="chips">
        {drawing ? (
          <button type="button" class="primary" onClick={() => props.onDraw(null)}>
            {t("search.drawStop")}
          </button>
        ) : (
          <>
            <button type="button" data-draw={`${name}-polygon`} onClick={() => props.onDraw({ place: name, shape: "polygon" })}>
              {t("search.drawPolygon")}
            </button>
            <button type="button" data-draw={`${name}-circle`} onClick={() => props.onDraw({ place: name, shape: "circle" })}>
              {t("search.drawCircle")}
            </button>
          </>
        )}
      </div>
      {drawing && <p class="fine">{t(drawing.shape === "polygon" ? "search.drawHint" : "search.drawCircleHint")}</p>}
      <label>
        {t("search.areaText")}
        <textarea name={name} rows={2} spellcheck={false} aria-describedby={hint} value={text} onInput={(event) => put(event.currentTarget.value)} />
      </label>
      <small id={hint}>{t("search.areaHint")}</small>
      <label>
        {t("search.choose")}
        <select name={`${name}-named`} value={chosen} onChange={(event) => put(event.currentTarget.value)}>
          <option value="">{t("search.chooseNone")}</option>
          <optgroup label={t("map.fences")}>
            {props.fences.map((one) => (
              <option key={one.id} value={`fence:${one.id}`}>
                {one.name || one.id}
              </option>
            ))}
          </optgroup>
          <optgroup label={t("map.areas")}>
            {props.areas.map((one) => (
              <option key={one.id} value={`jurisdiction:${one.id}`}>
                {one.name || one.id}
              </option>
            ))}
          </optgroup>
        </select>
      </label>
    </fieldset>
  );
}
