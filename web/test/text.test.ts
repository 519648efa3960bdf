// The languages: what `tsc` cannot see. That a key has both is a matter of types; here it is that every code of the service has
// a word, that the values of a text are the same in both, and that neither language was left in the other's place.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CAMERAS } from "../src/text/cameras";
import { CODES } from "../src/text/codes";
import { DESK } from "../src/text/desk";
import { MAP } from "../src/text/map";
import { OVERSIGHT } from "../src/text/oversight";
import { PANELS } from "../src/text/panels";
import { REPLAY } from "../src/text/replay";
import { SEARCH } from "../src/text/search";
import { SHELL } from "../src/text/shell";
import { TECHNICIAN } from "../src/text/technician";

const root = join(import.meta.dirname, "..", "..");
const parts = { CAMERAS, CODES, DESK, MAP, OVERSIGHT, PANELS, REPLAY, SEARCH, SHELL, TECHNICIAN };
const all = Object.entries(parts).flatMap(([, part]) => Object.entries(part as Record<string, readonly [string, string]>));
const values = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((one) => one[1] ?? "").sort();

function codesIn(file: string, pattern: RegExp): string[] {
  return [...readFileSync(join(root, "model", file), "utf-8").matchAll(pattern)].map((one) => one[1] ?? "");
}

function enumIn(file: string, name: string): string[] {
  const body = readFileSync(join(root, "model", file), "utf-8").split(`class ${name}(StrEnum)`)[1]?.split("\nclass ")[0] ?? "";
  return [...body.matchAll(/^ {4}[A-Z_]+ = "([a-z_]+)"/gm)].map((one) => one[1] ?? "");
}

describe("the table of texts", () => {
  it("has no key twice", () => {
    const keys = all.map(([key]) => key);
    expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
  });
  it("has the same values in both languages", () => {
    for (const [key, [zh, en]] of all) expect(values(zh), key).toEqual(values(en));
  });
  it("has Chinese in the Chinese column and none in the English one", () => {
    const plain = new Set(["prefs.toOther", "app.none", "letter.1", "letter.2", "letter.3", "datum.wgs84", "datum.gcj02"]);
    for (const [key, [zh, en]] of all) {
      if (plain.has(key)) continue;
      expect(/\p{Script=Han}/u.test(zh), `${key}: ${zh}`).toBe(true);
      expect(/\p{Script=Han}/u.test(en), `${key}: ${en}`).toBe(false);
    }
  });
  it("names every kind of alarm of the service", () => {
    const kinds = codesIn("codes.py", /_kind\("([a-z_]+)"/g);
    expect(kinds.length).toBeGreaterThan(30);
    for (const kind of kinds) expect(CODES).toHaveProperty([`kind.${kind}`]);
  });
  it.each([
    ["work", "alarm.py", "Work"],
    ["outcome", "alarm.py", "Outcome"],
    ["action", "alarm.py", "Action"],
    ["condition", "alarm.py", "Condition"],
    ["role", "role.py", "Role"],
    ["unit", "desk.py", "UnitState"],
  ])("names every %s of the service", (group, file, name) => {
    const found = enumIn(file, name);
    expect(found.length).toBeGreaterThan(1);
    for (const code of found) expect(CODES).toHaveProperty([`${group}.${code}`]);
  });
  it("uses every key that it has", () => {
    const read = (folder: string): string =>
      readdirSync(folder, { withFileTypes: true })
        .map((one) => (one.isDirectory() ? read(join(folder, one.name)) : /\.tsx?$/.test(one.name) && !folder.endsWith("text") ? readFileSync(join(folder, one.name), "utf-8") : ""))
        .join("\n");
    const source = read(join(root, "web", "src"));
    // `t(`work.${…}`)` uses a group as a whole
    const groups = new Set([...source.matchAll(/[`"]([a-zA-Z]+)\.\$\{/g)].map((one) => one[1]));
    for (const [, name] of source.matchAll(/word\("(\w+)"/g)) groups.add(name);
    const unused = all.map(([key]) => key).filter((key) => !groups.has(key.split(".")[0]) && !source.includes(`"${key}"`) && !source.includes(`\`${key.replace(/\.[^.]+$/, ".")}\${`));
    expect(unused).toEqual([]);
  });
});
