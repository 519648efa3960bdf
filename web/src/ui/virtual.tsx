// A list of rows of one height of which only those in sight are in the document: ten thousand cost as much as thirty.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const OVERSCAN = 6;

export function Virtual<T>(props: {
  items: readonly T[];
  rowPx: number;
  label: string;
  id: string;
  keyOf: (item: T) => string;
  render: (item: T, index: number) => ComponentChildren;
  /** Key of the row that must be in sight. */
  selected: string;
  onVisible?: (items: readonly T[]) => void;
  empty: ComponentChildren;
}) {
  const { items, rowPx } = props;
  const box = useRef<HTMLDivElement>(null);
  const [from, setFrom] = useState(0);
  const [heightPx, setHeight] = useState(600);
  const first = Math.max(0, Math.min(from, items.length) - OVERSCAN);
  const last = Math.min(items.length, from + Math.ceil(heightPx / rowPx) + OVERSCAN);

  useEffect(() => {
    const at = box.current;
    if (!at) return undefined;
    const seen = new ResizeObserver(() => setHeight(at.clientHeight || 600));
    seen.observe(at);
    return () => seen.disconnect();
  }, []);

  // Whoever was chosen stays in sight when it is chosen, not when rows come in above it.
  useLayoutEffect(() => {
    const at = box.current;
    const index = items.findIndex((item) => props.keyOf(item) === props.selected);
    if (!at || index < 0) return;
    const [top, bottom] = [index * rowPx, (index + 1) * rowPx];
    if (top < at.scrollTop) at.scrollTop = top;
    else if (bottom > at.scrollTop + at.clientHeight) at.scrollTop = bottom - at.clientHeight;
  }, [props.selected]);

  const { onVisible } = props;
  useEffect(() => {
    if (!onVisible || document.hidden) return;
    const start = Math.floor((box.current?.scrollTop ?? 0) / rowPx);
    onVisible(items.slice(start, start + Math.ceil(heightPx / rowPx)));
  }, [items, from, heightPx]);

  const slice = items.slice(first, last);
  const selected = slice.findIndex((item) => props.keyOf(item) === props.selected);
  return (
    <div
      ref={box}
      class="virtual"
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      {...(selected >= 0 ? { "aria-activedescendant": `${props.id}-${first + selected}` } : {})}
      onScroll={(event) => setFrom(Math.floor(event.currentTarget.scrollTop / rowPx))}
    >
      {items.length === 0 && <div class="empty">{props.empty}</div>}
      <div role="presentation" class="virtual-space" style={{ height: `${items.length * rowPx}px` }}>
        {slice.map((item, i) => (
          <div
            key={props.keyOf(item)}
            id={`${props.id}-${first + i}`}
            role="option"
            class="virtual-row"
            aria-selected={props.keyOf(item) === props.selected}
            aria-posinset={first + i + 1}
            aria-setsize={items.length}
            style={{ transform: `translateY(${(first + i) * rowPx}px)`, height: `${rowPx}px` }}
          >
            {props.render(item, first + i)}
          </div>
        ))}
      </div>
    </div>
  );
}
