// A camera's stream in a <video>: fragmented MP4 over a WebSocket into a media source, single pictures where the browser
// cannot play it, and the age of what is shown. A picture that is not live never looks as if it were.
// What the service sends is in console/live/streams.py.

import { address, newKey } from "../api/client";
import { nowMs } from "../state/time";

const STALE_MS = 5_000;
const OLD_MS = 10_000;
/** Farther behind the newest than this, in live: jump. */
const FAR_S = 1.5;
const NEAR_S = 0.3;
const KEEP_S = 45;
/** What comes at once at the beginning: forty seconds of what was before, at 25 pictures a second, and some. */
const MAX_WAITING = 1500;
const RETRY_MAX_MS = 10_000;
const FAILURES = 2;

export type Mode = "mp4" | "jpeg";
export type Trouble = "" | "connecting" | "lost" | "refused" | "busy" | "ended" | "unplayable";

export interface Face {
  mode: Mode;
  trouble: Trouble;
  why: string;
  /** When the picture on the screen was taken, by the service's clock; 0 none. */
  pictureMs: number;
  ageMs: number;
  stale: boolean;
  live: boolean;
  transcoded: boolean;
  jpeg: string;
}

interface Head {
  t: "init" | "media" | "told" | "refused" | "busy";
  codec?: string;
  transcoded?: boolean;
  time_ms?: number;
  what?: string;
  detail?: string;
  message?: string;
}

interface Piece {
  data: ArrayBuffer;
  codec: string;
  timeMs: number;
}

/** One media source; in `sequence` mode pieces follow each other whatever their own times are. */
class Buffer {
  broken = false;
  private over = false;
  private readonly waiting: Piece[] = [];
  private marks: [atS: number, timeMs: number][] = [];
  private buffer: SourceBuffer | null = null;
  private readonly source = new MediaSource();
  private readonly url: string;

  constructor(
    private readonly video: HTMLVideoElement,
    private codec: string,
    private readonly follows: () => boolean,
  ) {
    this.url = URL.createObjectURL(this.source);
    this.source.addEventListener("sourceopen", () => this.opened(), { once: true });
    video.src = this.url;
  }

  private opened(): void {
    if (this.over) return;
    try {
      this.buffer = this.source.addSourceBuffer(`video/mp4; codecs="${this.codec}"`);
      this.buffer.mode = "sequence";
    } catch {
      this.broken = true;
      return;
    }
    this.buffer.addEventListener("updateend", () => this.taken());
    this.buffer.addEventListener("error", () => {
      this.broken = true;
    });
    this.push();
  }

  add(piece: Piece): void {
    this.waiting.push(piece);
    if (this.waiting.length > MAX_WAITING) this.broken = true;
    this.push();
  }

  end(): number {
    const ranges = this.buffer?.buffered;
    return ranges?.length ? ranges.end(ranges.length - 1) : 0;
  }

  private push(): void {
    const piece = this.waiting[0];
    if (this.over || this.broken || !this.buffer || this.buffer.updating || !piece) return;
    try {
      if (piece.codec && piece.codec !== this.codec) {
        this.buffer.changeType(`video/mp4; codecs="${piece.codec}"`);
        this.buffer.mode = "sequence";
        this.codec = piece.codec;
      }
      const at = this.end();
      this.buffer.appendBuffer(piece.data);
      this.waiting.shift();
      if (piece.timeMs) this.marks.push([at, piece.timeMs]);
    } catch (error) {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      if (full && this.video.currentTime > 1) this.buffer.remove(0, this.video.currentTime - 0.5);
      else this.broken = true;
    }
  }

  private taken(): void {
    if (this.over || this.source.readyState !== "open" || !this.buffer) return;
    const end = this.end();
    const { video } = this;
    if (end && video.paused && !video.ended) void video.play().catch(() => undefined);
    if (this.follows() && end - video.currentTime > FAR_S) video.currentTime = end - NEAR_S;
    const old = video.currentTime - KEEP_S;
    if (old > 10 && !this.buffer.updating && this.buffer.buffered.length && this.buffer.buffered.start(0) < old - 10) {
      this.buffer.remove(0, old);
      this.marks = this.marks.filter((_, i) => i + 1 === this.marks.length || (this.marks[i + 1]?.[0] ?? 0) > old);
      return;
    }
    this.push();
  }

  toEnd(): void {
    const end = this.end();
    if (end) this.video.currentTime = Math.max(0, end - NEAR_S);
  }

  /** Never younger than it is: within a piece time goes on only as far as the next piece says. */
  pictureMs(): number {
    const at = this.video.currentTime + 0.05;
    const after = this.marks.findIndex((one) => one[0] > at);
    const found = this.marks[(after < 0 ? this.marks.length : after) - 1];
    if (!found || this.video.readyState < 2) return 0;
    const next = after < 0 ? undefined : this.marks[after];
    const then = found[1] + (this.video.currentTime - found[0]) * 1000;
    return next ? Math.min(then, next[1]) : found[1];
  }

