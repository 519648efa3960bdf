// The auditor's page: what was read or changed, row by row; whether the chain holds; rows as a file.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { fetchFile, get, list, path, save } from "../api/client";
import { said, type AuditAction, type AuditRow, type AuditShown, type Verified } from "../api/oversight";
import { fromLocalInput, when } from "../state/time";
import { t, word } from "../text";
import { useAsked } from "../ui/ask";
import { Dialog } from "../ui/dialog";
import { Failure, say, sayError } from "../ui/notices";
import { askedFor, groupsOf, type Sought } from "./sought";

const VERIFY_TIMEOUT_MS = 600_000;
const EXPORT_TIMEOUT_MS = 600_000;
const EMPTY: Sought = { who: "", action: "", target: "", why: "", from: "", to: "" };

export default function Audit() {
  const actions = useAsked((signal) => list<AuditAction>("/audit/actions", {}, { signal }), "actions");
  const words = useMemo(() => new Map((actions.value ?? []).map((one) => [one.action, one])), [actions.value]);
  const name = (action: string): string => {
    const found = words.get(action);
    return found ? said(found.words) : action;
  };
  return (
    <div class="sheets" data-page="audit">
      <header>
        <h1>{t("audit.title")}</h1>
        <p class="fine">{t("audit.hint")}</p>
      </header>
      <Chain />
      {actions.error !== null && <Failure error={actions.error} again={actions.again} />}
      <Search actions={actions.value ?? []} name={name} />
    </div>
  );
}

// -- the chain ---------------------------------------------------------------------------------

function Chain() {
  const [found, setFound] = useState<Verified | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  async function verify(): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      setFound(await get<Verified>("/audit/verify", {}, { timeoutMs: VERIFY_TIMEOUT_MS }));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return (
    <section class="sheet" aria-labelledby="chain-title">
      <h2 id="chain-title">
        {t("audit.chain")} <small class="fine">{t("audit.chainHint")}</small>
      </h2>
      <div role="status" aria-live="polite" data-chain={found ? (found.ok ? "ok" : "bad") : ""}>
        {found && (
          <dl class="facts">
            <dt>{when(found.verified)}</dt>
            <dd>
              <span class={`tag ${found.ok ? "good" : "bad"}`}>{found.ok ? t("audit.ok", { rows: found.rows ?? 0 }) : t("audit.bad")}</span>
            </dd>
            {found.problems.map((problem) => (
              <Problem key={problem.what} {...problem} />
            ))}
            <dt>{t("audit.checkpoint")}</dt>
            <dd>{found.checkpoint ? t("audit.checkpointIs", { n: found.checkpoint.number, time: when(found.checkpoint.time) }) : t("audit.noCheckpoint")}</dd>
            {found.checkpoint && (
              <>
                <dt>{t("audit.hash")}</dt>
                <dd class="hash">{found.checkpoint.hash}</dd>
                <dt>{t("audit.key")}</dt>
                <dd class="hash">{found.checkpoint.public_key}</dd>
              </>
            )}
          </dl>
        )}
      </div>
      {error !== null && <Failure error={error} />}
      <button disabled={busy} onClick={() => void verify()}>
        {t(busy ? "audit.verifying" : "audit.verify")}
      </button>
    </section>
  );
}

function Problem(props: { place: string; what: string; mend: string }) {
  return (
    <>
      <dt>{t("audit.badRow")}</dt>
      <dd class="bad-text" data-bad-row={props.place}>
        <strong>{props.place}</strong>: {props.what}
      </dd>
      <dt>{t("audit.mend")}</dt>
      <dd>{props.mend}</dd>
    </>
  );
}

// -- looking for rows --------------------------------------------------------------------------

interface Found {
  sought: Sought;
  rows: AuditRow[];
  next: number | null;
}

