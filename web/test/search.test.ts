import { describe, expect, it } from "vitest";
import { circleOf, handlesOf, parseArea, writtenArea } from "../src/search/area";
import { aroundOf, foundOf, readOf, replayOf, sorted, type Asked } from "../src/search/asking";
import { areaOf, featureOf } from "../src/map/fencearea";
import { distanceM } from "../src/map/datum";
import { Frames, stepOf, type FramesPage } from "../src/replay/frames";
import { random } from "./alarms";

const T0 = Date.UTC(2026, 10, 23, 4);
const asked: Asked = {
  question: "inside", first: "40.65,109.84,500", second: "", device: "", fromMs: T0, toMs: T0 + 3_600_000, withinS: null, nearM: 100,
  togetherS: 60, kinds: ["taxi"], devices: [], evidence: true,
};

describe("an area as it is written", () => {
  it("is a circle, a polygon, or what the registry has", () => {
    expect(parseArea("40.65,109.84,800")).toEqual({ kind: "circle", lat: 40.65, lon: 109.84, radiusM: 800 });
    expect(parseArea("40.65，109.84，800")).toEqual(parseArea("40.65, 109.84, 800"));
    expect(parseArea("1,2 3,4 5,6")).toMatchObject({ kind: "polygon", corners: [{ lat: 1, lon: 2 }, { lat: 3, lon: 4 }, { lat: 5, lon: 6 }] });
    expect(parseArea("1,2；\n3,4; 5,6")).toEqual(parseArea("1,2 3,4 5,6"));
    expect(parseArea(" fence:school-3 ")).toEqual({ kind: "named", name: "fence:school-3" });
  });
  it.each(["", "1,2", "1,2 3,4", "91,0,5", "40,181,5", "40,109,0", "40,109,5001", "a,b,c", "1,2,3,4", "1,,3", "fence:", "1,2 3,4 5", "1,2,3 4,5,6 7,8,9", "NaN,1,5"])(
    "is not %j",
    (text) => expect(parseArea(text)).toBeNull(),
  );
  it("comes back from what was written, whatever it is", () => {
    const next = random(5);
    for (let i = 0; i < 300; i += 1) {
      const at = (): { lat: number; lon: number } => ({ lat: Number((next() * 170 - 85).toFixed(6)), lon: Number((next() * 358 - 179).toFixed(6)) });
      const area = next() < 0.5 ? ({ kind: "circle", ...at(), radiusM: 1 + Math.floor(next() * 4999) } as const) : ({ kind: "polygon", corners: Array.from({ length: 3 + Math.floor(next() * 20) }, at) } as const);
      expect(parseArea(writtenArea({ ...area } as never))).toEqual(area);
    }
  });
  it("has a circle's edge as far away as its radius", () => {
    const [middle, edge] = handlesOf({ kind: "circle", lat: 40.65, lon: 109.84, radiusM: 800 });
    expect(distanceM(middle?.lat ?? 0, middle?.lon ?? 0, edge?.lat ?? 0, edge?.lon ?? 0)).toBeCloseTo(800, -1);
    expect(circleOf([middle, edge] as never)).toMatchObject({ lat: 40.65, lon: 109.84 });
    expect(circleOf([{ lat: 0, lon: 0 }])).toBeNull();
  });
});

describe("a question", () => {
  it("has what its operation takes and nothing else", () => {
    expect(readOf(asked)).toEqual({ operation: "search_inside", where: "/search/inside", arguments: { area: asked.first, from_ms: T0, to_ms: T0 + 3_600_000, kinds: ["taxi"], evidence: true } });
    expect(readOf({ ...asked, question: "then", second: "fence:a", withinS: 600 }).arguments).toEqual({ first: asked.first, second: "fence:a", within_s: 600, from_ms: T0, to_ms: T0 + 3_600_000, kinds: ["taxi"] });
    expect(readOf({ ...asked, question: "company", device: "taxi/1", devices: ["taxi/2"] }).arguments).toEqual({ device: "taxi/1", near_m: 100, together_s: 60, devices: ["taxi/2"], from_ms: T0, to_ms: T0 + 3_600_000 });
  });
  it("is answered by rows of one shape", () => {
    const side = (first: string, last: string): Record<string, unknown> => ({ first, last, interpolated: false, points: 2, legs: 0 });
    const both = foundOf("both", { searched: 1, allowed_by: "", vehicles: [{ device: "taxi/1", plate: "B1", apart_s: 90, ...({ first: side("2026-11-23T04:00:00Z", "2026-11-23T04:01:00Z"), second: side("2026-11-23T04:05:00Z", "2026-11-23T04:06:00Z") } as object) }] });
    expect(both[0]).toMatchObject({ device: "taxi/1", fromMs: T0, toMs: T0 + 360_000, seconds: 90, points: 4 });
    const met = foundOf("met", { searched: 2, allowed_by: "", pairs: [{ device: "taxi/1", other: "taxi/2", time: "2026-11-23T04:00:00Z", apart_s: 3 }] });
    expect(met[0]).toMatchObject({ device: "taxi/1", other: "taxi/2", seconds: 3, fromMs: T0 });
  });
  it("is sorted either way, and what is equal by time", () => {
    const rows = foundOf("then", { searched: 3, allowed_by: "", passages: [["taxi/2", 5], ["taxi/1", 5], ["taxi/3", 1]].map(([device, took], i) => ({ device: String(device), plate: "", left: new Date(T0 + i * 1000).toISOString(), reached: new Date(T0 + i * 1000 + 9000).toISOString(), took_s: Number(took), left_interpolated: false, reached_interpolated: false })) });
    expect(sorted(rows, "device", false).map((one) => one.device)).toEqual(["taxi/1", "taxi/2", "taxi/3"]);
    expect(sorted(rows, "seconds", true).map((one) => one.device)).toEqual(["taxi/2", "taxi/1", "taxi/3"]);
  });
  it("opens in a replay a little before and after, and never beyond what was asked", () => {
    const [one] = foundOf("met", { searched: 2, allowed_by: "", pairs: [{ device: "taxi/1", other: "taxi/2", time: new Date(T0 + 60_000).toISOString(), apart_s: 3 }] });
    expect(one && aroundOf(one, asked)).toEqual({ fromMs: T0, toMs: T0 + 360_000 });
    expect(replayOf(["taxi/粤B1", "taxi/2"], T0, T0 + 1)).toBe("/replay?devices=taxi%2F%E7%B2%A4B1%2Ctaxi%2F2&from=2026-11-23T04%3A00%3A00.000Z&to=2026-11-23T04%3A00%3A00.001Z");
  });
});

