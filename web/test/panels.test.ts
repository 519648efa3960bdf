// What the panels and the report decide without a document: lives of commands, state bits, the case, times, and the sketch.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Step } from "../src/api/types";
import { canTakeBack, COMMAND_STATES, isOver, lifeOf, listenLeftS, mayStop, pauseMs, type Command } from "../src/commands/life";
import { armedNow, CASE_STATES, doings, due, fits, following, sightings, type Case, type LastPlace } from "../src/ebike/case";
import { clipped, inside, LEAST_M, metres, MOST_M, pathOf, reach, roadsAround, scaleBar, towards, type Point } from "../src/incident/sketch";
import { stepSaid } from "../src/desk/words";
import { notesOf, stageTimes, verdict } from "../src/incident/times";
import { Bit } from "../src/state/fleet";
import { listenFor, whyNotListen } from "../src/taxi/listen";
import { compass, statusOf, taxiPath } from "../src/taxi/status";
import { word } from "../src/text";
import { PANELS } from "../src/text/panels";
import { alarm, random } from "./alarms";

const model = (file: string): string => readFileSync(join(import.meta.dirname, "..", "..", "model", file), "utf-8");

function command(change: Partial<Command> = {}): Command {
  return {
    command: "K2026-000001", device: "taxi/1", name: "snapshot", args: {}, state: "queued", version: 1, by: "wang", role: "operator",
    reason: "", alarm: "", asked: "2026-11-23T04:00:00.000Z", expires: "2026-11-23T04:05:00.000Z", approved_by: "", via: "", sent: null,
    done: null, ends: null, ended: null, listening: false, stopped_by: "", detail: "", reply: {}, place_hidden: false,
    ...change,
  };
}

describe("the life of a command", () => {
  const line = (one: Command): string => lifeOf(one).map((station) => `${station.state}${station.here ? "*" : ""}`).join(" ");
  it("goes on from queued to what became of it", () => {
    expect(line(command())).toBe("queued*");
    expect(line(command({ state: "sent", sent: "2026-11-23T04:00:01.000Z" }))).toBe("queued sent*");
    expect(line(command({ state: "accepted", sent: "t", done: "t" }))).toBe("queued sent accepted*");
    expect(line(command({ state: "refused", done: "t" }))).toBe("queued refused*");
  });
  it("begins with the approval that it needs", () => {
    expect(line(command({ state: "asked" }))).toBe("asked*");
    expect(line(command({ state: "queued", approved_by: "chen" }))).toBe("asked queued*");
  });
  it("of a listen-in goes on until it is ended", () => {
    const runs = command({ name: "listen_in", state: "accepted", sent: "t", done: "t", ends: "2026-11-23T04:10:00.000Z", listening: true });
    expect(line(runs)).toBe("queued sent accepted listening*");
    expect(isOver(runs)).toBe(false);
    expect(listenLeftS(runs, Date.parse("2026-11-23T04:00:00.500Z"))).toBe(600);
    expect(listenLeftS(runs, Date.parse("2026-11-23T05:00:00.000Z"))).toBe(0);
    const ended = { ...runs, listening: false, ended: "2026-11-23T04:02:00.000Z" };
    expect(line(ended)).toBe("queued sent accepted ended*");
    expect([isOver(ended), listenLeftS(ended, 0)]).toEqual([true, null]);
  });
  it("is stopped by whoever gave it, an approver or a supervisor, and taken back before it is sent alone", () => {
    expect(mayStop(command(), "wang", "operator")).toBe(true);
    expect(mayStop(command(), "li", "operator")).toBe(false);
    expect(mayStop(command(), "chen", "supervisor")).toBe(true);
    expect(COMMAND_STATES.filter((state) => canTakeBack(command({ state })))).toEqual(["asked", "queued"]);
  });
  it("is asked after quickly, then slowly, then not at all", () => {
    expect(pauseMs([command({ state: "accepted" })], 0)).toBeNull();
    const quick = pauseMs([command()], 0) ?? 0;
    expect(pauseMs([command()], 100) ?? 0).toBeGreaterThan(quick);
  });
  it("has a word for every command and every state of the service", () => {
    const names = [...model("command_table.py").matchAll(/CommandKind\(\s*"([a-z_]+)"/g)].map((one) => one[1] ?? "");
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) expect(PANELS).toHaveProperty([`cmd.${name}`]);
    for (const state of COMMAND_STATES) expect(PANELS).toHaveProperty([`cmdState.${state}`]);
    for (const state of COMMAND_STATES) expect(model("command.py")).toContain(`= "${state}"`);
  });
});