  drop(): void {
    this.over = true;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }
}

export class Player {
  private mode: Mode = "mp4";
  private trouble: Trouble = "connecting";
  private why = "";
  private socket: WebSocket | null = null;
  private buffer: Buffer | null = null;
  private timer = 0;
  private failures = 0;
  private pauseMs = 500;
  private dataAt = 0;
  private transcoded = false;
  private live: boolean;
  private jpeg = "";
  private jpegTimer = 0;
  private over = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly camera: string,
    private readonly purpose: string,
    private readonly fromMs: number | null,
  ) {
    this.live = fromMs === null;
    if ("MediaSource" in globalThis && "WebSocket" in globalThis) this.connect();
    else this.toStills();
  }

  private where(end: string, query: Record<string, string | number | null>): string {
    const camera = this.camera.split("/").map(encodeURIComponent).join("/");
    return address(`/cameras/${camera}/${end}`, { purpose: this.purpose, ...query });
  }

  private connect(): void {
    window.clearTimeout(this.timer);
    if (this.over || this.mode !== "mp4") return;
    let head: Head = { t: "told" };
    let pieces = 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.where("live", { from_ms: this.live ? null : this.fromMs })}`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (this.socket !== socket) return;
      if (typeof event.data === "string") {
        head = JSON.parse(event.data) as Head;
        this.told(head);
        return;
      }
      if (head.t === "init") {
        if (!this.buffer || this.buffer.broken) {
          this.buffer?.drop();
          this.buffer = new Buffer(this.video, head.codec ?? "", () => this.live);
        }
        this.transcoded = !!head.transcoded;
        this.buffer.add({ data: event.data, codec: head.codec ?? "", timeMs: 0 });
        return;
      }
      pieces += 1;
      this.failures = 0;
      this.pauseMs = 500;
      this.dataAt = performance.now();
      this.trouble = "";
      this.buffer?.add({ data: event.data, codec: "", timeMs: head.time_ms ?? 0 });
      if (this.buffer?.broken) {
        this.failures = FAILURES;
        socket.close();
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.buffer?.drop();
      this.buffer = null;
      if (this.over || this.mode !== "mp4" || this.trouble === "refused") return;
      if (!pieces) this.failures += 1;
      if (this.failures >= FAILURES) {
        this.toStills();
        return;
      }
      if (this.trouble !== "busy") this.trouble = "lost";
      this.live = true; // what was before the alarm has been shown, or is in its clip
      this.timer = window.setTimeout(() => this.connect(), this.pauseMs);
      this.pauseMs = Math.min(this.pauseMs * 2, RETRY_MAX_MS);
    };
  }

  private told(head: Head): void {
    if (head.t === "init" && !MediaSource.isTypeSupported(`video/mp4; codecs="${head.codec ?? ""}"`)) {
      this.why = head.codec ?? "";
      this.toStills();
    } else if (head.t === "refused") {
      this.trouble = "refused";
      this.why = head.message ?? "";
    } else if (head.t === "busy") {
      this.trouble = "busy";
      this.why = head.message ?? "";
    } else if (head.t === "told" && head.what === "ended") {
      this.trouble = "ended";
      this.why = head.detail ?? "";
    }
  }

  /** Single pictures, one after the other. */
  private toStills(): void {
    this.mode = "jpeg";
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.buffer?.drop();
    this.buffer = null;
    this.trouble = "connecting";
    this.stills();
  }

  private stills(): void {
    if (this.over) return;
    this.jpeg = this.where("mjpeg", { tag: newKey().slice(0, 16) });
  }

  jpegLoaded(): void {
    this.trouble = "";
    this.dataAt = performance.now();
  }

  jpegFailed(): void {
    this.trouble = "lost";
    this.jpeg = "";
    window.clearTimeout(this.jpegTimer);
    this.jpegTimer = window.setTimeout(() => this.stills(), this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, RETRY_MAX_MS);
  }

  toLive(): void {
    this.live = true;
    this.buffer?.toEnd();
  }

  face(): Face {
    const pictureMs = this.buffer?.pictureMs() ?? 0;
    const ageMs = pictureMs ? Math.max(0, nowMs() - pictureMs) : 0;
    const quiet = performance.now() - this.dataAt > STALE_MS;
    const stale = pictureMs > 0 && this.mode === "mp4" && (quiet || (this.live && ageMs > OLD_MS));
    if (this.buffer?.broken) this.socket?.close();
    return {
      mode: this.mode,
      trouble: this.trouble,
      why: this.why,
      pictureMs,
      ageMs,
      stale,
      live: this.live || (pictureMs > 0 && ageMs < 3000),
      transcoded: this.transcoded,
      jpeg: this.jpeg,
    };
  }

  stop(): void {
    this.over = true;
    window.clearTimeout(this.timer);
    window.clearTimeout(this.jpegTimer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.buffer?.drop();
    this.buffer = null;
  }
}
