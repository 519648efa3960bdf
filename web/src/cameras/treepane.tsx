// The tree: one level at a time, only what is in sight in the document, states anew every few seconds.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { t } from "../text";
import { Icon } from "../ui/marks";
import { Failure, say } from "../ui/notices";
import { Counts, StateMark } from "./marks";
import { isCamera, PAGE_ROWS, step, Tree, type Row } from "./tree";
import { STATES, type CameraItem, type TreeAnswer } from "./types";
import { putOnWall } from "./why";

const ROW_PX = 34;
const OVERSCAN = 8;
const AGAIN_MS = 10_000;
const TYPING_MS = 250;
const NODE_TO_WALL = 16;

export function TreePane(props: { chosen: string; onChoose: (camera: CameraItem) => void; wall: boolean }) {
  const [search, setSearch] = useState("");
  const [state, setState] = useState("");
  const [asked, setAsked] = useState({ search: "", state: "" });
  useEffect(() => {
    const timer = setTimeout(() => setAsked({ search: search.trim(), state }), search ? TYPING_MS : 0);
    return () => clearTimeout(timer);
  }, [search, state]);
  return (
    <section class="cam-side" aria-label={t("cameras.tree")}>
      <form class="cam-find" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          <span class="visually-hidden">{t("cameras.search")}</span>
          <input type="search" name="search" value={search} maxLength={64} placeholder={t("cameras.search")} data-camera-search onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <label>
          <span class="visually-hidden">{t("cameras.state")}</span>
          <select name="state" value={state} onChange={(event) => setState(event.currentTarget.value)}>
            <option value="">{t("cameras.anyState")}</option>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {t(`camState.${one}`)}
              </option>
            ))}
          </select>
        </label>
      </form>
      <Rows key={`${asked.search}|${asked.state}`} {...asked} {...props} />
    </section>
  );
}

function Rows(props: { search: string; state: string; chosen: string; onChoose: (camera: CameraItem) => void; wall: boolean }) {
  const tree = useRef(new Tree()).current;
  const box = useRef<HTMLDivElement>(null);
  const [, draw] = useState(0);
  const [first, setFirst] = useState(0);
  const [heightPx, setHeight] = useState(400);
  const [at, setAt] = useState(0);
  const [answer, setAnswer] = useState<TreeAnswer | null>(null);
  const [error, setError] = useState<unknown>(null);
  const busy = useRef(new Set<string>());
  const alive = useRef(true);
  const flat = !!(props.search || props.state);

  async function ask(node: string, page: number, anew = false): Promise<void> {
    const key = `${node}#${page}`;
    if (busy.current.has(key)) return;
    busy.current.add(key);
    try {
      const query = { node, search: props.search, state: props.state, offset: page * PAGE_ROWS, limit: PAGE_ROWS };
      const found = await get<TreeAnswer>("/tree/cameras", query);
      if (!alive.current) return;
      tree.take(found);
      if (node === "") {
        setAnswer(found);
        // a top with one jurisdiction is no choice
        const only = found.items[0];
        if (!anew && !flat && found.total === 1 && only && only.kind !== "camera" && tree.toggle(only.node, true)) void ask(only.node, 0);
      }
      setError(null);
      draw((n) => n + 1);
    } catch (problem) {
      if (alive.current && !anew) setError(problem);
    } finally {
      busy.current.delete(key);
    }
  }

  const rows = tree.rows();
  const from = Math.max(0, first - OVERSCAN);
  const end = Math.min(rows.length, first + Math.ceil(heightPx / ROW_PX) + OVERSCAN);
  const current = Math.min(at, Math.max(0, rows.length - 1));

  /** Open what the camera that is looked at belongs to, and go there. */
  async function reveal(camera: string): Promise<void> {
    try {
      const found = await get<TreeAnswer>("/tree/cameras", { search: camera, limit: 10 });
      const path = found.items.find((one): one is CameraItem => isCamera(one) && one.camera === camera)?.where ?? [];
      for (const { node } of path) if (tree.toggle(node, true)) await ask(node, 0);
      const to = tree.rows().findIndex((row) => row.key === camera);
      if (to >= 0 && alive.current) go(to);
    } catch {
      // the tree says by itself what is wrong
    }
  }
  useEffect(() => {
    alive.current = true;
    void ask("", 0).then(() => {
      if (!flat && props.chosen.startsWith("camera/")) void reveal(props.chosen);
    });
    const seen = new ResizeObserver(() => setHeight(box.current?.clientHeight || 400));
    if (box.current) seen.observe(box.current);
    return () => {
      alive.current = false;
      seen.disconnect();
    };
  }, []);
  useEffect(() => {
    for (const one of tree.wanted(from, end)) void ask(one.node, one.page);
  });
  const sight = useRef({ from, end });
  sight.current = { from, end };
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.hidden) return;
      const again = tree.wanted(sight.current.from, sight.current.end, true);
      if (!again.some((one) => one.node === "" && one.page === 0)) again.push({ node: "", page: 0 });
      for (const one of again) void ask(one.node, one.page, true);
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);

  function toggle(node: string): void {
    if (tree.toggle(node)) void ask(node, 0);
    draw((n) => n + 1);
  }

  function go(to: number): void {
    setAt(to);
    const view = box.current;
    if (!view) return;
    const [top, bottom] = [to * ROW_PX, (to + 1) * ROW_PX];
    if (top < view.scrollTop) view.scrollTop = top;
    else if (bottom > view.scrollTop + view.clientHeight) view.scrollTop = bottom - view.clientHeight;
  }

  function pick(row: Row): void {
    if (isCamera(row.item)) props.onChoose(row.item);
    else if (row.item) toggle(row.item.node);
  }

  async function toWall(row: Row | undefined): Promise<void> {
    if (!props.wall || !row?.item) return;
    let cameras: CameraItem[] = [];
    if (isCamera(row.item)) cameras = [row.item];
    else {
      try {
        // those that have a picture
        for (const state of ["online", "degraded"]) {
          const found = await get<TreeAnswer>("/tree/cameras", { node: row.item.node, state, limit: NODE_TO_WALL });
          cameras = [...cameras, ...found.items.filter(isCamera)].slice(0, NODE_TO_WALL);
        }
      } catch (problem) {
        setError(problem);
        return;
      }
    }
    const left = putOnWall(cameras.map((one) => ({ camera: one.camera, name: one.name || one.camera })));
    if (left) say("warn", t("wall.full", { n: left }));
    else say("good", t("wall.added", { n: cameras.length }));
  }

  function press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      const row = rows[current];
      if (row) pick(row);
    } else if (event.key === "w") void toWall(rows[current]);
    else {
      const found = step(rows, current, event.key, (node) => tree.isOpen(node));
      if (found.toggle) toggle(found.toggle);
      else if (found.to === current) return;
      go(found.to);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <>
      <p class="cam-sum" role="status">
        {answer && (flat ? t("cameras.found", { n: answer.total }) : t("cameras.all", { n: answer.cameras }))}
        {answer && !flat && <Counts states={answer.states} online />}
      </p>
      {error !== null && <Failure error={error} again={() => void ask("", 0)} />}
      <div
        ref={box}
        class="virtual cam-tree"
        role="tree"
        tabIndex={0}
        aria-label={t("cameras.tree")}
        aria-activedescendant={rows.length ? `cam-row-${current}` : undefined}
        onScroll={(event) => setFirst(Math.floor(event.currentTarget.scrollTop / ROW_PX))}
        onKeyDown={press}
        data-rows={rows.length}
      >
        {answer && rows.length === 0 && <p class="empty">{t(flat ? "cameras.noneFound" : "cameras.none")}</p>}
        <div role="presentation" class="virtual-space" style={{ height: `${rows.length * ROW_PX}px` }}>
          {rows.slice(from, end).map((row, i) => (
            <TreeRow
              key={row.key}
              row={row}
              number={from + i}
              current={from + i === current}
              chosen={isCamera(row.item) && row.item.camera === props.chosen}
              open={row.item !== null && row.item.kind !== "camera" && tree.isOpen(row.item.node)}
              wall={props.wall}
              onPick={() => {
                setAt(from + i);
                pick(row);
              }}
              onWall={() => void toWall(row)}
            />
          ))}
        </div>
      </div>
    </>
  );
}