describe("what a taxi says of itself", () => {
  const keys = (bits: number, speedKmh: number | null = 40): string[] => statusOf({ bits, speedKmh }).map((one) => one.key.replace("taxi.bit.", ""));
  it("tells yes, no and nothing apart", () => {
    expect(keys(0, null)).toEqual(["fixUnsaid", "speedUnsaid", "ignitionUnsaid", "occupiedUnsaid"]);
    expect(keys(Bit.validSent | Bit.ignitionSent | Bit.occupiedSent, 0)).toEqual(["noFix", "standing", "noIgnition", "vacant"]);
    expect(keys(Bit.validSent | Bit.valid | Bit.ignitionSent | Bit.ignition | Bit.occupiedSent | Bit.occupied)).toEqual(["fix", "moving", "ignition", "occupied"]);
  });
  it("marks what is urgent or not to be believed", () => {
    const said = statusOf({ bits: Bit.alarm | Bit.jump | Bit.buffered | Bit.noFix | Bit.validSent | Bit.valid, speedKmh: 0 });
    expect(said.filter((one) => one.tone === "warn").map((one) => one.key)).toEqual(["taxi.bit.alarm", "taxi.bit.noFix", "taxi.bit.jump", "taxi.bit.buffered"]);
    expect(keys(Bit.sighted)[0]).toBe("sighted");
  });
  it("has the bits of the service", () => {
    const flags = model("codes.py");
    for (const [name, shift] of [["ARMED", 5], ["VALID_SENT", 8], ["SIGHTED", 9]] as const) expect(flags).toContain(`${name} = 1 << ${shift}`);
    expect([Bit.armed, Bit.validSent, Bit.sighted]).toEqual([1 << 5, 1 << 8, 1 << 9]);
  });
  it("points its course to an eighth of the compass", () => {
    expect([0, 22, 23, 90, 181, 337, 338, 360, -45, 725].map(compass)).toEqual(["N", "N", "NE", "E", "S", "NW", "N", "N", "NW", "N"]);
  });
  it("has an address, also with a dot in its name", () => {
    expect(taxiPath("taxi/B0001")).toBe("/taxi/B0001");
    expect(taxiPath("taxi/B.1")).toBe("/taxi?device=taxi%2FB.1");
  });
  it("is listened to in its open emergency by a supervisor alone", () => {
    const sos = alarm({ kind: "sos", device: "taxi/1" });
    expect(whyNotListen([], true)).toBe("taxi.listenNone");
    expect(whyNotListen([alarm({ kind: "overspeed" })], true)).toBe("taxi.listenNone");
    expect(whyNotListen([{ ...sos, work: "resolved" }], true)).toBe("taxi.listenNone");
    expect(whyNotListen([sos], false)).toBe("taxi.listenRole");
    expect(whyNotListen([sos], true)).toBeNull();
    expect(listenFor([alarm(), sos])).toBe(sos);
  });
});

