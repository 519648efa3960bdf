// Cameras: the tree that is known in part, a camera's time, masks, the codec of a recording.

import { describe, expect, it } from "vitest";
import { added, moved, split, without } from "../src/cameras/rings";
import { edge, MIN_VIEW_MS, playable, readTime, ticks, within, zoomed } from "../src/cameras/time";
import { PAGE_ROWS, step, Tree } from "../src/cameras/tree";
import type { CameraItem, GroupItem, Ring, Timeline, TreeItem } from "../src/cameras/types";
import { codecOf, opened } from "../src/video/mp4";

const area = (id: string): GroupItem => ({ kind: "area", node: `area:${id}`, name: id, cameras: 1, states: {} });
const camera = (id: number): CameraItem => ({ kind: "camera", camera: `camera/${id}`, name: "", state: "online", where: [] });

function town(): Tree {
  const tree = new Tree();
  tree.take({ node: "", total: 2, offset: 0, items: [area("a"), area("b")] });
  return tree;
}

describe("the tree", () => {
  it("shows what is open, and gaps for what is not loaded", () => {
    const tree = town();
    expect(tree.rows().map((row) => row.key)).toEqual(["area:a", "area:b"]);
    expect(tree.toggle("area:a")).toBe(true);
    expect(tree.rows().map((row) => [row.depth, row.item === null])).toEqual([[0, false], [1, true], [0, false]]);
    tree.take({ node: "area:a", total: 1000, offset: 0, items: [camera(0)] as TreeItem[] });
    expect(tree.rows()).toHaveLength(1002);
    expect(tree.toggle("area:a")).toBe(false);
    expect(tree.rows()).toHaveLength(2);
    expect(tree.toggle("area:a")).toBe(false); // known already
  });
  it("asks for the pages that come into sight, once each", () => {
    const tree = town();
    tree.toggle("area:a");
    const first = Array.from({ length: PAGE_ROWS }, (_, i) => camera(i));
    tree.take({ node: "area:a", total: 100_000, offset: 0, items: first });
    expect(tree.wanted(0, 30)).toEqual([]);
    expect(tree.wanted(49_900, 49_930)).toEqual([{ node: "area:a", page: 249 }]);
    expect(tree.wanted(190, 210)).toEqual([{ node: "area:a", page: 1 }]);
    expect(tree.wanted(0, 3, true)).toEqual([{ node: "", page: 0 }, { node: "area:a", page: 0 }]);
  });
  it("keeps a bounded number of pages", () => {
    const tree = new Tree();
    for (let page = 0; page < 200; page += 1) tree.take({ node: "", total: 100_000, offset: page * PAGE_ROWS, items: [camera(page)] });
    expect(tree.rows().filter((row) => row.item)).toHaveLength(50);
  });
  it("forgets a level whose size has changed", () => {
    const tree = town();
    tree.take({ node: "", total: 3, offset: 0, items: [area("a"), area("b"), area("c")] });
    expect(tree.rows()).toHaveLength(3);
  });
  it("is walked by the arrow keys", () => {
    const tree = town();
    const open = (node: string): boolean => tree.isOpen(node);
    expect(step(tree.rows(), 0, "ArrowRight", open)).toEqual({ to: 0, toggle: "area:a" });
    tree.toggle("area:a");
    tree.take({ node: "area:a", total: 1, offset: 0, items: [camera(1)] });
    expect(step(tree.rows(), 0, "ArrowRight", open)).toEqual({ to: 1 });
    expect(step(tree.rows(), 1, "ArrowLeft", open)).toEqual({ to: 0 });
    expect(step(tree.rows(), 0, "ArrowLeft", open)).toEqual({ to: 0, toggle: "area:a" });
    expect(step(tree.rows(), 1, "End", open)).toEqual({ to: 2 });
    expect(step(tree.rows(), 2, "ArrowDown", open)).toEqual({ to: 2 });
    expect(step(tree.rows(), 2, "x", open)).toEqual({ to: 2 });
  });
});

const START = Date.parse("2026-11-23T08:00:00Z");
const at = (s: number): string => new Date(START + s * 1000).toISOString();
const answer: Timeline = {
  camera: "camera/1",
  from: at(0),
  to: at(100),
  bucket_ms: 10_000,
  coverage: [
    { from: at(10), to: at(30), seconds: 20, segments: 2, held: true },
    { from: at(60), to: at(80), seconds: 20, segments: 2, held: false },
  ],
  motion_s: [0, 5, 10, 0, 0, 0, 1, 0, 0, 0],
  motion: [null, 0, null, 0.5, 0, 0, null, null, null, null],
  fps: [null, 10, 12, null],
  bitrate_kbps: [],
  state: ["online", null, "offline", null, "online", null, null, null, null, null],
  alarms: [{ alarm: "A1", kind: "offline", severity: 3, device: "camera/1", work: "new", time: at(25), distance_m: 0 }],
  alarms_cut: false,
};

