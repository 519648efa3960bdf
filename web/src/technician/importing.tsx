// Devices from a CSV file: looked at first, row by row, then taken in. What the file says stays text, here and in the report.

import { useState } from "preact/hooks";
import { save, upload } from "../api/client";
import { t, word } from "../text";
import { Failure, say } from "../ui/notices";
import { reportCsv } from "./csv";
import type { ImportReport } from "./types";

const MOST_BYTES = 32 << 20;
const MOST_SHOWN = 500;
const RESULTS = ["added", "updated", "unchanged", "refused"] as const;

export function ImportPage() {
  const [file, setFile] = useState<{ name: string; bytes: ArrayBuffer } | null>(null);
  const [report, setReport] = useState<ImportReport | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [only, setOnly] = useState<"all" | "refused" | "doubt">("all");

  async function run(given: { name: string; bytes: ArrayBuffer }, dryRun: boolean): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      const query = { dry_run: dryRun };
      const found = await upload<ImportReport>("/import/devices", given.bytes, { type: "text/csv", query });
      setReport(found);
      setOnly(found.counts.refused ? "refused" : "all");
      if (!dryRun) say("good", t("tech.import.done", { n: found.counts.added + found.counts.updated }));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  async function choose(event: Event): Promise<void> {
    const field = event.currentTarget as HTMLInputElement;
    const chosen = field.files?.[0];
    setReport(null);
    setError(null);
    setFile(null);
    if (!chosen) return;
    if (chosen.size > MOST_BYTES) {
      setError(new Error(t("tech.import.large", { n: MOST_BYTES >> 20 })));
      return;
    }
    const given = { name: chosen.name, bytes: await chosen.arrayBuffer() };
    setFile(given);
    await run(given, true);
  }
  const shown = (report?.rows ?? []).filter((row) => only === "all" || (only === "refused" ? row.result === "refused" : row.note !== ""));
  const doubts = (report?.rows ?? []).filter((row) => row.note).length;
  const useful = report ? report.counts.added + report.counts.updated : 0;
  return (
    <section class="tech-import">
      <h1>{t("tech.import")}</h1>
      <p class="fine">{t("tech.import.says")}</p>
      <label class="tech-file">
        {t("tech.import.choose")}
        <input type="file" accept=".csv,text/csv" onChange={(event) => void choose(event)} />
      </label>
      {busy && <p role="status">{t("tech.import.busy")}</p>}
      {error !== null && <Failure error={error} />}
      {report && (
        <>
          <p role="status" class={report.dry_run ? "warn-text" : "good-text"}>
            {t(report.dry_run ? "tech.import.dry" : "tech.import.taken", { name: file?.name ?? "" })}
          </p>
          <ul class="tech-counts">
            {RESULTS.map((result) => (
              <li key={result} class={result}>
                <strong>{report.counts[result]}</strong> {word("tech_result", result)}
              </li>
            ))}
          </ul>
          <div class="chips" role="radiogroup" aria-label={t("tech.import.filter")}>
            {(["all", "refused", "doubt"] as const).map((one) => (
              <button key={one} role="radio" aria-checked={only === one} onClick={() => setOnly(one)}>
                {t(`tech.import.${one}`)} {one === "all" ? report.rows.length : one === "refused" ? report.counts.refused : doubts}
              </button>
            ))}
          </div>
          <div class="tech-rows" tabIndex={0} role="region" aria-label={t("tech.import.rows")}>
            <table>
              <thead>
                <tr>
                  <th>{t("tech.import.line")}</th>
                  <th>{t("tech.id")}</th>
                  <th>{t("tech.import.result")}</th>
                  <th>{t("tech.import.why")}</th>
                </tr>
              </thead>
              <tbody>
                {shown.slice(0, MOST_SHOWN).map((row) => (
                  <tr key={row.line} class={row.result}>
                    <td>{row.line}</td>
                    <td>{row.device}</td>
                    <td>{word("tech_result", row.result)}</td>
                    <td>{row.reason || row.note}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            {shown.length === 0 && <p class="empty">{t("tech.import.empty")}</p>}
          </div>
          {shown.length > MOST_SHOWN && <p class="fine">{t("tech.import.more", { n: shown.length - MOST_SHOWN })}</p>}
          <div class="tech-deeds">
            {report.dry_run && file && (
              <button class="primary" disabled={busy || !useful} onClick={() => void run(file, false)}>
                {t("tech.import.take", { n: useful })}
              </button>
            )}
            <button onClick={() => save(new Blob([reportCsv(report.rows)], { type: "text/csv" }), "lucheng-import.csv")}>{t("tech.import.save")}</button>
          </div>
        </>
      )}
    </section>
  );
}
