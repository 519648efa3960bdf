import { describe, expect, it } from "vitest";
import { distanceM, drawn, ring, undrawn } from "../src/map/datum";
import { random } from "./alarms";

describe("the datum of the base map", () => {
  it("leaves WGS-84 and what lies outside China alone", () => {
    expect(drawn("wgs84", 40.65, 109.84)).toEqual([109.84, 40.65]);
    expect(drawn("gcj02", 48.85, 2.35)).toEqual([2.35, 48.85]);
  });
  it("moves Tian'anmen as the public reconstruction does", () => {
    const [lon, lat] = drawn("gcj02", 39.908823, 116.39747);
    expect(lon).toBeCloseTo(116.403714, 4);
    expect(lat).toBeCloseTo(39.910227, 4);
  });
  it("comes back to within a centimetre", () => {
    const next = random(9);
    for (let i = 0; i < 500; i += 1) {
      const [lat, lon] = [20 + next() * 25, 80 + next() * 45];
      const [thereLon, thereLat] = drawn("gcj02", lat, lon);
      const back = undrawn("gcj02", thereLat, thereLon);
      expect(distanceM(lat, lon, back.lat, back.lon)).toBeLessThan(0.01);
    }
  });
  it("draws a circle of its metres", () => {
    for (const [lon, lat] of ring("wgs84", 40.65, 109.84, 250)) expect(distanceM(40.65, 109.84, lat, lon)).toBeCloseTo(250, 0);
  });
});
