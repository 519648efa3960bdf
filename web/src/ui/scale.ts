// The scales of plots: where lines stand and which labels fit. Pure.

/** Evenly spaced round values from 0 to at least `most`, about `count` of them. */
export function ticks(most: number, count = 4): number[] {
  if (!(most > 0) || !Number.isFinite(most)) return [0, 1];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? power * 10;
  const made: number[] = [];
  for (let n = 0; ; n += 1) {
    const at = Number((n * step).toPrecision(12));
    made.push(at);
    if (at >= most) return made;
  }
}

/** Which of `count` labels are written, so that at most `room` are: the first, and every n-th after it. */
export function labelled(count: number, room: number): number[] {
  if (count <= 0) return [];
  const every = Math.max(1, Math.ceil(count / Math.max(1, room)));
  return Array.from({ length: Math.ceil(count / every) }, (_, n) => n * every);
}

/** The points of a line with its gaps: pieces of `x,y` pairs; a lone point is a piece of its own. */
export function pieces(values: readonly (number | null)[], x: (i: number) => number, y: (value: number) => number): string[] {
  const made: string[] = [];
  let piece: string[] = [];
  for (const [i, value] of values.entries()) {
    if (value === null) {
      if (piece.length) made.push(piece.join(" "));
      piece = [];
    } else piece.push(`${x(i).toFixed(1)},${y(value).toFixed(1)}`);
  }
  if (piece.length) made.push(piece.join(" "));
  return made;
}

/** A number as short as it can be told. */
export function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

/** Bytes in the unit that says them best. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at ? value.toFixed(value < 10 ? 1 : 0) : value} ${units[at]}`;
}
