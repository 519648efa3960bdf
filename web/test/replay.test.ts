import { describe, expect, it } from "vitest";
import type { TrackPoint } from "../src/api/types";
import { RATES, ReplayClock } from "../src/replay/clock";
import { colourOf, columnsOf, GAP_MS, gapsOf, nextEdge, occupiedOf, piecesOf, rowAt, seenAt } from "../src/replay/track";
import { random } from "./alarms";

const T0 = Date.UTC(2026, 10, 23, 4);
const point = (s: number, change: Partial<TrackPoint> = {}): TrackPoint => ({
  time: new Date(T0 + s * 1000).toISOString(), lat: 40 + s / 1000, lon: 109 + s / 1000, speed_kmh: 30, heading_deg: 0, acc_m: null,
  occupied: null, ignition: null, buffered: false, alarms: [], marks: [], ...change,
});

describe("where a vehicle was", () => {
  const track = columnsOf("taxi/1", [point(0), point(10, { heading_deg: 350 }), point(20, { heading_deg: 10 }), point(20 + GAP_MS / 1000 + 1)]);
  it("is measured at a point, interpolated between two, held in a gap, and not told before the first", () => {
    expect(seenAt(track, T0 - 1)?.how).toBe("before");
    expect(seenAt(track, T0)).toMatchObject({ how: "measured", lat: 40 });
    const between = seenAt(track, T0 + 5000);
    expect(between?.how).toBe("interpolated");
    expect(between?.lat).toBeCloseTo(40.005, 9);
    expect(seenAt(track, T0 + 25_000)).toMatchObject({ how: "gap", lat: 40.02, speedKmh: null });
  });
  it("turns by the shorter way", () => {
    expect(seenAt(track, T0 + 15_000)?.headingDeg).toBeCloseTo(0, 9);
  });
  it("holds the last place for a while and then says that nothing comes", () => {
    const last = T0 + 20_000 + GAP_MS + 1000;
    expect(seenAt(track, last + 1000)?.how).toBe("measured");
    expect(seenAt(track, last + GAP_MS + 1)?.how).toBe("gap");
  });
  it("is found as a plain search finds it", () => {
    const next = random(11);
    const points = Array.from({ length: 200 }, () => point(Math.floor(next() * 5000)));
    const many = columnsOf("taxi/1", points);
    const sorted = [...many.timeMs];
    for (let i = 0; i < 500; i += 1) {
      const at = T0 + next() * 5_100_000 - 50_000;
      expect(rowAt(many, at)).toBe(sorted.filter((one) => one <= at).length - 1);
    }
  });
  it("leaves out jumps, and tells a rising alarm bit once", () => {
    const made = columnsOf("taxi/1", [point(0), point(1, { marks: ["jump"], lat: 0 }), point(2, { alarms: ["sos"] }), point(3, { alarms: ["sos"] })]);
    expect(made.timeMs.length).toBe(3);
    expect(made.alarms).toEqual([{ atMs: T0 + 2000, name: "sos" }]);
  });
});

describe("spans", () => {
  it("of gaps and of occupancy", () => {
    const track = columnsOf("taxi/1", [point(0, { occupied: false }), point(10, { occupied: true }), point(30, { occupied: false }), point(1000, { occupied: true }), point(1010, { occupied: true })]);
    expect(gapsOf(track)).toEqual([{ fromMs: T0 + 30_000, toMs: T0 + 1_000_000 }]);
    expect(occupiedOf(track)).toEqual([
      { fromMs: T0 + 10_000, toMs: T0 + 30_000 },
      { fromMs: T0 + 1_000_000, toMs: T0 + 1_010_000 },
    ]);
  });
  it("of the line: neighbours share a point, all legs are in one piece each", () => {
    const next = random(5);
    const track = columnsOf("taxi/1", Array.from({ length: 300 }, (_, i) => point(i * 20, { speed_kmh: next() * 90 })));
    const pieces = piecesOf(track);
    expect(pieces[0]?.rows[0]).toBe(0);
    expect(pieces[pieces.length - 1]?.rows[1]).toBe(299);
    for (let i = 1; i < pieces.length; i += 1) expect(pieces[i]?.rows[0]).toBe(pieces[i - 1]?.rows[1]);
    expect(colourOf(null)).not.toBe(colourOf(5));
  });
  it("lead from one moment of note to the next", () => {
    expect(nextEdge([1000, 5000, 9000], 5000, true)).toBe(9000);
    expect(nextEdge([1000, 5000, 9000], 5000, false)).toBe(1000);
    expect(nextEdge([1000], 5000, true)).toBeNull();
  });
});

describe("the replay's clock", () => {
  it("moves by wall time and rate, whatever the frames do", () => {
    for (const rate of RATES) {
      const clock = new ReplayClock(0, 1e9);
      clock.setRate(rate, 0);
      clock.play(1000);
      const next = random(3);
      let wall = 1000;
      for (let i = 0; i < 1000; i += 1) {
        wall += next() * 40;
        clock.at(wall);
      }
      expect(clock.at(wall)).toBeCloseTo((wall - 1000) * rate, 6);
    }
  });
  it("keeps its place when the rate changes, pauses and is moved", () => {
    const clock = new ReplayClock(0, 100_000);
    clock.play(0);
    clock.setRate(4, 1000);
    expect(clock.at(1000)).toBe(1000);
    expect(clock.at(2000)).toBe(5000);
    clock.pause(2000);
    expect(clock.at(9000)).toBe(5000);
    clock.seek(-5, 9000);
    expect(clock.at(9000)).toBe(0);
  });
  it("stops at the end and begins again from the start", () => {
    const clock = new ReplayClock(0, 1000);
    clock.play(0);
    expect(clock.at(5000)).toBe(1000);
    clock.play(5000);
    expect(clock.at(5100)).toBe(100);
  });
});
