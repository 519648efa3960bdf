// The icon as a picture of any size, drawn from the same lines as src/styles/icon.svg: phones want PNG for the home screen.

import { deflateSync } from "node:zlib";

type Point = readonly [number, number];
type Colour = readonly [number, number, number];

/** The icon's own size; lines are in its units. */
const SIDE = 32;
const GROUND: Colour = [0x0f, 0x6f, 0x72];
const WHITE: Colour = [0xff, 0xff, 0xff];
const GREEN: Colour = [0x7f, 0xf0, 0xd5];
const ROUND = 7;

function curve(from: Point, one: Point, two: Point, to: Point): Point[] {
  return Array.from({ length: 16 }, (_, i) => {
    const [b, a] = [(i + 1) / 16, 1 - (i + 1) / 16];
    const at = (k: 0 | 1): number => a ** 3 * from[k] + 3 * a * a * b * one[k] + 3 * a * b * b * two[k] + b ** 3 * to[k];
    return [at(0), at(1)];
  });
}

const SHIELD: Point[] = [
  [16, 5],
  [26, 9],
  [26, 16],
  ...curve([26, 16], [26, 22], [21.8, 25.6], [16, 27.5]),
  ...curve([16, 27.5], [10.2, 25.6], [6, 22], [6, 16]),
  [6, 9],
  [16, 5],
];
const TICK: Point[] = [
  [11, 16.5],
  [14.5, 20],
  [21.5, 12],
];

function farFrom(line: readonly Point[], x: number, y: number): number {
  let least = Infinity;
  for (let i = 1; i < line.length; i += 1) {
    const [ax, ay] = line[i - 1] as Point;
    const [bx, by] = line[i] as Point;
    const [dx, dy] = [bx - ax, by - ay];
    const t = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)));
    least = Math.min(least, Math.hypot(x - ax - t * dx, y - ay - t * dy));
  }
  return least;
}

function mixed(under: Colour, over: Colour, share: number): Colour {
  return under.map((value, k) => value + ((over[k] ?? 0) - value) * share) as unknown as Colour;
}

/** RGBA of the icon; `whole`: the ground fills the square, for systems that cut their own shape. */
function drawn(size: number, whole: boolean): Buffer {
  const scale = size / SIDE;
  // Within the square of systems that cut it, the middle 80 % is safe.
  const zoom = whole ? 0.8 : 1;
  const edge = (far: number, half: number): number => Math.max(0, Math.min(1, (half - far) * scale + 0.5));
  const pixels = Buffer.alloc(size * size * 4);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      const [px, py] = [(column + 0.5) / scale, (row + 0.5) / scale];
      const [x, y] = [(px - 16) / zoom + 16, (py - 16) / zoom + 16];
      const corner = Math.hypot(Math.max(Math.abs(px - 16) - (16 - ROUND), 0), Math.max(Math.abs(py - 16) - (16 - ROUND), 0));
      let colour = mixed(GROUND, WHITE, edge(farFrom(SHIELD, x, y), 1.1));
      colour = mixed(colour, GREEN, edge(farFrom(TICK, x, y), 1.3));
      const at = (row * size + column) * 4;
      for (let k = 0; k < 3; k += 1) pixels[at + k] = Math.round(colour[k] ?? 0);
      pixels[at + 3] = whole ? 255 : Math.round(255 * edge(corner, ROUND));
    }
  }
  return pixels;
}

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function chunk(kind: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(kind, "latin1"), body]);
  let crc = 0xffffffff;
  for (const byte of named) crc = (CRC[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(body.length, 0);
  ends.writeUInt32BE((crc ^ 0xffffffff) >>> 0, 4);
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
}

export function iconPng(size: number, whole: boolean): Buffer {
  const pixels = drawn(size, whole);
  const rows = Buffer.alloc(size * (size * 4 + 1));
  for (let row = 0; row < size; row += 1) pixels.copy(rows, row * (size * 4 + 1) + 1, row * size * 4, (row + 1) * size * 4);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  head.set([8, 6, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}
