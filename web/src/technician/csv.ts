// The report of an import as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe first, as the service's own.

import type { ImportRow } from "./types";

const COLUMNS = ["line", "device", "result", "reason", "note"] as const;
/** First characters that spreadsheets take for a formula, full-width forms too. */
const FORMULA = /^[\s]*[=+\-@＝＋－＠|%]/u;

export function safeCell(text: string): string {
  const disarmed = FORMULA.test(text) || /^[\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(disarmed) ? `"${disarmed.replaceAll('"', '""')}"` : disarmed;
}

export function reportCsv(rows: readonly ImportRow[]): string {
  const lines = rows.map((row) => COLUMNS.map((column) => (column === "line" ? String(row.line) : safeCell(String(row[column])))).join(","));
  return `\ufeff${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}