describe("a camera's time", () => {
  const time = readTime(answer);
  const s = (stretches: readonly { fromMs: number; toMs: number }[]): number[][] => stretches.map((one) => [(one.fromMs - START) / 1000, (one.toMs - START) / 1000]);
  it("has gaps between what is recorded, at both ends too", () => {
    expect(s(time.recorded)).toEqual([[10, 30], [60, 80]]);
    expect(s(time.gaps)).toEqual([[0, 10], [30, 60], [80, 100]]);
  });
  it("has motion by what is recorded, else by the samples, else unknown", () => {
    expect(time.motion[0]).toBeNaN();
    expect([...time.motion.slice(1, 5)]).toEqual([0.5, 1, 1, 0]);
    expect(s(time.moving)).toEqual([[10, 40], [60, 70]]);
  });
  it("says how the camera was until it was otherwise", () => {
    expect(time.states.map((one) => [one.state, (one.fromMs - START) / 1000, (one.toMs - START) / 1000])).toEqual([
      ["online", 0, 20],
      ["offline", 20, 40],
      ["online", 40, 50],
    ]);
  });
  it("knows how many pictures a second there are, for steps", () => {
    expect(time.fps).toBe(12);
    expect(readTime({ ...answer, fps: [null] }).fps).toBe(25);
  });
  it("is played from where something is recorded", () => {
    expect(playable(time.recorded, START)).toBe(START + 10_000);
    expect(playable(time.recorded, START + 15_000)).toBe(START + 15_000);
    expect(playable(time.recorded, START + 30_000)).toBe(START + 60_000);
    expect(playable(time.recorded, START + 90_000)).toBeNull();
  });
  it("goes to the next and the last beginning", () => {
    expect(edge([10, 2000, 5000], 2000, true)).toBe(5000);
    expect(edge([10, 2000, 5000], 2000, false)).toBe(10);
    expect(edge([10, 2000], 1800, true)).toBeNull(); // it is as good as there
    expect(edge([], 0, true)).toBeNull();
  });
  it("is zoomed around a moment and never beyond itself", () => {
    const view = zoomed(time, 0.5, START + 20_000, time);
    expect([view.fromMs - START, view.toMs - START]).toEqual([10_000, 60_000]);
    expect(zoomed(view, 10, START + 20_000, time)).toEqual({ fromMs: time.fromMs, toMs: time.toMs });
    const close = zoomed(view, 0.001, START + 20_000, time);
    expect(close.toMs - close.fromMs).toBe(MIN_VIEW_MS);
    expect(within({ fromMs: START - 5000, toMs: START + 5000 }, time)).toEqual({ fromMs: START, toMs: START + 10_000 });
  });
  it("has a scale that can be read, its days from midnight in the zone", () => {
    expect(ticks({ fromMs: 0, toMs: 3_600_000 }, 840, 84, 0)).toEqual({ stepMs: 600_000, atMs: [0, 600_000, 1_200_000, 1_800_000, 2_400_000, 3_000_000] });
    const week = ticks({ fromMs: START, toMs: START + 7 * 86_400_000 }, 840, 84, 8 * 3_600_000);
    expect(week.stepMs).toBe(86_400_000);
    expect(new Date(week.atMs[0] ?? 0).toISOString()).toBe("2026-11-23T16:00:00.000Z");
  });
});

describe("masks", () => {
  const ring: Ring = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]];
  it("are moved within the picture", () => {
    expect(moved([ring, ring], 1, 0, [-1, 0.123456])).toEqual([ring, [[0, 0.1235], [0.5, 0.1], [0.5, 0.5]]]);
  });
  it("get corners and lose them, down to three", () => {
    const more = split([ring], 0, 2);
    expect(more[0]).toEqual([...ring, [0.3, 0.3]]);
    expect(without(more, 0, 3)).toEqual([ring]);
    expect(without([ring], 0, 0)).toEqual([ring]);
  });
  it("are sixteen at most", () => {
    let rings: Ring[] = [];
    for (let i = 0; i < 20; i += 1) rings = added(rings);
    expect(rings).toHaveLength(16);
    expect(rings.flat(2).every((one) => one >= 0 && one <= 1)).toBe(true);
  });
});

describe("the codec of a recording", () => {
  const head = (name: string, ...after: number[]): Uint8Array => Uint8Array.from([0, 0, 0, 40, ...[...name].map((one) => one.charCodeAt(0)), ...after, ...new Array<number>(20).fill(0)]);
  it("is read out of its head", () => {
    expect(codecOf(head("avcC", 1, 0x64, 0, 0x1f))).toBe("avc1.64001f");
    expect(codecOf(head("hvcC", 1))).toMatch(/^hvc1/);
    expect(codecOf(head("free"))).toBe("");
    expect(codecOf(new Uint8Array(0))).toBe("");
  });
});

describe("a closed recording", () => {
  const box = (name: string, body: number[], size = 8 + body.length): number[] => [size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255, ...[...name].map((one) => one.charCodeAt(0)), ...body];
  const ftyp = box("ftyp", [1, 2, 3, 4]);
  const inside = [...box("moov", [9, 9]), ...box("moof", [8]), ...box("mdat", [7, 7])];
  it("shows its fragments and leaves its index out", () => {
    const hidden = [0, 0, 0, 1, ...[..."mdat"].map((one) => one.charCodeAt(0)), 0, 0, 0, 0, 0, 0, 0, 16 + inside.length, ...inside];
    const file = Uint8Array.from([...ftyp, ...hidden, ...box("moov", [5, 5, 5])]);
    const found = opened(file.buffer, file.length);
    expect([...found.head.subarray(0, found.endByte)]).toEqual([...ftyp, ...box("free", new Array<number>(8).fill(0)), ...inside]);
    expect(file[ftyp.length + 3]).toBe(1); // what was given is as it was
  });
  it("is as it is where nothing is hidden", () => {
    const file = Uint8Array.from([...ftyp, ...inside]);
    expect(opened(file.buffer, file.length)).toEqual({ head: file, endByte: file.length });
    expect(opened(new ArrayBuffer(3), 3).endByte).toBe(3);
  });
});
