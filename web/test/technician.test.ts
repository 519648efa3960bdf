// The technician's page without a document: IMEIs, the queue's order, reports of imports, codes that are read, the worker's files.

import { describe, expect, it } from "vitest";
import { technicianFiles } from "../build/technician";
import { iconPng } from "../build/icon";
import { Problem, UNREACHABLE } from "../src/api/problem";
import { reportCsv, safeCell } from "../src/technician/csv";
import { imeiIn, judged, luhnDigit, madeId } from "../src/technician/imei";
import { afterError, comesBack, heldBy, nextOf, pauseMs } from "../src/technician/sending";
import type { Entry } from "../src/technician/store";
import { grayOf, textIn } from "../src/technician/zxing";

const entry = (id: number, given: Partial<Entry> = {}): Entry => ({
  id,
  user: "wu",
  kind: "register",
  state: "waiting",
  made_ms: 0,
  key: `k${id}`,
  title: `t${id}`,
  after: 0,
  device: "",
  body: {},
  bytes: null,
  problem: null,
  done_ms: 0,
  ...given,
});

describe("an IMEI while it is typed", () => {
  it.each([
    ["", "empty"],
    ["49015", "part"],
    ["490154203237518", "good"],
    ["49-015420-323751-8", "good"],
    ["490154203237519", "label"],
    ["4901542032375180", "wrong"],
    ["49015420323751800", "wrong"],
    ["49015420323751X", "wrong"],
    ["000000000000000", "wrong"],
  ])("%s is %s", (text, state) => {
    expect(judged(text).state).toBe(state);
  });
  it("says which check digit there should be", () => {
    expect(judged("490154203237519").values).toEqual({ last: "9", wanted: 8 });
    expect(judged("4901542032375").values).toEqual({ n: 2 });
  });
  it("finds every single wrong digit", () => {
    const good = "356938035643809";
    for (let place = 0; place < 15; place += 1)
      for (let by = 1; by < 10; by += 1) {
        const wrong = good.slice(0, place) + ((Number(good[place]) + by) % 10) + good.slice(place + 1);
        expect(judged(wrong).state, wrong).toBe("label");
      }
    expect(luhnDigit(good.slice(0, -1))).toBe(9);
  });
  it("is found in what a label's code says", () => {
    expect(imeiIn("IMEI:490154203237518;SN:123456789012345")).toBe("490154203237518");
    expect(imeiIn("https://example.org/d?imei=356938035643809&x=1")).toBe("356938035643809");
    expect(imeiIn("4901542032375180")).toBe("");
    expect(imeiIn("SN 123456789012345")).toBe("");
  });
  it("makes the id that the service makes", () => {
    expect(madeId("taxi", "49-015420-323751-8", "+86139")).toBe("taxi/490154203237518");
    expect(madeId("button", "", "+86 139 0000 0001")).toBe("button/8613900000001");
    expect(madeId("button", "", "")).toBe("");
  });
});

describe("the queue", () => {
  it("sends the oldest first, and what hangs on another after it", () => {
    const first = entry(1);
    const photo = entry(2, { kind: "photo", after: 1 });
    expect(nextOf([photo, first], "wu")?.id).toBe(1);
    expect(nextOf([{ ...first, state: "failed" }, photo, entry(3)], "wu")?.id).toBe(3);
    expect(nextOf([{ ...first, state: "done" }, photo], "wu")?.id).toBe(2);
    expect(heldBy(photo, [first, photo])?.id).toBe(1);
    expect(heldBy(photo, [{ ...first, state: "done" }, photo])).toBeNull();
  });
  it("sends nobody else's", () => {
    expect(nextOf([entry(1)], "li")).toBeNull();
  });
  it("sends again what did not arrive, with its key, and stops at what must be mended", () => {
    const lost = new Problem({ status: 0, code: UNREACHABLE });
    const wrong = new Problem({ status: 422, code: "usage", detail: "The IMEI's last digit is 9" });
    expect(afterError(entry(1, { state: "sending" }), lost)).toMatchObject({ state: "waiting", key: "k1" });
    expect(afterError(entry(1), wrong)).toMatchObject({ state: "failed", problem: { code: "usage", detail: "The IMEI's last digit is 9" } });
    for (const status of [401, 429, 503]) expect(comesBack(new Problem({ status })), String(status)).toBe(true);
    expect(comesBack(new Problem({ status: 409, code: "under_way" }))).toBe(true);
    for (const status of [400, 403, 404, 409, 413]) expect(comesBack(new Problem({ status })), String(status)).toBe(false);
    expect(afterError(entry(1), new TypeError("x")).state).toBe("failed");
  });
  it("waits longer and longer, a minute at most", () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6, 60].map(pauseMs);
    expect(pauses).toEqual([...pauses].sort((one, two) => one - two));
    expect(pauses.at(-1)).toBe(60_000);
  });
});

