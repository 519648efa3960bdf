import { beforeEach, describe, expect, it } from "vitest";
import { FIRST_PAUSE_MS, MAX_PAUSE_MS, SILENCE_MS, Stream, type Hello, type LinkState, type Source, type Timers } from "../src/api/stream";
import { alarm, random } from "./alarms";

/** Time that goes on when it is told to. */
class Hands implements Timers {
  at = 0;
  private next = 1;
  private waiting = new Map<number, { at: number; then: () => void }>();
  now = (): number => this.at;
  after = (ms: number, then: () => void): number => {
    this.waiting.set(this.next, { at: this.at + ms, then });
    return this.next++;
  };
  cancel = (timer: number): void => void this.waiting.delete(timer);
  pass(ms: number): void {
    const until = this.at + ms;
    for (;;) {
      const due = [...this.waiting].filter(([, one]) => one.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.waiting.delete(due[0]);
      this.at = due[1].at;
      due[1].then();
    }
    this.at = until;
  }
}

/** One connection, as a browser's EventSource gives its events. */
class Line implements Source {
  closed = false;
  private listeners = new Map<string, (event: MessageEvent<string>) => void>();
  constructor(readonly after: number | undefined) {}
  addEventListener(kind: string, listener: (event: MessageEvent<string>) => void): void {
    this.listeners.set(kind, listener);
  }
  close(): void {
    this.closed = true;
  }
  send(kind: string, data: unknown, id = ""): void {
    this.listeners.get(kind)?.({ data: JSON.stringify(data), lastEventId: id } as MessageEvent<string>);
  }
  hello(number: number, more: Partial<Hello> = {}): void {
    this.send("hello", { stream: "s", number, server_ms: 1, ...more });
  }
  alarm(number: number): void {
    this.send("alarm", { number, action: "signal", alarm: alarm({ alarm: `A${number}` }) }, String(number));
  }
  fail(): void {
    this.send("error", {});
  }
}

let hands: Hands;
let lines: Line[];
let heard: number[];
let firsts: boolean[];
let states: LinkState[];
let stream: Stream;
const line = (): Line => lines[lines.length - 1] as Line;

beforeEach(() => {
  hands = new Hands();
  lines = [];
  heard = [];
  firsts = [];
  states = [];
  stream = new Stream(
    (query) => {
      lines.push(new Line(query.after));
      return line();
    },
    hands,
    { alarm: (number) => heard.push(number), hello: (_, first) => firsts.push(first), state: (state) => states.push(state) },
  );
});

describe("the stream of events", () => {
  it("begins with those to come, and goes on after the last that came", () => {
    stream.start();
    expect(line().after).toBeUndefined();
    line().hello(40);
    line().alarm(41);
    line().alarm(42);
    line().fail();
    hands.pass(FIRST_PAUSE_MS);
    expect(lines.length).toBe(2);
    expect(line().after).toBe(42);
    line().hello(42);
    line().alarm(43);
    expect(heard).toEqual([41, 42, 43]);
    expect(firsts).toEqual([true, false]);
  });
  it("goes on after the first hello though no alarm has come", () => {
    stream.start();
    line().hello(40);
    line().fail();
    hands.pass(FIRST_PAUSE_MS);
    expect(line().after).toBe(40);
  });
  it("hands on once what is sent again", () => {
    stream.start();
    line().hello(40);
    line().alarm(41);
    line().send("close", { resume: 40, why: "slow" });
    hands.pass(0);
    expect(line().after).toBe(40);
    line().hello(40);
    for (const number of [41, 42, 42, 43]) line().alarm(number);
    // 41 comes twice on purpose: the service says how far it knows that we have read
    expect(heard).toEqual([41, 41, 42, 43]);
  });
  it("takes silence for a dead line", () => {
    stream.start();
    line().hello(40);
    hands.pass(SILENCE_MS - 1);
    expect(lines.length).toBe(1);
    line().send("beat", { server_ms: 2 });
    hands.pass(SILENCE_MS - 1);
    expect(lines.length).toBe(1);
    hands.pass(1 + FIRST_PAUSE_MS);
    expect(lines.length).toBe(2);
    expect(lines[0]?.closed).toBe(true);
  });
  it("waits longer each time, up to a limit, and from the start again once it is open", () => {
    stream.start();
    const pauses: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      const before = hands.at;
      const count = lines.length;
      line().fail();
      while (lines.length === count) hands.pass(1);
      pauses.push(hands.at - before);
    }
    expect(pauses.slice(0, 3)).toEqual([FIRST_PAUSE_MS, FIRST_PAUSE_MS * 2, FIRST_PAUSE_MS * 4]);
    expect(Math.max(...pauses)).toBe(MAX_PAUSE_MS);
    line().hello(1);
    line().fail();
    const count = lines.length;
    hands.pass(FIRST_PAUSE_MS);
    expect(lines.length).toBe(count + 1);
  });
  it("hears nothing of a line that it has left", () => {
    stream.start();
    line().hello(40);
    const old = line();
    old.fail();
    hands.pass(FIRST_PAUSE_MS);
    old.alarm(41);
    old.fail();
    expect(heard).toEqual([]);
    expect(lines.length).toBe(2);
  });
  it("begins anew with a desk that does not know its number", () => {
    stream.start(900);
    expect(line().after).toBe(900);
    line().hello(12, { reset: true });
    line().alarm(13);
    expect(firsts).toEqual([true]);
    expect(heard).toEqual([13]);
  });
  it("misses none and repeats none, wherever a line breaks off", () => {
    const seed = 20261123;
    const next = random(seed);
    let newest = 100;
    stream.start();
    line().hello(newest);
    for (let turn = 0; turn < 300; turn += 1) {
      newest += Math.floor(next() * 4);
      const sent = heard.length ? (heard[heard.length - 1] as number) : 100;
      const until = sent + Math.floor(next() * (newest - sent + 1));
      for (let number = sent + 1; number <= until; number += 1) line().alarm(number);
      if (next() < 0.3) {
        const count = lines.length;
        if (next() < 0.5) line().fail();
        else hands.pass(SILENCE_MS);
        while (lines.length === count) hands.pass(50);
        expect(line().after, `seed ${seed}, turn ${turn}`).toBe(heard.length ? heard[heard.length - 1] : 100);
        line().hello(line().after ?? 0);
      }
    }
    for (let number = (heard[heard.length - 1] ?? 100) + 1; number <= newest; number += 1) line().alarm(number);
    expect(heard).toEqual(Array.from({ length: newest - 100 }, (_, i) => 101 + i));
  });
  it("is quiet once it is stopped", () => {
    stream.start();
    line().hello(1);
    stream.stop();
    hands.pass(60_000);
    expect(lines.length).toBe(1);
    expect(states[states.length - 1]).toBe("stopped");
  });
});
