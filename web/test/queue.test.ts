import { describe, expect, it } from "vitest";
import type { Alarm, Severity } from "../src/api/types";
import { allGroups, beside, compare, fits, floods, isListed, merged, rowsOf } from "../src/desk/queue";
import { alarm, random } from "./alarms";

const time = (s: number): string => new Date(Date.UTC(2026, 10, 23, 4, 0, s)).toISOString();
const many = (n: number, seed: number): Alarm[] => {
  const next = random(seed);
  return Array.from({ length: n }, (_, i) =>
    alarm({
      alarm: `A${i}`,
      severity: (1 + Math.floor(next() * 3)) as Severity,
      kind: ["one_key", "offline", "overspeed"][Math.floor(next() * 3)] ?? "offline",
      jurisdiction: `area${Math.floor(next() * 4)}`,
      received: time(Math.floor(next() * 600)),
    }),
  );
};

describe("the order", () => {
  it("is severity, then the oldest", () => {
    const sorted = [
      alarm({ alarm: "c", severity: 2, received: time(1) }),
      alarm({ alarm: "b", severity: 1, received: time(9) }),
      alarm({ alarm: "a", severity: 1, received: time(3) }),
      alarm({ alarm: "d", severity: 2, received: time(0) }),
    ].sort(compare);
    expect(sorted.map((one) => one.alarm)).toEqual(["a", "b", "d", "c"]);
  });
  it("is kept by merging changes in, as if all had been sorted", () => {
    const seed = 7;
    const next = random(seed);
    const all = new Map<string, Alarm>();
    let sorted: Alarm[] = [];
    for (let round = 0; round < 200; round += 1) {
      const changed = new Set<string>();
      for (let i = 0; i < 1 + Math.floor(next() * 30); i += 1) {
        const id = `A${Math.floor(next() * 400)}`;
        const work = next() < 0.2 ? "closed" : "new";
        const side = next() < 0.1 ? "shelved" : "";
        all.set(id, alarm({ alarm: id, severity: (1 + Math.floor(next() * 3)) as Severity, received: time(Math.floor(next() * 900)), work, side }));
        changed.add(id);
      }
      sorted = merged(sorted, all, changed);
      const wanted = [...all.values()].filter(isListed).sort(compare);
      expect(sorted, `seed ${seed}, round ${round}`).toEqual(wanted);
    }
  });
  it("takes out what was forgotten", () => {
    const a = alarm({ alarm: "a" });
    expect(merged([a], new Map(), new Set(["a"]))).toEqual([]);
  });
});

describe("filters", () => {
  const filter = { show: "all" as const, severity: 0 as const, text: "", user: "wang" };
  const words = (one: Alarm): string => `${one.alarm} ${one.kind} ${one.device} 一键报警`;
  it("find every word wherever it stands, in either language", () => {
    const one = alarm({ alarm: "X7", device: "button/school-3" });
    expect(fits(one, { ...filter, text: "SCHOOL x7" }, words)).toBe(true);
    expect(fits(one, { ...filter, text: "一键 school" }, words)).toBe(true);
    expect(fits(one, { ...filter, text: "school x8" }, words)).toBe(false);
  });
  it("show one's own, and what nobody took", () => {
    expect(fits(alarm({ owner: "wang" }), { ...filter, show: "mine" }, words)).toBe(true);
    expect(fits(alarm({ owner: "li" }), { ...filter, show: "mine" }, words)).toBe(false);
    expect(fits(alarm({ work: "acknowledged" }), { ...filter, show: "new" }, words)).toBe(false);
  });
});

describe("folding", () => {
  it("keeps every alarm in exactly one row, and never folds severity 1", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const sorted = many(300, seed).sort(compare);
      const rows = rowsOf(sorted, allGroups(sorted), new Set());
      expect(rows.reduce((sum, row) => sum + row.count, 0), `seed ${seed}`).toBe(300);
      expect(rows.filter((row) => row.alarm.severity === 1).every((row) => row.count === 1)).toBe(true);
      expect(rows.length).toBeLessThan(300);
    }
  });
  it("shows the children of a group that is open", () => {
    const sorted = [1, 2, 3].map((i) => alarm({ alarm: `a${i}`, severity: 3, kind: "offline", received: time(i) }));
    const fold = allGroups(sorted);
    const [group] = fold;
    expect(rowsOf(sorted, fold, new Set()).map((row) => row.count)).toEqual([3]);
    expect(rowsOf(sorted, fold, new Set([group ?? ""])).map((row) => row.child)).toEqual([false, true, true, true]);
  });
  it("is gone through row by row, an unfolded group's own row and its first child as one", () => {
    const sorted = ["A1", "A2", "A3"].map((id) => alarm({ alarm: id, kind: "overspeed", severity: 3 }));
    const rows = rowsOf(sorted, allGroups(sorted), allGroups(sorted));
    expect(rows.map((row) => row.alarm.alarm)).toEqual(["A1", "A1", "A2", "A3"]);
    const way: (string | undefined)[] = [];
    for (let at: string | undefined = ""; at !== undefined && way.length < 9; way.push(at)) at = beside(rows, at, 1);
    expect(way).toEqual(["A1", "A2", "A3", undefined]);
    expect(beside(rows, "A2", -1)).toBe("A1");
    expect(beside(rows, "A1", -1)).toBeUndefined();
    expect(beside(rows, "gone", 1)).toBe("A1");
    expect(beside([], "A1", 1)).toBeUndefined();
  });
  it("calls more than ten of a kind in one area within ten minutes a flood, no fewer and no slower", () => {
    const burst = (n: number, everyS: number): Alarm[] =>
      Array.from({ length: n }, (_, i) => alarm({ alarm: `a${i}`, severity: 3, kind: "offline", jurisdiction: "x", received: time(i * everyS) }));
    expect(floods(burst(11, 1)).size).toBe(1);
    expect(floods(burst(10, 1)).size).toBe(0);
    expect(floods(burst(11, 61)).size).toBe(0);
    expect(floods(burst(11, 1).map((one) => ({ ...one, severity: 1 as const }))).size).toBe(0);
  });
});
