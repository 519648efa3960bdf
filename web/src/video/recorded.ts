// Recordings in a <video>: segment after segment in pieces into one media source, by the service's time. What lies between two
// segments is passed over, and the time that is shown says so.

import { address, get } from "../api/client";
import { Problem, problemOf, UNREACHABLE } from "../api/problem";
import type { Recordings, SegmentRow } from "../cameras/types";
import { codecOf, opened } from "./mp4";

const PIECE_BYTES = 1 << 20;
const AHEAD_S = 20;
const BEHIND_S = 60;
/** Segments that are asked for at once, and how far ahead. */
const LIST_ROWS = 60;
const LIST_MS = 3_600_000;
const LOOK_MS = 100;
const RETRY_MS = 3_000;
const FAILURES = 3;

export type RecordedTrouble = "" | "loading" | "nothing" | "unplayable" | "failed" | "end";

export interface RecordedFace {
  atMs: number;
  playing: boolean;
  trouble: RecordedTrouble;
  why: unknown;
  segment: SegmentRow | null;
}

interface Mark {
  atS: number;
  segment: SegmentRow;
  fromMs: number;
}

export class RecordedPlayer {
  private source: MediaSource | null = null;
  private buffer: SourceBuffer | null = null;
  private url = "";
  private marks: Mark[] = [];
  private segments: SegmentRow[] = [];
  /** From when to when segments were asked for. */
  private listedToMs = 0;
  private next: { segment: SegmentRow; byte: number; endByte: number } | null = null;
  /** How often what came could not be played, one time after the other. */
  private failures = 0;
  private run = 0;
  private wantedMs: number | null = null;
  private playing = false;
  private rate = 1;
  private trouble: RecordedTrouble = "";
  private why: unknown = null;
  private readonly timer: number;
  private busy = false;
  private waitUntil = 0;
  private codec = "";

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly camera: string,
    private readonly purpose: string,
    private bounds: { fromMs: number; toMs: number },
  ) {
    this.timer = window.setInterval(() => void this.look(), LOOK_MS);
  }

  /** What may be asked for at all. */
  within(bounds: { fromMs: number; toMs: number }): void {
    this.bounds = bounds;
    if (this.trouble === "end") this.trouble = "";
  }

  /** Show what was recorded at `ms`, or the next that was. */
  seek(ms: number): void {
    const mark = this.marks.find((one) => ms >= one.fromMs && ms < Date.parse(one.segment.to));
    const at = mark ? mark.atS + (ms - mark.fromMs) / 1000 : -1;
    const ranges = this.buffer?.buffered;
    for (let i = 0; mark && ranges && i < ranges.length; i += 1) {
      if (at >= ranges.start(i) && at <= ranges.end(i) - 0.05) {
        this.wantedMs = null;
        this.video.currentTime = at;
        if (this.trouble === "end") this.trouble = "";
        return;
      }
    }
    this.begin(ms);
  }

  play(): void {
    this.playing = true;
    if (this.trouble === "end" || this.trouble === "failed") this.begin(this.face().atMs);
    void this.video.play().catch(() => undefined);
  }

  pause(): void {
    this.playing = false;
    this.video.pause();
  }

  setRate(rate: number): void {
    this.rate = rate;
    this.video.playbackRate = rate;
  }

  /** A picture on or back. */
  step(by: number, fps: number): void {
    this.pause();
    if (this.wantedMs !== null) this.wantedMs += (by * 1000) / Math.max(1, fps);
    else this.video.currentTime = Math.max(0, this.video.currentTime + by / Math.max(1, fps));
  }

  face(): RecordedFace {
    const mark = this.markNow();
    const atMs = this.wantedMs ?? (mark ? mark.fromMs + (this.video.currentTime - mark.atS) * 1000 : 0);
    // what is loaded may be played yet
    const ahead = this.trouble === "end" && this.endS() - this.video.currentTime > 0.2;
    return { atMs, playing: this.playing, trouble: ahead ? "" : this.trouble, why: this.why, segment: mark?.segment ?? null };
  }

  stop(): void {
    window.clearInterval(this.timer);
    this.run += 1;
    this.drop();
  }

  private markNow(): Mark | null {
    let found: Mark | null = null;
    for (const one of this.marks) if (one.atS <= this.video.currentTime + 0.02) found = one;
    return found;
  }

  private begin(ms: number): void {
    this.run += 1;
    this.drop();
    this.segments = [];
    this.listedToMs = ms;
    this.wantedMs = ms;
    this.trouble = "loading";
    this.why = null;
    this.waitUntil = 0;
    this.busy = false;
  }

  private drop(): void {
    this.marks = [];
    this.next = null;
    this.buffer = null;
    this.source = null;
    if (this.url) {
      this.video.removeAttribute("src");
      this.video.load();
      URL.revokeObjectURL(this.url);
      this.url = "";
    }
  }

  private async look(): Promise<void> {
    const run = this.run;
    if (this.busy || performance.now() < this.waitUntil) return;
    if (this.wantedMs === null && !this.source) return;
    if (this.trouble === "nothing" || this.trouble === "unplayable") return;
    this.busy = true;
    try {
      if (this.far()) await this.more(run);
    } catch (error) {
      if (run === this.run && !(error instanceof Unplayable)) {
        const { atMs } = this.face();
        const ours = error instanceof Problem;
        // what the browser could not take is begun anew, a few times
        if (!ours && (this.failures += 1) < FAILURES) this.begin(atMs);
        this.trouble = !ours && this.failures >= FAILURES ? "unplayable" : "failed";
        this.why = ours ? error : this.codec;
        // a refusal stands; what was lost is asked for again
        this.waitUntil = error instanceof Problem && error.status >= 400 && error.status < 500 ? Infinity : performance.now() + RETRY_MS;
      }
    } finally {
      if (run === this.run) this.busy = false;
    }
  }

  /** Whether so little lies ahead that more is wanted. */
  private far(): boolean {
    return this.endS() - this.video.currentTime < AHEAD_S * Math.max(1, this.rate);
  }

  private endS(): number {
    if (!this.source || this.source.readyState !== "open") return 0;
    const ranges = this.buffer?.buffered;
    return ranges?.length ? ranges.end(ranges.length - 1) : 0;
  }

  private async more(run: number): Promise<void> {
    if (!this.next) {
      const segment = await this.following(run);
      if (run !== this.run) return;
      if (!segment) return;
      this.next = { segment, byte: 0, endByte: segment.size_bytes };
    }
    const { segment, byte } = this.next;
    let { endByte } = this.next;
    let data = new Uint8Array(await this.piece(segment, byte));
    const read = data.byteLength;
    if (run !== this.run) return;
    if (byte === 0) ({ head: data, endByte } = opened(data.buffer, segment.size_bytes));
    if (byte + data.byteLength > endByte) data = data.subarray(0, endByte - byte);
    if (byte === 0) {
      await this.ready(data);
      if (run !== this.run || !this.buffer) return;
      this.marks.push({ atS: this.endS(), segment, fromMs: Date.parse(segment.from) });
    }
    await this.append(data);
    if (run !== this.run) return;
    this.failures = 0;
    this.next = byte + read < endByte ? { segment, byte: byte + read, endByte } : null;
    if (this.next === null) this.segments.shift();
    this.arrive(segment);
    await this.trim();
  }

  /** The segment that comes next; null: none, and why is told. */
  private async following(run: number): Promise<SegmentRow | null> {
    if (!this.segments.length) {
      const fromMs = this.listedToMs;
      // the whole rest at first, so that a long gap is passed in one question
      const toMs = this.bounds.toMs;
      if (fromMs >= toMs) return this.nothing();
      const where = { camera: this.camera, from_ms: Math.round(fromMs), to_ms: Math.round(Math.min(toMs, fromMs + LIST_MS)), limit: LIST_ROWS, purpose: this.purpose };
      let found = await get<Recordings>("/recordings", where);
      if (run === this.run && !found.segments.length && toMs > fromMs + LIST_MS) found = await get<Recordings>("/recordings", { ...where, to_ms: Math.round(toMs), limit: 5 });
      if (run !== this.run) return null;
      this.segments = found.segments;
      const last = found.segments[found.segments.length - 1];
      if (!last) return this.nothing();
      this.listedToMs = Date.parse(last.to);
    }
    return this.segments[0] ?? null;
  }

  private nothing(): null {
    this.trouble = this.marks.length ? "end" : "nothing";
    this.waitUntil = performance.now() + RETRY_MS;
    return null;
  }

  private async piece(segment: SegmentRow, byte: number): Promise<ArrayBuffer> {
    const query = { camera: this.camera, start: byte, length: PIECE_BYTES, purpose: this.purpose };
    const answer = await fetch(address(`/recordings/${encodeURIComponent(segment.recording)}/bytes`, query), { credentials: "same-origin", cache: "no-store" }).catch(() => {
      throw new Problem({ status: 0, code: UNREACHABLE });
    });
    if (!answer.ok) throw await problemOf(answer);
    return answer.arrayBuffer();
  }

  /** A media source for what begins with this head; another codec than before begins a new kind of data in it. */
  private async ready(head: Uint8Array): Promise<void> {
    const codec = codecOf(head);
    const type = `video/mp4; codecs="${codec}"`;
    this.codec = codec;
    if (!codec || !("MediaSource" in globalThis) || !MediaSource.isTypeSupported(type)) {
      this.trouble = "unplayable";
      this.why = codec;
      throw new Unplayable();
    }
    if (this.buffer) {
      this.buffer.changeType(type);
      this.buffer.mode = "sequence";
      return;
    }
    const source = new MediaSource();
    this.source = source;
    this.url = URL.createObjectURL(source);
    this.video.src = this.url;
    this.video.playbackRate = this.rate;
    await new Promise<void>((resolve) => source.addEventListener("sourceopen", () => resolve(), { once: true }));
    if (this.source !== source) return;
    this.buffer = source.addSourceBuffer(type);
    this.buffer.mode = "sequence";
  }

  private async append(data: Uint8Array<ArrayBuffer>): Promise<void> {
    const { buffer } = this;
    if (!buffer) return;
    await new Promise<void>((resolve, reject) => {
      buffer.addEventListener("updateend", () => resolve(), { once: true });
      buffer.addEventListener("error", () => reject(new Error("the browser cannot read the recording")), { once: true });
      try {
        buffer.appendBuffer(data);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /** Go to the moment that was asked for, as soon as it is there. */
  private arrive(segment: SegmentRow): void {
    if (this.wantedMs === null) {
      this.trouble = "";
      if (this.playing && this.video.paused) void this.video.play().catch(() => undefined);
      return;
    }
    const end = this.endS();
    const mark = this.marks[this.marks.length - 1];
    if (!mark) return;
    const at = mark.atS + Math.max(0, (this.wantedMs - mark.fromMs) / 1000);
    const whole = this.next === null || this.next.segment !== segment;
    if (end <= at && !whole) return;
    this.video.currentTime = Math.min(at, Math.max(mark.atS, end - 0.05));
    this.wantedMs = null;
    this.trouble = "";
    if (this.playing) void this.video.play().catch(() => undefined);
  }

  private async trim(): Promise<void> {
    const { buffer } = this;
    const before = this.video.currentTime - BEHIND_S;
    if (!buffer || buffer.updating || !buffer.buffered.length || buffer.buffered.start(0) > before - 10 || before < 1) return;
    await new Promise<void>((resolve) => {
      buffer.addEventListener("updateend", () => resolve(), { once: true });
      buffer.remove(0, before);
    });
    this.marks = this.marks.filter((_, i) => i + 1 === this.marks.length || (this.marks[i + 1]?.atS ?? 0) > before);
  }
}

class Unplayable extends Error {}