function Search(props: { actions: AuditAction[]; name: (action: string) => string }) {
  const [sought, setSought] = useState<Sought>(EMPTY);
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [exporting, setExporting] = useState(false);
  const [shown, setShown] = useState<number | null>(null);
  const asked = useRef(0);

  async function look(wanted: Sought, before: Found | null): Promise<void> {
    const query = askedFor(wanted, fromLocalInput);
    if (!query) {
      setError(new Error(t("figures.badTime")));
      return;
    }
    const mine = ++asked.current;
    setBusy(true);
    setError(null);
    try {
      const page = await get<{ items: AuditRow[]; next: number | null }>("/audit/search", { ...query, before: before?.next, limit: 100 });
      if (asked.current === mine) setFound({ sought: wanted, rows: [...(before?.rows ?? []), ...page.items], next: page.next });
    } catch (problem) {
      if (asked.current === mine) setError(problem);
    } finally {
      if (asked.current === mine) setBusy(false);
    }
  }
  useEffect(() => void look(EMPTY, null), []);

  async function exported(): Promise<void> {
    const query = askedFor(sought, fromLocalInput);
    if (!query) {
      setError(new Error(t("figures.badTime")));
      return;
    }
    setExporting(true);
    try {
      const { blob, name, told } = await fetchFile("/audit/export", query, EXPORT_TIMEOUT_MS);
      save(blob, name);
      say(told["cut"] ? "warn" : "good", t("audit.exported", { rows: Number(told["rows"]) }), told["cut"] ? t("audit.exportCut") : name);
    } catch (problem) {
      sayError(problem);
    } finally {
      setExporting(false);
    }
  }
  const set = (part: Partial<Sought>): void => setSought({ ...sought, ...part });
  return (
    <section class="sheet stack" aria-labelledby="search-title">
      <h2 id="search-title">{t("audit.search")}</h2>
      <form
        class="row-form"
        onSubmit={(event) => {
          event.preventDefault();
          void look(sought, null);
        }}
      >
        <label>
          {t("over.user")}
          <input name="who" maxLength={200} spellcheck={false} autocomplete="off" value={sought.who} onInput={(event) => set({ who: event.currentTarget.value })} />
        </label>
        <label>
          {t("audit.action")}
          <select name="action" value={sought.action} onChange={(event) => set({ action: event.currentTarget.value })}>
            <option value="">{t("audit.anyAction")}</option>
            {groupsOf(props.actions).map(([group, actions]) => (
              <optgroup key={group} label={group}>
                {actions.length > 1 && <option value={`${group}.`}>{t("audit.group", { group })}</option>}
                {actions.map((one) => (
                  <option key={one.action} value={one.action}>
                    {said(one.words)}
                  </option>
                ))}
              </optgroup>
            ))}
          </select>
        </label>
        <label>
          {t("audit.target")}
          <input name="target" maxLength={200} spellcheck={false} value={sought.target} onInput={(event) => set({ target: event.currentTarget.value })} />
        </label>
        <label>
          {t("audit.purpose")}
          <input name="why" maxLength={200} value={sought.why} onInput={(event) => set({ why: event.currentTarget.value })} />
        </label>
        <label>
          {t("over.from")}
          <input name="from" type="datetime-local" value={sought.from} onInput={(event) => set({ from: event.currentTarget.value })} />
        </label>
        <label>
          {t("over.to")}
          <input name="to" type="datetime-local" value={sought.to} onInput={(event) => set({ to: event.currentTarget.value })} />
        </label>
        <button class="primary" disabled={busy}>
          {t("audit.search")}
        </button>
        <button type="button" disabled={exporting} onClick={() => void exported()}>
          {t(exporting ? "audit.exporting" : "audit.export")}
        </button>
      </form>
      {error !== null && <Failure error={error} again={() => void look(sought, null)} />}
      {found && <Rows found={found} name={props.name} onShow={setShown} />}
      {found?.next && (
        <button disabled={busy} onClick={() => void look(found.sought, found)}>
          {t("over.more")}
        </button>
      )}
      {shown !== null && <RowDialog number={shown} name={props.name} onClose={() => setShown(null)} />}
    </section>
  );
}

function Rows(props: { found: Found; name: (action: string) => string; onShow: (number: number) => void }) {
  const { rows, next } = props.found;
  return (
    <>
      <p class="fine" role="status">
        {t("audit.found", { n: rows.length })} {!next && rows.length > 0 && t("audit.end")}
      </p>
      {rows.length ? (
        <div class="scroll-table tall" tabIndex={0} role="group" aria-labelledby="search-title">
          <table data-table="audit">
            <thead>
              <tr>
                <th scope="col" class="number">
                  {t("audit.number")}
                </th>
                <th scope="col">{t("over.time")}</th>
                <th scope="col">{t("over.user")}</th>
                <th scope="col">{t("over.role")}</th>
                <th scope="col">{t("audit.action")}</th>
                <th scope="col">{t("audit.targetName")}</th>
                <th scope="col">{t("audit.purposeName")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.number} class="link" onClick={() => props.onShow(row.number)}>
                  <td class="number">
                    <button aria-label={t("audit.rowTitle", { n: row.number })} onClick={() => props.onShow(row.number)}>
                      {row.number}
                    </button>
                  </td>
                  <td class="time">{when(row.time)}</td>
                  <td translate={false}>{row.who}</td>
                  <td>{word("role", row.role)}</td>
                  <td title={row.action}>{props.name(row.action)}</td>
                  <td translate={false}>{row.target}</td>
                  <td translate={false}>{purposeWords(row.purpose)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p class="empty">{t("audit.nothing")}</p>
      )}
    </>
  );
}

function purposeWords(purpose: string): string {
  const [code = "", ...rest] = purpose.split(":");
  return [word("purpose", code), ...rest].filter(Boolean).join(" · ");
}

function RowDialog(props: { number: number; name: (action: string) => string; onClose: () => void }) {
  const asked = useAsked((signal) => get<AuditShown>(path("/audit/{number}", { number: String(props.number) }), {}, { signal }), String(props.number));
  const row = asked.value;
  return (
    <Dialog title={t("audit.rowTitle", { n: props.number })} onClose={props.onClose} wide>
      {asked.error !== null && <Failure error={asked.error} />}
      {row && (
        <>
          <dl class="facts" data-row={row.number} data-holds={row.holds ? "yes" : "no"}>
            <dt>{t("over.time")}</dt>
            <dd>{when(row.time)}</dd>
            <dt>{t("over.user")}</dt>
            <dd>
              {row.who} ({word("role", row.role)})
            </dd>
            <dt>{t("audit.action")}</dt>
            <dd>
              {props.name(row.action)} <small>{row.action}</small>
            </dd>
            <dt>{t("audit.targetName")}</dt>
            <dd>{row.target || t("app.none")}</dd>
            <dt>{t("audit.purposeName")}</dt>
            <dd>{purposeWords(row.purpose) || t("app.none")}</dd>
            <dt>{t("audit.hash")}</dt>
            <dd>
              <span class="hash">{row.hash}</span>
              <br />
              <span class={`tag ${row.holds ? "good" : "bad"}`}>{t(row.holds ? "audit.holds" : "audit.holdsNot")}</span>
            </dd>
            <dt>{t("audit.prevHash")}</dt>
            <dd class="hash">{row.prev_hash}</dd>
          </dl>
          <h3>{t("audit.detail")}</h3>
          <pre class="detail" tabIndex={0}>
            {JSON.stringify(row.detail, null, 2)}
          </pre>
        </>
      )}
      <footer>
        <button type="button" data-first onClick={props.onClose}>
          {t("do.close")}
        </button>
      </footer>
    </Dialog>
  );
}
