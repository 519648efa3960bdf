// The events of the service: one EventSource that is opened again wherever it broke off, after the last alarm that came.
// Invariant: every alarm event after the first number is handed on once and in order, or the stream is opened again.

import type { ApprovalCounts } from "../state/approvals";
import type { AlarmEvent, Clusters, Positions } from "./types";

/** A beat comes every 5 s; silence for longer is a dead line. */
export const SILENCE_MS = 12_000;
export const FIRST_PAUSE_MS = 500;
export const MAX_PAUSE_MS = 10_000;

export type LinkState = "connecting" | "open" | "waiting" | "stopped";

export interface Hello {
  stream: string;
  number: number;
  server_ms: number;
  /** The number that was asked for is none of this desk: what is known must be read anew. */
  reset?: boolean;
}

export interface Source {
  addEventListener(kind: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export interface Timers {
  now(): number;
  after(ms: number, then: () => void): number;
  cancel(timer: number): void;
}

export interface Hooks {
  hello?(hello: Hello, first: boolean): void;
  alarm?(number: number, event: AlarmEvent): void;
  positions?(positions: Positions): void;
  clusters?(clusters: Clusters): void;
  beat?(serverMs: number, approvals: ApprovalCounts | undefined): void;
  state?(state: LinkState, tries: number): void;
}

export class Stream {
  /** Number of the last alarm event handed on; null before the first hello. */
  last: number | null = null;
  /** Of the stream that is open, for its viewport. */
  id = "";
  state: LinkState = "stopped";
  private source: Source | null = null;
  private tries = 0;
  private timer = 0;
  private watch = 0;

  constructor(
    private readonly open: (query: { after?: number }) => Source,
    private readonly timers: Timers,
    private readonly hooks: Hooks,
  ) {}

  start(after: number | null = null): void {
    this.stop();
    this.last = after;
    this.tries = 0;
    this.connect();
  }

  stop(): void {
    this.timers.cancel(this.timer);
    this.timers.cancel(this.watch);
    this.source?.close();
    this.source = null;
    this.id = "";
    this.become("stopped");
  }

  private become(state: LinkState): void {
    this.state = state;
    this.hooks.state?.(state, this.tries);
  }

  private connect(): void {
    this.become("connecting");
    const source = this.open(this.last === null ? {} : { after: this.last });
    this.source = source;
    const on = (kind: string, take: (data: string, id: string) => void): void =>
      source.addEventListener(kind, (event) => {
        if (this.source !== source) return;
        this.heard();
        take(event.data, event.lastEventId);
      });
    on("hello", (data) => this.hello(JSON.parse(data) as Hello));
    on("alarm", (data, id) => this.alarm(JSON.parse(data) as AlarmEvent, id));
    on("positions", (data) => this.hooks.positions?.(JSON.parse(data) as Positions));
    on("clusters", (data) => this.hooks.clusters?.(JSON.parse(data) as Clusters));
    on("beat", (data) => {
      const said = JSON.parse(data) as { server_ms: number; approvals?: ApprovalCounts };
      this.hooks.beat?.(said.server_ms, said.approvals);
    });
    on("close", (data) => this.told((JSON.parse(data) as { resume: number }).resume));
    source.addEventListener("error", () => {
      if (this.source === source) this.again(false);
    });
    this.heard();
  }

  private heard(): void {
    this.timers.cancel(this.watch);
    this.watch = this.timers.after(SILENCE_MS, () => this.again(false));
  }

  private hello(hello: Hello): void {
    const first = this.last === null || hello.reset === true;
    if (first) this.last = hello.number;
    this.id = hello.stream;
    this.tries = 0;
    this.become("open");
    this.hooks.hello?.(hello, first);
  }

  private alarm(event: AlarmEvent, id: string): void {
    const number = id ? Number(id) : event.number;
    if (this.last !== null && number <= this.last) return; // sent again after a resume
    this.last = number;
    this.hooks.alarm?.(number, event);
  }

  private told(resume: number): void {
    if (this.last !== null && Number.isFinite(resume)) this.last = Math.min(this.last, resume);
    this.again(true);
  }

  private again(atOnce: boolean): void {
    this.source?.close();
    this.source = null;
    this.id = "";
    this.timers.cancel(this.watch);
    this.timers.cancel(this.timer);
    this.tries += 1;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (this.tries - 1), MAX_PAUSE_MS);
    this.become("waiting");
    this.timer = this.timers.after(atOnce && this.tries === 1 ? 0 : pause, () => this.connect());
  }
}
