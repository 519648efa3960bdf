// A clip of a camera: from, to; kept as evidence before it is given out, with its SHA-256.

import { useState } from "preact/hooks";
import { address, path, post, save } from "../api/client";
import { problemOf } from "../api/problem";
import { clockTime, fromLocalInput, toLocalInput } from "../state/time";
import { t } from "../text";
import { sayError } from "../ui/notices";
import type { ClipRow } from "./types";

const MAKE_MS = 360_000;
const USUAL_MS = 30_000;

export function ClipForm(props: {
  camera: string;
  purpose: string;
  marks: { fromMs: number | null; toMs: number | null };
  onMarks: (marks: { fromMs: number | null; toMs: number | null }) => void;
  atMs: number;
}) {
  const [busy, setBusy] = useState(false);
  const [clip, setClip] = useState<ClipRow | null>(null);
  const [wrong, setWrong] = useState("");
  const { marks } = props;
  const at = Math.floor(props.atMs / 1000) * 1000;
  function set(which: "fromMs" | "toMs", text: string): void {
    const ms = fromLocalInput(text);
    if (ms !== null) props.onMarks({ ...marks, [which]: ms });
  }
  async function make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const fromMs = marks.fromMs ?? at;
    const toMs = marks.toMs ?? fromMs + USUAL_MS;
    if (!fromMs || fromMs >= toMs) {
      setWrong(t("clip.badTime"));
      return;
    }
    setWrong("");
    setBusy(true);
    setClip(null);
    props.onMarks({ fromMs, toMs });
    try {
      const asked = { camera: props.camera, from_ms: Math.round(fromMs), to_ms: Math.round(toMs), purpose: props.purpose };
      setClip(await post<ClipRow>("/clip/cameras", asked, { timeoutMs: MAKE_MS }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  async function download(made: ClipRow): Promise<void> {
    try {
      const answer = await fetch(address(path("/evidence/{evidence}/bytes", { evidence: made.evidence }), { purpose: props.purpose }), { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw await problemOf(answer);
      const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
      save(await answer.blob(), named?.[1] ?? `${made.evidence}.mp4`);
    } catch (error) {
      sayError(error);
    }
  }
  return (
    <form class="stack cam-clip" onSubmit={(event) => void make(event)}>
      <h2>{t("clip.title")}</h2>
      <label>
        <span>
          {t("clip.from")} <kbd>[</kbd>
        </span>
        <input type="datetime-local" name="clip_from" step={1} value={marks.fromMs === null ? (at ? toLocalInput(at) : "") : toLocalInput(marks.fromMs)} onChange={(event) => set("fromMs", event.currentTarget.value)} />
      </label>
      <label>
        <span>
          {t("clip.to")} <kbd>]</kbd>
        </span>
        <input type="datetime-local" name="clip_to" step={1} value={marks.toMs === null ? (at ? toLocalInput((marks.fromMs ?? at) + USUAL_MS) : "") : toLocalInput(marks.toMs)} onChange={(event) => set("toMs", event.currentTarget.value)} />
      </label>
      {wrong && (
        <p class="bad-text" role="alert">
          {wrong}
        </p>
      )}
      <button class="primary" disabled={busy || (!at && marks.fromMs === null)}>
        {t(busy ? "clip.making" : "clip.make")}
      </button>
      <p class="fine">{t("clip.hint")}</p>
      {clip && (
        <div class="cam-made" role="status" data-evidence={clip.evidence}>
          <strong>{t("clip.made", { evidence: clip.evidence })}</strong>
          <p>
            {clip.time && clockTime(Date.parse(clip.time))} · {clip.seconds} s · {(clip.size_bytes / 1e6).toFixed(1)} MB · {clip.codec} {clip.width_px} × {clip.height_px}
            {clip.transcoded && ` · ${t("tiles.transcoded")}`}
          </p>
          {clip.note && <p class="warn-text">{clip.note}</p>}
          <p class="cam-sha">
            SHA-256 <code>{clip.sha256}</code>
          </p>
          <button type="button" onClick={() => void download(clip)}>
            {t("cameras.download")}
          </button>
        </div>
      )}
    </form>
  );
}
