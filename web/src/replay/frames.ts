// Frames of a whole fleet, read ahead of the clock page by page. Pure but for the reader it is given.
// Invariants: between two frames a place is straight on, as the service told it on both sides; who is not in a frame has no place then;
// as many places are held at most as is said; a page is asked for once.

import { Bit, type Place } from "../state/fleet";

export interface FrameRow {
  time: string;
  device: number[];
  lat: number[];
  lon: number[];
  interpolated: number[];
  age_s: number[];
  speed_kmh: number[];
  heading_deg: number[];
  occupied: number[];
}

export interface FramesPage {
  replay: string;
  step_ms: number;
  devices: string[];
  frames: FrameRow[];
  next: number | null;
}

export type ReadFrames = (atMs: number, stepMs: number, frames: number) => Promise<FramesPage>;

interface Frame {
  atMs: number;
  device: string[];
  row: FrameRow;
  /** Row of a device, made when it is first needed. */
  rows: Map<string, number> | null;
}

const SLOW_STEP_MS = 5_000;
const FAST_STEP_MS = 20_000;
const FAST_RATE = 8;
/** Places in one page: more would hold the page up while it is read. */
const PAGE_PLACES = 50_000;
const MOST_PAGE_FRAMES = 60;
const HELD_PLACES = 1_500_000;
/** Read on when less than that is left, in wall time. */
const AHEAD_MS = 6_000;

export function stepOf(rate: number): number {
  return rate > FAST_RATE ? FAST_STEP_MS : SLOW_STEP_MS;
}

export class Frames {
  private held: Frame[] = [];
  private stepMs = SLOW_STEP_MS;
  private reading = -1;
  failed: unknown = null;

  constructor(
    private readonly read: ReadFrames,
    private readonly fromMs: number,
    private readonly toMs: number,
    readonly vehicles: number,
  ) {}

  private gridOf(atMs: number): number {
    return this.fromMs + Math.floor((Math.max(atMs, this.fromMs) - this.fromMs) / this.stepMs) * this.stepMs;
  }

  private indexAt(atMs: number): number {
    let [low, high] = [0, this.held.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.held[middle] as Frame).atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Whether that moment can be shown. */
  has(atMs: number): boolean {
    const frame = this.held[this.indexAt(atMs)];
    return frame !== undefined && atMs - frame.atMs < this.stepMs;
  }

  /** Read what is needed for that moment and a while after it; resolves when a page came, or at once where nothing is needed. */
  async want(atMs: number, rate: number): Promise<void> {
    const step = stepOf(rate);
    if (step !== this.stepMs) {
      this.stepMs = step;
      this.held = [];
    }
    let from = this.gridOf(Math.min(atMs, this.toMs - 1));
    const until = Math.min(this.toMs - 1, atMs + Math.max(this.stepMs * 2, AHEAD_MS * rate));
    while (from <= until && this.has(from)) from += this.stepMs;
    if (from > until || from >= this.toMs || this.reading === from || this.failed !== null) return;
    this.reading = from;
    try {
      const count = Math.min(MOST_PAGE_FRAMES, Math.max(2, Math.floor(PAGE_PLACES / Math.max(1, this.vehicles))));
      const page = await this.read(from, this.stepMs, count);
      if (page.step_ms === this.stepMs) this.take(page, atMs);
    } catch (error) {
      this.failed = error;
    } finally {
      if (this.reading === from) this.reading = -1;
    }
  }

  private take(page: FramesPage, atMs: number): void {
    const fresh = page.frames.map((row) => ({ atMs: Date.parse(row.time), device: row.device.map((i) => page.devices[i] ?? ""), row, rows: null }));
    const known = new Set(fresh.map((one) => one.atMs));
    this.held = [...this.held.filter((one) => !known.has(one.atMs)), ...fresh].sort((a, b) => a.atMs - b.atMs);
    let places = this.held.reduce((sum, one) => sum + one.device.length, 0);
    while (places > HELD_PLACES && this.held.length > 2) {
      // what is farthest from the clock goes
      const [first, last] = [this.held[0] as Frame, this.held[this.held.length - 1] as Frame];
      const gone = atMs - first.atMs > last.atMs - atMs ? this.held.shift() : this.held.pop();
      places -= gone?.device.length ?? 0;
    }
  }

  /** Where everybody is at that moment; null where it is not read yet. */
  at(atMs: number): Place[] | null {
    const i = this.indexAt(atMs);
    const here = this.held[i];
    if (!here || atMs - here.atMs >= this.stepMs) return null;
    const next = this.held[i + 1];
    const share = next && next.atMs - here.atMs <= this.stepMs ? (atMs - here.atMs) / (next.atMs - here.atMs) : 0;
    if (next && share && !next.rows) next.rows = new Map(next.device.map((device, row) => [device, row]));
    const { row } = here;
    return here.device.map((device, k) => {
      const to = share ? next?.rows?.get(device) : undefined;
      const [lat, lon] = [row.lat[k] ?? 0, row.lon[k] ?? 0];
      const told = (value: number | undefined): number | null => (value === undefined || value < 0 ? null : value);
      const occupied = row.occupied[k] ?? -1;
      return {
        device,
        lat: to === undefined || !next ? lat : lat + ((next.row.lat[to] ?? lat) - lat) * share,
        lon: to === undefined || !next ? lon : lon + ((next.row.lon[to] ?? lon) - lon) * share,
        headingDeg: told(row.heading_deg[k]),
        speedKmh: told(row.speed_kmh[k]),
        fixMs: here.atMs - (row.age_s[k] ?? 0) * 1000,
        bits: occupied < 0 ? 0 : Bit.occupiedSent | (occupied ? Bit.occupied : 0),
        accM: null,
      };
    });
  }
}