describe("the case of an e-bike", () => {
  const one: Case = {
    case: "C2026-000001", device: "ebike/77", owner_ref: "R-17", state: "tracked", officer: "sun", version: 3,
    steps: [
      { time: "2026-11-23T04:00:00.000Z", state: "reported", by: "wang", note: "gone", to: "" },
      { time: "2026-11-23T04:01:00.000Z", state: "reported", by: "wang", note: "", to: "sun" },
      { time: "2026-11-23T04:02:00.000Z", state: "tracked", by: "system", note: "signal 7", to: "" },
    ],
  };
  it("only goes forward, with one thing due next", () => {
    expect(following("reported")).toEqual(["stolen", "tracked", "recovered", "closed"]);
    expect(following("closed")).toEqual([]);
    expect(CASE_STATES.map(due)).toEqual(["stolen", "recovered", "recovered", "closed", null]);
    for (const state of CASE_STATES) expect(model("desk.py")).toContain(`= "${state}"`);
  });
  it("is found by what people know of it", () => {
    expect(fits(one, "SUN 77")).toBe(true);
    expect(fits(one, "r-17 tracked")).toBe(true);
    expect(fits(one, "li")).toBe(false);
  });
  it("tells what was done by whom since the report, the newest first", () => {
    const siren = command({ command: "K2", device: "ebike/77", name: "siren", asked: "2026-11-23T04:01:30.000Z", by: "sun", reason: "near" });
    const before = command({ command: "K1", device: "ebike/77", asked: "2026-11-23T03:00:00.000Z" });
    const seen = alarm({ alarm: "A9", kind: "stolen_seen", device: "ebike/77", received: "2026-11-23T04:02:00.500Z" });
    const rows = doings(one, [siren, before], [seen]);
    expect(rows.map((row) => row.what.kind)).toEqual(["alarm", "step", "command", "handed", "step"]);
    expect(rows.map((row) => row.by)).toEqual(["system", "system", "sun", "wang", "wang"]);
    const closed: Case = { ...one, state: "closed", steps: [...one.steps.slice(0, 1), { time: "2026-11-23T04:00:30.000Z", state: "closed", by: "li", note: "", to: "" }] };
    expect(doings(closed, [siren], [seen]).map((row) => row.by)).toEqual(["li", "wang"]);
  });
  it("gathers sightings by one reader, and says whether it is armed as it last did", () => {
    const place = (time: string, lat: number, sighted: boolean, armed: boolean | null = null): LastPlace => ({
      time, lat, lon: 109.84, acc_m: sighted ? 60 - Number(time) : 10, speed_kmh: null, battery_pct: null, armed, sighted,
    });
    const places = [place("9", 1, true), place("8", 1, true), place("7", 3, false, true), place("6", 1, true), place("5", 2, true), place("4", 3, false, false)];
    expect(sightings(places).map((one) => [one.first, one.last, one.times, one.acc_m])).toEqual([["6", "9", 3, 51], ["5", "5", 1, 55]]);
    expect([armedNow(places), armedNow([])]).toEqual([true, null]);
  });
});

describe("times of an incident", () => {
  const step = (action: string, by: string, detail: Record<string, unknown> = {}): Step => ({ number: 1, time: "2026-11-23T04:01:00.000Z", action, by, work: "new", version: 1, detail });
  const history = [step("raise", "system"), step("acknowledge", "wang"), step("hand_over", "wang", { to: "li", note: "guards are there" }), step("resolve", "li", { outcome: "real", reason: "parted" })];
  it("stand with who did it and how long after receipt", () => {
    const times = stageTimes(alarm({ time: "2026-11-23T03:59:59.500Z", acknowledged: "2026-11-23T04:00:20.000Z", resolved: "2026-11-23T04:06:00.000Z" }), history);
    expect(times.map((one) => [one.stage, one.afterS, one.by])).toEqual([
      ["happened", -0.5, ""], ["received", 0, ""], ["shown", null, ""], ["acknowledged", 20, "wang"], ["dispatched", null, ""],
      ["on_scene", null, ""], ["resolved", 360, "li"], ["closed", null, ""],
    ]);
  });
  it("are judged against 300 seconds", () => {
    const now = Date.parse("2026-11-23T04:02:00.000Z");
    expect(verdict(alarm(), now)).toEqual({ kind: "running", seconds: 120 });
    expect(verdict(alarm({ response_ms: 240_400, breached: false }), now)).toEqual({ kind: "kept", seconds: 240 });
    expect(verdict(alarm({ response_ms: 301_000, breached: true }), now)).toEqual({ kind: "broken", seconds: 301 });
    expect(verdict(alarm({ late: true }), now)).toEqual({ kind: "late" });
    expect(verdict(alarm({ work: "resolved" }), now)).toEqual({ kind: "none" });
  });
  it("carry what was said, and by whom", () => {
    expect(stepSaid({ by: "wang", detail: { reason: "not dispatched", to: "li", number: 4, note: "" } })).toBe("li · not dispatched");
    expect(stepSaid({ by: "system", detail: { rung: 1, why: "not dispatched" } })).toBe("未派警");
    expect(stepSaid({ by: "wang", detail: { outcome: "false" } })).toBe(word("outcome", "false"));
    expect(notesOf(history)).toEqual([
      { by: "wang", time: "2026-11-23T04:01:00.000Z", note: "guards are there" },
      { by: "li", time: "2026-11-23T04:01:00.000Z", note: "parted" },
    ]);
  });
});

