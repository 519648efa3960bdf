// The first page of a list, where what is newest is all that is shown.

import { get, type Ask, type Value } from "./client";
import type { Page } from "./types";

export async function first<T>(where: string, query: Record<string, Value> = {}, ask: Ask = {}): Promise<T[]> {
  const found = await get<Page<T> | T[]>(where, query, ask);
  return Array.isArray(found) ? found : found.items;
}
