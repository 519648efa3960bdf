// What was found: a table in pages, sorted by any column; each row goes to the map and to a replay, the chosen ones together.

import { useEffect, useState } from "preact/hooks";
import { go } from "../router";
import { clockTime, dateTime, span } from "../state/time";
import { distance } from "../desk/words";
import { t, type Key } from "../text";
import { MOST_VEHICLES } from "../replay/read";
import { aroundOf, replayOf, sorted, type Asked, type Found, type Order, type Question } from "./asking";

const PAGE_ROWS = 50;

/** Heads of the columns of time, by question. */
const HEADS: Record<Question, { from: Key; to: Key | null; seconds: Key }> = {
  inside: { from: "search.col.first", to: "search.col.last", seconds: "search.col.inside" },
  both: { from: "search.col.first", to: "search.col.last", seconds: "search.col.apart" },
  then: { from: "search.col.left", to: "search.col.reached", seconds: "search.col.took" },
  company: { from: "search.col.first", to: "search.col.last", seconds: "search.col.together" },
  met: { from: "search.col.time", to: null, seconds: "search.col.apart" },
};

const devicesOf = (one: Found): string[] => (one.other ? [one.device, one.other] : [one.device]);

export function Results(props: {
  asked: Asked;
  found: readonly Found[];
  searched: number;
  allowedBy: string;
  /** The row that is shown on the map. */
  shown: string;
  onShow: (found: Found) => void;
  onExport: (devices: string[]) => void;
}) {
  const { asked, found } = props;
  const [order, setOrder] = useState<Order>("from");
  const [down, setDown] = useState(false);
  const [page, setPage] = useState(0);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    setPage(0);
    setChosen(new Set());
  }, [found]);
  const rows = sorted(found, order, down);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
  const shown = rows.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
  const head = HEADS[asked.question];
  const pairs = asked.question === "met";
  const near = asked.question === "company";
  const devices = [...new Set([...(near ? [asked.device] : []), ...found.filter((one) => chosen.has(one.key)).flatMap(devicesOf)])];
  const many = chosen.size ? devices : [];

  const sortBy = (by: Order): void => {
    setDown(order === by ? !down : false);
    setOrder(by);
    setPage(0);
  };
  const column = (by: Order, says: Key): preact.JSX.Element => (
    <th scope="col" aria-sort={order === by ? (down ? "descending" : "ascending") : "none"}>
      <button type="button" onClick={() => sortBy(by)}>
        {t(says)} <span aria-hidden="true">{order === by ? (down ? "▼" : "▲") : ""}</span>
      </button>
    </th>
  );
  const toggle = (keys: readonly string[], on: boolean): void => {
    const next = new Set(chosen);
    for (const key of keys) if (on) next.add(key);
    else next.delete(key);
    setChosen(next);
  };
  if (!found.length) return <p class="empty">{t("search.none", { searched: props.searched })}</p>;
  const all = shown.every((one) => chosen.has(one.key));
  return (
    <section class="results" aria-label={t("search.results")}>
      <div class="results-bar">
        <strong role="status">{t("search.found", { n: found.length, searched: props.searched })}</strong>
        {props.allowedBy && <small>{t("search.allowedBy", { by: props.allowedBy })}</small>}
        <span class="spacer" />
        <button disabled={!many.length || many.length > MOST_VEHICLES} title={many.length > MOST_VEHICLES ? t("search.replayMost", { n: MOST_VEHICLES }) : ""} onClick={() => go(replayOf(many, asked.fromMs, asked.toMs))}>
          {t("search.replayChosen", { n: many.length })}
        </button>
        <button disabled={!many.length} onClick={() => props.onExport(many)}>
          {t("search.exportChosen", { n: many.length })}
        </button>
        {pages > 1 && (
          <>
            <button disabled={page === 0} onClick={() => setPage(page - 1)}>
              {t("search.before")}
            </button>
            <small>{t("search.page", { page: page + 1, pages })}</small>
            <button disabled={page >= pages - 1} onClick={() => setPage(page + 1)}>
              {t("search.after")}
            </button>
          </>
        )}
      </div>
      <div class="results-rows" tabIndex={0} id="search-results" role="region" aria-label={t("search.results")}>
        <table>
          <thead>
            <tr>
              <th scope="col">
                <input type="checkbox" aria-label={t("search.choosePage")} checked={all} onChange={() => toggle(shown.map((one) => one.key), !all)} />
              </th>
              {column("device", "search.col.device")}
              {pairs && <th scope="col">{t("search.col.other")}</th>}
              {column("from", head.from)}
              {head.to && column("to", head.to)}
              {column("seconds", head.seconds)}
              {near && column("nearest", "search.col.nearest")}
              {!pairs && asked.question !== "then" && <th scope="col">{t("search.col.points")}</th>}
              <th scope="col">{t("search.col.do")}</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => {
              const window = aroundOf(one, asked);
              const together = [...(near ? [asked.device] : []), ...devicesOf(one)];
              return (
                <tr key={one.key} class={props.shown === one.key ? "shown" : ""} data-found={one.device}>
                  <td>
                    <input type="checkbox" aria-label={t("search.chooseOf", { device: one.device })} checked={chosen.has(one.key)} onChange={() => toggle([one.key], !chosen.has(one.key))} />
                  </td>
                  <td class="named">
                    {one.device} {one.plate && one.plate !== one.device && <small>{one.plate}</small>}
                  </td>
                  {pairs && <td class="named">{one.other}</td>}
                  <td>{dateTime(one.fromMs)}</td>
                  {head.to && <td>{one.toMs - one.fromMs < 86_400_000 ? clockTime(one.toMs) : dateTime(one.toMs)}</td>}
                  <td>{span(one.seconds * 1000)}</td>
                  {near && <td>{one.nearestM === null ? "" : distance(one.nearestM)}</td>}
                  {!pairs && asked.question !== "then" && <td>{one.interpolated ? <small>{t("search.interpolated")}</small> : one.points}</td>}
                  <td class="acts">
                    <button aria-pressed={props.shown === one.key} aria-label={t("search.wayOf", { device: one.device })} onClick={() => props.onShow(one)}>
                      {t("search.way")}
                    </button>
                    <button aria-label={t("search.replayOf", { device: one.device })} onClick={() => go(replayOf(together, window.fromMs, window.toMs))}>
                      {t("search.replay")}
                    </button>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
