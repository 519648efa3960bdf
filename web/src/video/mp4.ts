// What a browser wants to know of a recording before it plays it: the codec, out of the file's head. Pure.

/** Of a recording the beginning as a player of fragments takes it, and where its fragments end (bytes from the file's beginning). */
export interface Opened {
  head: Uint8Array<ArrayBuffer>;
  endByte: number;
}

const HIDDEN_BYTES = 16;

/**
 * A closed recording is a plain MP4 whose fragments lie hidden in its `mdat`, behind sixteen bytes, with an index behind them
 * (ingest/video/muxing.py). In a copy the sixteen bytes become a box of nothing; the index is not for who plays fragments.
 */
export function opened(first: ArrayBuffer, sizeBytes: number): Opened {
  const head = new Uint8Array(first.slice(0));
  const view = new DataView(head.buffer);
  const word = (at: number): string => String.fromCharCode(...head.subarray(at, at + 4));
  if (head.length < 8 || word(4) !== "ftyp") return { head, endByte: sizeBytes };
  const at = view.getUint32(0);
  if (at + HIDDEN_BYTES + 8 > head.length || word(at + 4) !== "mdat" || word(at + HIDDEN_BYTES + 4) !== "moov") return { head, endByte: sizeBytes };
  const short = view.getUint32(at);
  const length = short === 1 ? Number(view.getBigUint64(at + 8)) : short;
  view.setUint32(at, HIDDEN_BYTES);
  head.set([0x66, 0x72, 0x65, 0x65, 0, 0, 0, 0, 0, 0, 0, 0], at + 4);
  return { head, endByte: length ? Math.min(sizeBytes, at + length) : sizeBytes };
}

const HEAD_BYTES = 65_536;

const hex = (value: number): string => value.toString(16).padStart(2, "0");

function find(bytes: Uint8Array, name: string): number {
  const [a, b, c, d] = [...name].map((one) => one.charCodeAt(0));
  const end = Math.min(bytes.length, HEAD_BYTES) - 12;
  for (let i = 4; i < end; i += 1) if (bytes[i] === a && bytes[i + 1] === b && bytes[i + 2] === c && bytes[i + 3] === d) return i + 4;
  return -1;
}

/** The codec as `codecs=` names it (RFC 6381): H.264 by its avcC, H.265 in general; "" where there is neither. */
export function codecOf(head: Uint8Array): string {
  const avc = find(head, "avcC");
  if (avc > 0) return `avc1.${hex(head[avc + 1] ?? 0)}${hex(head[avc + 2] ?? 0)}${hex(head[avc + 3] ?? 0)}`;
  if (find(head, "hvcC") > 0) return "hvc1.1.6.L120.B0";
  return "";
}
