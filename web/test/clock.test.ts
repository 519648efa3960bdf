import { describe, expect, it } from "vitest";
import type { Alarm } from "../src/api/types";
import { face } from "../src/desk/clock";
import { can, next, stands } from "../src/desk/allowed";
import { alarm } from "./alarms";

const T0 = Date.parse("2026-11-23T04:00:00.000Z");
const at = (s: number, change: Partial<Alarm> = {}) => face(alarm({ received: "2026-11-23T04:00:00.000Z", ...change }), T0 + s * 1000);

describe("the 300-second clock", () => {
  it("runs down from receipt by the service's clock", () => {
    expect(at(0)).toMatchObject({ state: "running", seconds: 300, share: 0 });
    expect(at(150)).toMatchObject({ state: "running", seconds: 150, share: 0.5 });
  });
  it("presses in its last minute, and says when it is over", () => {
    expect(at(239).state).toBe("running");
    expect(at(240).state).toBe("pressing");
    expect(at(300)).toMatchObject({ state: "pressing", seconds: 0 });
    expect(at(312)).toMatchObject({ state: "over", seconds: -12, share: 1 });
  });
  it("goes on while a unit is under way, and stops with what the service kept", () => {
    expect(at(100, { work: "dispatched" }).state).toBe("running");
    expect(at(9999, { work: "on_scene", response_ms: 250_000, breached: false })).toMatchObject({ state: "kept", seconds: 250 });
    expect(at(9999, { work: "closed", response_ms: 301_000, breached: true })).toMatchObject({ state: "broken", seconds: 301 });
  });
  it("is none where nobody ever came, and for what was told late", () => {
    expect(at(9999, { work: "resolved" }).state).toBe("none");
    expect(at(10, { late: true }).state).toBe("late");
  });
  it("never starts with more than it has, though this machine's clock is behind", () => {
    expect(at(-20)).toMatchObject({ seconds: 300, share: 0 });
  });
});

describe("what can be done", () => {
  it("follows the table of transitions", () => {
    expect(next(alarm({ work: "new" }))).toBe("ack");
    expect(next(alarm({ work: "acknowledged" }))).toBe("dispatch");
    expect(next(alarm({ work: "dispatched" }))).toBe("arrive");
    expect(next(alarm({ work: "on_scene" }))).toBe("resolve");
    expect(next(alarm({ work: "resolved" }))).toBe("close");
    expect(next(alarm({ work: "closed" }))).toBeNull();
  });
  it("does not shelve a pressed button that nobody took", () => {
    expect(can(alarm({ severity: 1, latches: true, work: "new" }), "shelve")).toBe(false);
    expect(can(alarm({ severity: 3, latches: false, work: "new" }), "shelve")).toBe(true);
    expect(can(alarm({ side: "shelved" }), "restore")).toBe(true);
  });
  it("stands when it was shown or rang once more meanwhile, and not when somebody did something", () => {
    const seen = alarm();
    expect(stands(seen, alarm({ version: 3, signals: 2, shown: "2026-11-23T04:00:01.000Z", rung: 1, condition: "cleared" }))).toBe(true);
    for (const change of [{ work: "acknowledged" }, { owner: "li" }, { unit: "p1" }, { side: "shelved" }, { lap: 2 }, { severity: 2 }] as Partial<Alarm>[]) {
      expect(stands(seen, alarm({ version: 2, ...change }))).toBe(false);
    }
  });
});
