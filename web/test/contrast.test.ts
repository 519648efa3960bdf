// The colours, by numbers: WCAG 2.2 wants 4.5 : 1 of text and 3 : 1 of what tells a control or a state from its ground, in the dark
// and in the light. What stands on what is named here; axe-core looks at the drawn pages (tests/web/e2e).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const css = readFileSync(join(import.meta.dirname, "..", "src", "styles", "base.css"), "utf-8");

function colours(block: string): Record<string, string> {
  const body = css.slice(css.indexOf(block)).split("}")[0] ?? "";
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{3,6});/g)].map((one) => [one[1] ?? "", one[2] ?? ""]));
}

/** Relative luminance, WCAG 2.2. */
function luminance(colour: string): number {
  const hex = colour.length === 4 ? [...colour.slice(1)].map((one) => one + one).join("") : colour.slice(1);
  const [r = 0, g = 0, b = 0] = [0, 2, 4].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const GROUNDS = ["ground", "sheet", "raised", "sunken"];
const TEXTS = ["text", "soft", "accent", "good", "warn", "bad"];
const PAIRS: readonly [string, string][] = [
  ...TEXTS.flatMap((text) => GROUNDS.map((ground): [string, string] => [text, ground])),
  ["accent-ink", "accent"], ["s1-ink", "s1"], ["s2-ink", "s2"], ["s3-ink", "s3"], ["text", "accent-soft"], ["text", "s1-soft"],
];
const MARKS: readonly [string, string][] = ["s1", "s2", "s3", "edge", "accent"].flatMap((mark) => ["ground", "sheet"].map((ground): [string, string] => [mark, ground]));

describe.each([
  ["dark", ":root {"],
  ["light", ':root[data-theme="light"] {'],
])("colours in the %s", (_name, block) => {
  const found = colours(block);
  const of = (name: string): string => found[name] ?? "";
  it("are all there", () => {
    expect(Object.keys(found).length).toBeGreaterThan(20);
    for (const pair of [...PAIRS, ...MARKS]) for (const name of pair) expect(found, name).toHaveProperty([name]);
  });
  it("let text be read", () => {
    for (const [text, ground] of PAIRS) expect(contrast(of(text), of(ground)), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
  });
  it("tell controls and severities from their ground", () => {
    for (const [mark, ground] of MARKS) expect(contrast(of(mark), of(ground)), `${mark} on ${ground}`).toBeGreaterThanOrEqual(3);
  });
});

it("black on white is 21", () => expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 5));
