// Points as a file: whose and when is said by the page, form and datum here. What was given is shown with its name and SHA-256, which
// stands in the audit too; where the browser can, the bytes that came are compared with it.

import { useState } from "preact/hooks";
import { fetchFile, save } from "../api/client";
import { Problem } from "../api/problem";
import { dateTime } from "../state/time";
import { t } from "../text";
import { Dialog } from "./dialog";
import { Failure } from "./notices";
import { isWide, Wide } from "./wide";

const FORMS = ["csv", "geojson", "gpx", "kml", "parquet"] as const;
const DATUMS = ["wgs84", "gcj02"] as const;
const TIMEOUT_MS = 600_000;

export interface Exported {
  devices?: readonly string[];
  /** Instead of devices: all of a kind. */
  kind?: string;
  fromMs: number;
  toMs: number;
}

interface Made {
  name: string;
  sizeBytes: number;
  points: number;
  devices: number;
  sha256: string;
  /** What came has that sum; null where the browser cannot say. */
  same: boolean | null;
}

/** SHA-256 in hexadecimal; null where the page is not in a secure context, in which browsers do not give it. */
async function sha256(blob: Blob): Promise<string | null> {
  if (!globalThis.crypto.subtle) return null;
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return Array.from(sum, (one) => one.toString(16).padStart(2, "0")).join("");
}

export function ExportDialog(props: { what: Exported; purpose: string; onClose: () => void }) {
  const { what } = props;
  const [form, setForm] = useState<(typeof FORMS)[number]>("csv");
  const [datum, setDatum] = useState<(typeof DATUMS)[number]>("wgs84");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [made, setMade] = useState<Made | null>(null);
  const whose = what.kind ? { kind: what.kind } : { devices: [...(what.devices ?? [])] };
  const asked = { from_ms: what.fromMs, to_ms: what.toMs, ...whose };

  async function make(approval: string): Promise<void> {
    setBusy(true);
    setError(null);
    setMade(null);
    try {
      const { blob, name, told } = await fetchFile("/export/tracks", { ...asked, form, datum, purpose: props.purpose, approval }, TIMEOUT_MS);
      const sum = String(told["sha256"] ?? "");
      const own = await sha256(blob);
      save(blob, name);
      setMade({ name, sizeBytes: blob.size, points: Number(told["points"]), devices: Number(told["devices"]), sha256: sum, same: own === null ? null : own === sum });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return (
    <Dialog title={t("export.title")} onClose={props.onClose} wide plain>
      <div class="stack export">
        <p>
          {what.kind ? t("export.kind", { kind: t(`export.kind.${what.kind === "unit" ? "unit" : "taxi"}`) }) : t("export.devices", { n: what.devices?.length ?? 0 })} ·{" "}
          {dateTime(what.fromMs)} – {dateTime(what.toMs)}
        </p>
        {what.devices && <p class="fine named">{what.devices.join(", ")}</p>}
        <p class="fine">{t("export.hint", { purpose: props.purpose })}</p>
        <form
          class="inline"
          onSubmit={(event) => {
            event.preventDefault();
            void make("");
          }}
        >
          <label>
            {t("export.form")}
            <select name="form" data-first value={form} onChange={(event) => setForm(event.currentTarget.value as typeof form)}>
              {FORMS.map((one) => (
                <option key={one} value={one}>
                  {one.toUpperCase()}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t("export.datum")}
            <select name="datum" value={datum} onChange={(event) => setDatum(event.currentTarget.value as typeof datum)}>
              {DATUMS.map((one) => (
                <option key={one} value={one}>
                  {t(`datum.${one}`)}
                </option>
              ))}
            </select>
          </label>
          <button class="primary" disabled={busy}>
            {t(busy ? "export.busy" : "export.make")}
          </button>
        </form>
        {isWide(error) && (
          <Wide problem={error as Problem} read={{ operation: "export_tracks", arguments: asked }} purpose={props.purpose} onGo={(approval) => void make(approval)} />
        )}
        {error !== null && !isWide(error) && <Failure error={error} />}
        {made && (
          <dl class="facts" data-made={made.sha256}>
            <dt>{t("export.file")}</dt>
            <dd data-file={made.name}>{made.name}</dd>
            <dt>{t("export.size")}</dt>
            <dd>{t("export.holds", { kib: Math.ceil(made.sizeBytes / 1024), points: made.points, devices: made.devices })}</dd>
            <dt>SHA-256</dt>
            <dd>
              <code>{made.sha256}</code> {made.same !== null && <span class={made.same ? "good-text" : "bad-text"}>{t(made.same ? "export.same" : "export.differs")}</span>}
            </dd>
          </dl>
        )}
      </div>
    </Dialog>
  );
}