describe("a fence's shape", () => {
  it("is a polygon without holes or a circle, there and back", () => {
    const ring = [[109, 40], [110, 40], [110, 41], [109, 40]];
    const square = { type: "Feature", properties: { id: "a", rule: "enter" }, geometry: { type: "Polygon", coordinates: [ring] } } as const;
    const area = areaOf(square as never);
    expect(area).toMatchObject({ kind: "polygon", corners: [{ lat: 40, lon: 109 }, { lat: 40, lon: 110 }, { lat: 41, lon: 110 }] });
    expect(area && featureOf(area, { id: "a", rule: "enter" })).toEqual(square);
    const round = { type: "Feature", properties: { id: "a", rule: "stay", radius_m: 80 }, geometry: { type: "Point", coordinates: [109, 40] } } as const;
    const circle = areaOf(round as never);
    expect(circle && featureOf(circle, { id: "a", rule: "stay", radius_m: 5 })).toEqual(round);
    expect(areaOf({ ...square, geometry: { type: "Polygon", coordinates: [ring, ring] } } as never)).toBeNull();
    expect(areaOf({ ...square, geometry: { type: "LineString", coordinates: ring } } as never)).toBeNull();
  });
});

describe("frames of a fleet", () => {
  const page = (atMs: number, stepMs: number, count: number): FramesPage => ({
    replay: "r", step_ms: stepMs, devices: ["taxi/1", "taxi/2"], next: null,
    frames: Array.from({ length: count }, (_, i) => {
      const at = atMs + i * stepMs;
      const both = at - T0 < 20_000;
      const rows = both ? [0, 1] : [0];
      const s = (at - T0) / 1000;
      return { time: new Date(at).toISOString(), device: rows, lat: rows.map((n) => 40 + n + s), lon: rows.map(() => 109), interpolated: rows.map(() => 0), age_s: rows.map(() => 0), speed_kmh: rows.map(() => -1), heading_deg: rows.map(() => 90), occupied: rows.map((n) => n - 1) };
    }),
  });
  it("are read ahead once, and are straight on in between", async () => {
    const asks: number[] = [];
    const frames = new Frames((at, step, count) => { asks.push(at); return Promise.resolve(page(at, step, Math.min(count, 4))); }, T0, T0 + 600_000, 2);
    expect(frames.at(T0)).toBeNull();
    await Promise.all([frames.want(T0, 1), frames.want(T0, 1)]);
    expect(asks).toEqual([T0]);
    expect(frames.at(T0 + 2_500)?.[0]).toMatchObject({ device: "taxi/1", lat: 42.5, speedKmh: null, headingDeg: 90 });
    await frames.want(T0 + 15_000, 1);
    expect(asks).toEqual([T0, T0 + 20_000]);
    // who is in no frame any more has his last place, and then none
    expect(frames.at(T0 + 17_500)).toHaveLength(2);
    expect(frames.at(T0 + 20_000)).toHaveLength(1);
    expect(frames.has(T0 + 100_000)).toBe(false);
  });
  it("come farther apart where it is played fast", () => {
    expect(stepOf(1)).toBe(5_000);
    expect(stepOf(64)).toBe(20_000);
  });
  it("say what failed and ask nothing more", async () => {
    let asks = 0;
    const frames = new Frames(() => { asks += 1; return Promise.reject(new Error("no")); }, T0, T0 + 600_000, 2);
    await frames.want(T0, 1);
    await frames.want(T0, 1);
    expect([asks, (frames.failed as Error).message]).toEqual([1, "no"]);
  });
});
