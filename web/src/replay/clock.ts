// The replay's clock: true to time at every rate, whatever the frames do. Pure but for the time it is given.
// Invariant: after playing for w ms of the wall at rate r it has moved by w·r, however many frames there were.

export const RATES = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64] as const;
export type Rate = (typeof RATES)[number];

export class ReplayClock {
  private anchorMs: number;
  private anchorWall = 0;
  playing = false;
  rate: Rate = 1;

  constructor(
    private fromMs: number,
    private toMs: number,
  ) {
    this.anchorMs = fromMs;
  }

  range(fromMs: number, toMs: number): void {
    this.fromMs = fromMs;
    this.toMs = toMs;
    this.anchorMs = Math.min(Math.max(this.anchorMs, fromMs), toMs);
  }

  at(wallMs: number): number {
    const moved = this.playing ? this.anchorMs + (wallMs - this.anchorWall) * this.rate : this.anchorMs;
    return Math.min(Math.max(moved, this.fromMs), this.toMs);
  }

  private anchor(wallMs: number): void {
    this.anchorMs = this.at(wallMs);
    this.anchorWall = wallMs;
  }

  play(wallMs: number): void {
    if (this.at(wallMs) >= this.toMs) this.anchorMs = this.fromMs;
    else this.anchor(wallMs);
    this.anchorWall = wallMs;
    this.playing = true;
  }

  pause(wallMs: number): void {
    this.anchor(wallMs);
    this.playing = false;
  }

  seek(toMs: number, wallMs: number): void {
    this.anchorMs = Math.min(Math.max(toMs, this.fromMs), this.toMs);
    this.anchorWall = wallMs;
  }

  setRate(rate: Rate, wallMs: number): void {
    this.anchor(wallMs);
    this.rate = rate;
  }

  /** The rate by one step faster or slower. */
  step(by: 1 | -1, wallMs: number): void {
    const at = RATES.indexOf(this.rate);
    this.setRate(RATES[Math.min(Math.max(at + by, 0), RATES.length - 1)] ?? 1, wallMs);
  }
}
