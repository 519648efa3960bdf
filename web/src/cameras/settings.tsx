// What is set for a camera: how it is watched and recorded, and its privacy masks, drawn over a picture or written as numbers.

import { useEffect, useRef, useState } from "preact/hooks";
import { path, post } from "../api/client";
import { session } from "../state/session";
import { t } from "../text";
import { say, sayError } from "../ui/notices";
import { may } from "./allowed";
import { takePicture } from "./picture";
import { added, dropped, moved, MOST_CORNERS, MOST_RINGS, same, split, without } from "./rings";
import type { CameraDetails, Point, Ring } from "./types";
import { WithPurpose } from "./withpurpose";

const POLICIES = ["auto", "off", "keyframes", "substream", "full", "on_demand"] as const;
const RECORDS = ["off", "events", "continuous"] as const;
const STEP = 0.005;
const LARGE_STEP = 0.05;

export function SettingsView({ details, again }: { details: CameraDetails; again: () => void }) {
  const [busy, setBusy] = useState(false);
  async function set(settings: Record<string, unknown>): Promise<boolean> {
    setBusy(true);
    try {
      await post(path("/cameras/{camera}/set", { camera: details.camera }), { settings });
      say("good", t("cameras.saved"));
      again();
      return true;
    } catch (error) {
      sayError(error);
      return false;
    } finally {
      setBusy(false);
    }
  }
  return (
    <div class="cam-settings">
      <form class="cam-bar" onSubmit={(event) => event.preventDefault()}>
        <label>
          {t("cameras.policy")}
          <select name="policy" value={details.settings.policy} disabled={busy} onChange={(event) => void set({ policy: event.currentTarget.value })}>
            {POLICIES.map((one) => (
              <option key={one} value={one}>
                {t(`camPolicy.${one}`)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t("cameras.recording")}
          <select name="record" value={details.settings.record} disabled={busy} onChange={(event) => void set({ record: event.currentTarget.value })}>
            {RECORDS.map((one) => (
              <option key={one} value={one}>
                {t(`camRecord.${one}`)}
              </option>
            ))}
          </select>
        </label>
      </form>
      <Masks details={details} busy={busy} save={(masks) => set({ masks })} />
    </div>
  );
}

function Masks({ details, busy, save }: { details: CameraDetails; busy: boolean; save: (masks: readonly Ring[]) => Promise<boolean> }) {
  const kept = details.settings.masks;
  /** What is drawn, and what the service has as far as is known here: what was saved a moment ago counts before it is read again. */
  const [{ rings, base }, setEdit] = useState<{ rings: readonly Ring[]; base: readonly Ring[] }>({ rings: kept, base: kept });
  const setRings = (drawn: readonly Ring[]): void => setEdit((now) => ({ ...now, rings: drawn }));
  const [picture, setPicture] = useState("");
  const [ratio, setRatio] = useState(details.width_px && details.height_px ? details.width_px / details.height_px : 16 / 9);
  const [asks, setAsks] = useState(false);
  const role = session.value?.role;
  const changed = !same(rings, base);
  useEffect(() => {
    // Judged by what is drawn when it is applied: a change made since this was read stays.
    setEdit((now) => ({ rings: same(now.rings, now.base) ? kept : now.rings, base: kept }));
  }, [JSON.stringify(kept)]);
  useEffect(() => () => URL.revokeObjectURL(picture), [picture]);
  async function look(purpose: string): Promise<void> {
    setAsks(false);
    try {
      setPicture((await takePicture(details.camera, purpose)).url);
    } catch (error) {
      sayError(error);
    }
  }
  return (
    <section class="cam-masks" aria-label={t("masks.title")}>
      <div class="cam-masks-head">
        <h2>{t("masks.title")}</h2>
        <p class="fine">{t(may(role, "unmask") ? "masks.hint" : "masks.hintNoUnmask")}</p>
      </div>
      <div class="cam-masks-body">
        <div>
          <Overlay rings={rings} ratio={ratio} picture={picture} onChange={setRings} onRatio={setRatio} />
          <div class="cam-bar">
            <button disabled={rings.length >= MOST_RINGS} onClick={() => setRings(added(rings))}>
              {t("masks.add")}
            </button>
            {may(role, "snapshot") && <button onClick={() => setAsks(true)}>{t("masks.picture")}</button>}
            <button disabled={!changed || busy} onClick={() => setRings(base)}>
              {t("masks.undo")}
            </button>
            <button class="primary" disabled={!changed || busy} onClick={() => void save(rings).then((done) => done && setEdit((now) => ({ ...now, base: rings })))}>
              {t("do.save")}
            </button>
          </div>
          {asks && <WithPurpose>{(why) => <Look run={() => void look(why)} />}</WithPurpose>}
        </div>
        <div class="cam-corners">
          {rings.length === 0 && <p class="fine">{t("cameras.noMasks")}</p>}
          {rings.map((ring, i) => (
            <fieldset key={i}>
              <legend>
                {t("masks.one", { n: i + 1 })}
                <button type="button" onClick={() => setRings(dropped(rings, i))}>
                  {t("masks.drop")}
                </button>
              </legend>
              {ring.map((point, k) => (
                <div class="cam-corner" key={k}>
                  <Number label={t("masks.x", { n: k + 1 })} value={point[0]} onChange={(value) => setRings(moved(rings, i, k, [value, point[1]]))} />
                  <Number label={t("masks.y", { n: k + 1 })} value={point[1]} onChange={(value) => setRings(moved(rings, i, k, [point[0], value]))} />
                  <button type="button" class="icon" aria-label={t("masks.split", { n: k + 1 })} title={t("masks.split", { n: k + 1 })} disabled={ring.length >= MOST_CORNERS} onClick={() => setRings(split(rings, i, k))}>
                    +
                  </button>
                  <button type="button" class="icon" aria-label={t("masks.without", { n: k + 1 })} title={t("masks.without", { n: k + 1 })} disabled={ring.length <= 3} onClick={() => setRings(without(rings, i, k))}>
                    −
                  </button>
                </div>
              ))}
            </fieldset>
          ))}
        </div>
      </div>
    </section>
  );
}

/** Runs once, as soon as there is a purpose. */
function Look({ run }: { run: () => void }) {
  useEffect(run, []);
  return null;
}

function Number(props: { label: string; value: number; onChange: (value: number) => void }) {
  return (
    <label class="cam-number">
      <span>{props.label}</span>
      <input
        type="number"
        min={0}
        max={100}
        step={0.5}
        value={Math.round(props.value * 10_000) / 100}
        onChange={(event) => {
          const value = event.currentTarget.valueAsNumber;
          if (!globalThis.Number.isNaN(value)) props.onChange(value / 100);
        }}
      />
    </label>
  );
}

const WIDE = 1000;

function Overlay(props: { rings: readonly Ring[]; ratio: number; picture: string; onChange: (rings: Ring[]) => void; onRatio: (ratio: number) => void }) {
  const at = useRef<SVGSVGElement>(null);
  const high = WIDE / props.ratio;
  const held = useRef<[ring: number, corner: number] | null>(null);
  const point = (event: PointerEvent): Point | null => {
    const box = at.current?.getBoundingClientRect();
    return box ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : null;
  };
  function press(event: KeyboardEvent, ring: number, corner: number, where: Point): void {
    const by = event.shiftKey ? LARGE_STEP : STEP;
    const steps: Record<string, Point> = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
    const step = steps[event.key];
    if (step) props.onChange(moved(props.rings, ring, corner, [where[0] + step[0], where[1] + step[1]]));
    else if (event.key === "Delete") props.onChange(without(props.rings, ring, corner));
    else if (event.key === "Insert" || event.key === "+") props.onChange(split(props.rings, ring, corner));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  return (
    <div class="cam-overlay" style={{ aspectRatio: String(props.ratio) }}>
      {props.picture && (
        <img
          src={props.picture}
          alt=""
          onLoad={(event) => {
            const { naturalWidth, naturalHeight } = event.currentTarget;
            if (naturalHeight) props.onRatio(naturalWidth / naturalHeight);
          }}
        />
      )}
      <svg
        ref={at}
        viewBox={`0 0 ${WIDE} ${high}`}
        role="group"
        aria-label={t("masks.title")}
        onPointerMove={(event) => {
          const to = held.current && point(event);
          if (held.current && to) props.onChange(moved(props.rings, held.current[0], held.current[1], to));
        }}
        onPointerUp={() => (held.current = null)}
        onPointerLeave={() => (held.current = null)}
      >
        {props.rings.map((ring, i) => (
          <g key={i} class="cam-mask" data-mask={i}>
            <polygon points={ring.map(([x, y]) => `${x * WIDE},${y * high}`).join(" ")} />
            {ring.map((corner, k) => (
              <circle
                key={k}
                cx={corner[0] * WIDE}
                cy={corner[1] * high}
                r={11}
                tabindex={0}
                role="slider"
                aria-label={t("masks.corner", { n: k + 1, mask: i + 1 })}
                aria-valuemin={0}
                aria-valuemax={100}
                aria-valuenow={Math.round(corner[0] * 100)}
                aria-valuetext={`${(corner[0] * 100).toFixed(1)} %, ${(corner[1] * 100).toFixed(1)} %`}
                onPointerDown={(event) => {
                  held.current = [i, k];
                  event.preventDefault();
                  (event.currentTarget as SVGElement).focus();
                }}
                onKeyDown={(event) => press(event, i, k, corner)}
              />
            ))}
          </g>
        ))}
      </svg>
    </div>
  );
}
