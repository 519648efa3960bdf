// What is pure of the pages of oversight: scales, words, what is looked for, what exactly is asked, a password that is drawn.

import { describe, expect, it } from "vitest";
import { LETTERS, newPassword } from "../src/accounts/password";
import { deedsFor, exact, partOf } from "../src/approvals/exact";
import { askedFor, groupsOf } from "../src/audit/sought";
import { mostly, percent, seconds, shareTone } from "../src/supervisor/words";
import { bytes, labelled, pieces, short, ticks } from "../src/ui/scale";

describe("a scale", () => {
  it("has round marks that reach what is drawn", () => {
    expect(ticks(10)).toEqual([0, 2.5, 5, 7.5, 10]);
    expect(ticks(7)).toEqual([0, 2, 4, 6, 8]);
    expect(ticks(0.3)).toEqual([0, 0.1, 0.2, 0.3]);
    for (const most of [1e-9, 0.7, 3, 99, 12_345, 7e9]) expect(ticks(most).at(-1)).toBeGreaterThanOrEqual(most);
    for (const most of [1e-9, 0.7, 3, 99, 12_345, 7e9]) expect(ticks(most).length).toBeLessThanOrEqual(6);
  });
  it("stands for nothing, too", () => {
    expect(ticks(0)).toEqual([0, 1]);
    expect(ticks(Number.NaN)).toEqual([0, 1]);
  });
  it("writes as many labels as there is room for", () => {
    expect(labelled(5, 9)).toEqual([0, 1, 2, 3, 4]);
    expect(labelled(25, 9)).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24]);
    expect(labelled(0, 9)).toEqual([]);
  });
  it("breaks a line where there is nothing", () => {
    const x = (i: number): number => i;
    const y = (value: number): number => value;
    expect(pieces([1, 2, null, 3, null, null, 4, 5], x, y)).toEqual(["0.0,1.0 1.0,2.0", "3.0,3.0", "6.0,4.0 7.0,5.0"]);
    expect(pieces([null], x, y)).toEqual([]);
  });
  it("tells numbers and bytes shortly", () => {
    expect([0, 3.14159, 999, 12_345, 2_500_000].map(short)).toEqual(["0", "3.14", "999", "12.3k", "2.5M"]);
    expect([0, 1023, 1024, 5e9, 3e12].map(bytes)).toEqual(["0 B", "1023 B", "1.0 KiB", "4.7 GiB", "2.7 TiB"]);
  });
});

describe("the desk's figures in words", () => {
  it("never rounds a broken promise up to all of them", () => {
    expect([null, 0, 0.5, 0.9996, 1].map(percent)).toEqual([null, "0 %", "50 %", "99.9 %", "100 %"]);
    expect([null, 0.96, 0.9, 0.2].map(shareTone)).toEqual(["plain", "good", "warn", "bad"]);
  });
  it("names what there is most of first", () => {
    expect(mostly({ offline: 3, overspeed: 12, sos: 3 }, (code) => code.toUpperCase())).toBe("OVERSPEED 12, OFFLINE 3, SOS 3");
    expect(mostly({}, String)).toBe("");
  });
  it("tells seconds as far as they matter", () => {
    const spread = { p50: 12.34, p95: 250.4, worst: null, count: 2 };
    expect([seconds(spread, "p50"), seconds(spread, "p95"), seconds(spread, "worst")]).toEqual(["12.3", "250", null]);
  });
});

describe("what an auditor looks for", () => {
  const empty = { who: "", action: "", target: "", why: "", from: "", to: "" };
  const ms = (text: string): number | null => (Number.isNaN(Date.parse(`${text}Z`)) ? null : Date.parse(`${text}Z`));
  it("leaves out what is not said", () => {
    expect(askedFor(empty, ms)).toEqual({});
    expect(askedFor({ ...empty, who: " li ", action: "alarm.", from: "2026-11-22T08:00" }, ms)).toEqual({ who: "li", action: "alarm.", from_ms: 1_795_334_400_000 });
  });
  it("is nothing where the times cannot be right", () => {
    expect(askedFor({ ...empty, from: "yesterday" }, ms)).toBeNull();
    expect(askedFor({ ...empty, from: "2026-11-22T08:00", to: "2026-11-22T08:00" }, ms)).toBeNull();
  });
  it("puts actions together by what they are done to", () => {
    const action = (name: string) => ({ action: name, words: { zh: name, en: name } });
    const found = groupsOf([action("site.add"), action("alarm.close"), action("site.change")]);
    expect(found.map(([group, actions]) => [group, actions.length])).toEqual([
      ["alarm", 1],
      ["site", 2],
    ]);
  });
});

describe("what exactly is asked", () => {
  const says = { time: (at: number) => `t${at}`, points: (n: number) => `${n} points`, many: (first: string, n: number) => `${first} … ${n}` };
  it("is told line by line, and what is long is counted", () => {
    const what = {
      from_ms: 1_795_334_400_000,
      devices: Array.from({ length: 10 }, (_, n) => `taxi/${n}`),
      area: { polygon: [[1, 2], [3, 4], [5, 6]], name: "" },
      places: [{ radius_m: 100 }, { radius_m: 200 }],
      kind: null,
    };
    expect(exact(what, says)).toEqual([
      ["from_ms", "t1795334400000"],
      ["devices", "taxi/0, taxi/1, taxi/2, taxi/3, taxi/4, taxi/5, taxi/6, taxi/7 … 10"],
      ["area.polygon", "3 points"],
      ["places 1.radius_m", "100"],
      ["places 2.radius_m", "200"],
    ]);
  });
  it("is decided on by another person alone", () => {
    const one = (state: "asked" | "granted" | "broken" | "used", by: string) => ({ state, by });
    expect(deedsFor(one("asked", "li"), "li", true)).toEqual(["takeBack"]);
    expect(deedsFor(one("asked", "li"), "chen", true)).toEqual(["grant", "refuse"]);
    expect(deedsFor(one("asked", "li"), "wang", false)).toEqual([]);
    expect(deedsFor(one("granted", "li"), "chen", true)).toEqual(["revoke"]);
    expect(deedsFor(one("broken", "chen"), "chen", true)).toEqual([]);
    expect(deedsFor(one("broken", "li"), "chen", true)).toEqual(["review"]);
    expect(deedsFor(one("used", "li"), "chen", true)).toEqual([]);
    expect((["broken", "asked", "granted", "used"] as const).map((state) => partOf({ state }))).toEqual(["glass", "asked", "held", "past"]);
  });
});

describe("a password that is handed over once", () => {
  it("is long, easy to read aloud, and another each time", () => {
    expect(LETTERS.length).toBe(32);
    expect(new Set(LETTERS).size).toBe(32);
    const many = Array.from({ length: 50 }, () => newPassword());
    expect(new Set(many).size).toBe(50);
    for (const one of many) expect(one).toMatch(/^[a-z2-9@]{5}(-[a-z2-9@]{5}){3}$/);
  });
});