function TreeRow(props: { row: Row; number: number; current: boolean; chosen: boolean; open: boolean; wall: boolean; onPick: () => void; onWall: () => void }) {
  const { row } = props;
  const { item } = row;
  const camera = isCamera(item) ? item : null;
  const group = item && item.kind !== "camera" ? item : null;
  return (
    <div
      id={`cam-row-${props.number}`}
      role="treeitem"
      class={["virtual-row cam-row", props.current ? "current" : "", props.chosen ? "chosen" : "", camera ? "camera" : "group"].join(" ")}
      aria-level={row.depth + 1}
      aria-selected={props.chosen}
      {...(group ? { "aria-expanded": props.open } : {})}
      style={{ transform: `translateY(${props.number * ROW_PX}px)`, height: `${ROW_PX}px`, paddingLeft: `${0.5 + row.depth * 0.9}rem` }}
      onClick={props.onPick}
      data-node={group?.node}
      data-camera={camera?.camera}
      data-state={camera ? camera.state || "unknown" : undefined}
    >
      {!item && <span class="fine">…</span>}
      {group && (
        <>
          <span class={props.open ? "twist open" : "twist"} aria-hidden="true">
            ▸
          </span>
          <span class="cam-name">{group.name || (group.kind === "none" ? t("cameras.nowhere") : group.node)}</span>
          <Counts states={group.states} total={group.cameras} />
        </>
      )}
      {camera && (
        <>
          <StateMark state={camera.state} />
          <span class="cam-name">
            {camera.name || camera.camera}
            {camera.where.length > 0 && <small>{camera.where.map((one) => one.name || t("cameras.nowhere")).join(" ▸ ")}</small>}
          </span>
          {camera.masked && (
            <abbr title={t("cameras.masked")} class="cam-flag">
              {t("cameras.maskedShort")}
            </abbr>
          )}
          <span class="cam-word">{t(`camState.${camera.state || "unknown"}`)}</span>
        </>
      )}
      {item && props.wall && item.kind !== "none" && (
        <button tabIndex={-1} class="icon cam-add" title={t("wall.add")} aria-label={t("wall.add")} onClick={(event) => (event.stopPropagation(), props.onWall())}>
          <Icon name="wall" />
        </button>
      )}
    </div>
  );
}