describe("the report of an import", () => {
  it.each(["=1+1", "+1", "-1", "@x", " =1", "\t=1", "＝1", "|x", "%x"])("disarms %j", (text) => {
    expect(safeCell(text).replace(/^"/, "").startsWith("'")).toBe(true);
  });
  it("quotes what has to be quoted", () => {
    expect(safeCell('a"b,c')).toBe('"a""b,c"');
    const text = reportCsv([{ line: 2, device: "taxi/1", result: "refused", reason: "no, 'x'", note: "" }]);
    expect(text).toBe('\ufeffline,device,result,reason,note\r\n2,taxi/1,refused,"no, \'x\'",\r\n');
  });
});

describe("codes", () => {
  /** Code 39 of `*A1*`, by its table: n narrow, w wide, of bars and gaps in turn. */
  const CODE39: Record<string, string> = { "*": "nwnnwnwnn", A: "wnnnnwnnw", "1": "wnnwnnnnw" };
  it("are read from a picture by plain JavaScript", () => {
    const widths: number[] = [];
    for (const letter of "*A1*") widths.push(...[...(CODE39[letter] ?? "")].map((one) => (one === "w" ? 9 : 3)), 3);
    const width = widths.reduce((sum, one) => sum + one, 0) + 120;
    const height = 80;
    const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
    let x = 60;
    widths.forEach((wide, i) => {
      if (i % 2 === 0 || false) for (let y = 0; y < height; y += 1) for (let k = 0; k < wide; k += 1) rgba.fill(0, 4 * (y * width + x + k), 4 * (y * width + x + k) + 3);
      x += wide;
    });
    expect(textIn(grayOf(rgba), width, height)).toBe("A1");
  });
});

describe("what is kept on the phone", () => {
  it("is the page with all that it needs, and not the desk", () => {
    const chunk = (fileName: string, facadeModuleId: string, imports: string[] = [], isEntry = false, css: string[] = []) => ({
      type: "chunk",
      fileName,
      facadeModuleId,
      imports,
      isEntry,
      viteMetadata: { importedCss: new Set(css), importedAssets: new Set<string>() },
    });
    const bundle = Object.fromEntries(
      [
        chunk("assets/index-1.js", "/web/index.html", ["assets/shared-2.js"], true, ["assets/index-3.css"]),
        chunk("assets/shared-2.js", "", []),
        chunk("assets/page-4.js", "/web/src/technician/page.tsx", ["assets/index-1.js", "assets/deep-5.js"]),
        chunk("assets/deep-5.js", "", []),
        chunk("assets/page-6.js", "/web/src/desk/page.tsx", []),
        chunk("technician-worker.js", "/web/src/technician/worker.ts", [], true),
      ].map((one) => [one.fileName, one]),
    );
    expect(technicianFiles(bundle)).toEqual(["/assets/deep-5.js", "/assets/index-1.js", "/assets/index-3.css", "/assets/page-4.js", "/assets/shared-2.js"]);
  });
  it("has an icon that is a PNG of its size", () => {
    const png = iconPng(48, false);
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([48, 48]);
  });
});
