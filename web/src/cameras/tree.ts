// The tree as it is known so far: levels are asked for page by page, when they come into sight. Pure; whoever uses it asks.

import type { CameraItem, TreeAnswer, TreeItem } from "./types";

export const PAGE_ROWS = 200;
/** What is loaded of one level at most; beyond that the pages farthest away are forgotten. */
const MOST_PAGES = 50;

export interface Row {
  key: string;
  depth: number;
  /** The level that it stands in, and where. */
  node: string;
  index: number;
  /** null: not loaded yet. */
  item: TreeItem | null;
}

interface Level {
  total: number;
  pages: Map<number, TreeItem[]>;
}

export const keyOf = (item: TreeItem): string => (item.kind === "camera" ? item.camera : item.node);
export const isCamera = (item: TreeItem | null): item is CameraItem => item?.kind === "camera";

export class Tree {
  private readonly levels = new Map<string, Level>();
  private readonly open = new Set<string>();
  private made: Row[] | null = null;

  /** Put an answer in. */
  take(answer: Pick<TreeAnswer, "node" | "total" | "offset" | "items">): void {
    let level = this.levels.get(answer.node);
    if (!level || level.total !== answer.total) {
      level = { total: answer.total, pages: new Map() };
      this.levels.set(answer.node, level);
    }
    const page = Math.floor(answer.offset / PAGE_ROWS);
    level.pages.delete(page);
    level.pages.set(page, answer.items);
    for (const old of level.pages.keys()) {
      if (level.pages.size <= MOST_PAGES) break;
      level.pages.delete(old);
    }
    this.made = null;
  }

  isOpen(node: string): boolean {
    return this.open.has(node);
  }

  /** Open or close a node; true when its first page has to be asked for. */
  toggle(node: string, open = !this.open.has(node)): boolean {
    if (open) this.open.add(node);
    else this.open.delete(node);
    this.made = null;
    return open && !this.levels.has(node);
  }

  knows(node: string): boolean {
    return this.levels.has(node);
  }

  /** All rows of what is open, those that are not loaded yet as gaps. */
  rows(): readonly Row[] {
    if (!this.made) {
      this.made = [];
      this.add("", 0, this.made);
    }
    return this.made;
  }

  private add(node: string, depth: number, rows: Row[]): void {
    const level = this.levels.get(node);
    if (!level) return;
    for (let index = 0; index < level.total; index += 1) {
      const item = level.pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS] ?? null;
      rows.push({ key: item ? keyOf(item) : `${node}#${index}`, depth, node, index, item });
      if (item && item.kind !== "camera" && this.open.has(item.node)) {
        if (this.levels.has(item.node)) this.add(item.node, depth + 1, rows);
        else rows.push({ key: `${item.node}#0`, depth: depth + 1, node: item.node, index: 0, item: null });
      }
    }
  }

  /** The pages that rows `from` to `end` need: those that are missing, or with `all` every one. */
  wanted(from: number, end: number, all = false): { node: string; page: number }[] {
    const found = new Map<string, { node: string; page: number }>();
    for (const row of this.rows().slice(Math.max(0, from), end)) {
      if (row.item && !all) continue;
      const page = Math.floor(row.index / PAGE_ROWS);
      found.set(`${row.node}#${page}`, { node: row.node, page });
    }
    return [...found.values()];
  }

  /** Cameras that are loaded below a node, the first `most` of them. */
  cameras(node: string, most: number): CameraItem[] {
    const found: CameraItem[] = [];
    for (const row of this.rows()) if (row.node === node && isCamera(row.item) && found.length < most) found.push(row.item);
    return found;
  }
}

/** Where a press leads from row `at`: the row to go to, and whether something is opened or closed. */
export function step(rows: readonly Row[], at: number, key: string, isOpen: (node: string) => boolean): { to: number; toggle?: string } {
  const row = rows[at];
  const last = rows.length - 1;
  const group = row?.item && row.item.kind !== "camera" ? row.item.node : "";
  switch (key) {
    case "ArrowDown":
      return { to: Math.min(last, at + 1) };
    case "ArrowUp":
      return { to: Math.max(0, at - 1) };
    case "PageDown":
      return { to: Math.min(last, at + 15) };
    case "PageUp":
      return { to: Math.max(0, at - 15) };
    case "Home":
      return { to: 0 };
    case "End":
      return { to: last };
    case "ArrowRight":
      if (group && !isOpen(group)) return { to: at, toggle: group };
      return { to: group ? Math.min(last, at + 1) : at };
    case "ArrowLeft": {
      if (group && isOpen(group)) return { to: at, toggle: group };
      for (let up = at - 1; up >= 0; up -= 1) if ((rows[up]?.depth ?? 0) < (row?.depth ?? 0)) return { to: up };
      return { to: at };
    }
    default:
      return { to: at };
  }
}