describe("the sketch", () => {
  const centre = { lat: 40.65, lon: 109.84 };
  it("measures in metres around the place", () => {
    const [x, y] = metres(centre, { lat: 40.659, lon: 109.84 });
    expect([x, Math.round(y)]).toEqual([0, -1001]);
    expect(Math.round(metres(centre, { lat: 40.65, lon: 109.85 })[0])).toBe(844);
    const [e, n] = towards(100, 90);
    expect(e).toBeCloseTo(100);
    expect(n).toBeCloseTo(0);
  });
  it("shows what is near, and no more than can be read", () => {
    expect(reach([])).toBe(LEAST_M);
    expect(reach([[0, 1000]])).toBeCloseTo(1150);
    expect(reach([[90_000, 0]])).toBe(MOST_M);
    for (const half of [350, 1234, 2000]) {
      expect(scaleBar(half)).toBeLessThanOrEqual(half / 2);
      expect([1, 2, 5]).toContain(Number(String(scaleBar(half))[0]));
    }
  });
  it("cuts any segment at the square: what is left lies within, on the segment, and nothing within is lost (seed 8)", () => {
    const next = random(8);
    const at = (): Point => [next() * 400 - 200, next() * 400 - 200];
    let kept = 0;
    for (let i = 0; i < 2000; i += 1) {
      const [a, b] = [at(), at()];
      const piece = clipped(a, b, 100);
      for (const share of [0, 0.25, 0.5, 0.75, 1]) {
        const p: Point = [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];
        if (inside(p, 99.999)) expect(piece, `${String(a)} ${String(b)}`).not.toBeNull();
      }
      if (!piece) continue;
      kept += 1;
      for (const end of piece) {
        expect(inside(end, 100.001)).toBe(true);
        const cross = (b[0] - a[0]) * (end[1] - a[1]) - (b[1] - a[1]) * (end[0] - a[0]);
        expect(Math.abs(cross)).toBeLessThan(1e-6 * 400 * 400);
      }
    }
    expect(kept).toBeGreaterThan(500);
  });
  it("draws roads as runs, each with its class, and leaves out what is far", () => {
    const road = (name: string, coordinates: [number, number][]) => ({ properties: { class: name }, geometry: { type: "LineString", coordinates } });
    const through = road("avenue", [[109.8, 40.65], [109.835, 40.65], [109.845, 40.65], [109.9, 40.65]]);
    const away = road("street", [[110, 41], [110.1, 41]]);
    const twice = road("ring", [[109.84, 40.65], [109.9, 40.65], [109.9, 40.651], [109.84, 40.651]]);
    const made = roadsAround([through, away, twice, { properties: null, geometry: null }], centre, 500);
    expect(made.map((one) => [one.class, one.points.length])).toEqual([["avenue", 4], ["ring", 2], ["ring", 2]]);
    expect(made[0]?.points.map(([x]) => Math.round(x))).toEqual([-500, -422, 422, 500]);
    expect(pathOf([[0, 1.25], [-2, 3]])).toBe("M0.0 1.3L-2.0 3.0");
  });
});
