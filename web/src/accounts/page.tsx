// The administrator's page of accounts: who may sign in, as what; a password is shown once, to be handed over.

import { useState } from "preact/hooks";
import { list, path, post } from "../api/client";
import { ROLES, type Role } from "../api/types";
import type { AccountRow } from "../api/oversight";
import { session } from "../state/session";
import { span, when } from "../state/time";
import { t } from "../text";
import { useAsked } from "../ui/ask";
import { Dialog } from "../ui/dialog";
import { Failure, say } from "../ui/notices";
import { newPassword } from "./password";

type Deed = "role" | "password" | "disable" | "enable";

export default function Accounts() {
  const asked = useAsked((signal) => list<AccountRow>("/accounts", {}, { signal }), "accounts", 15_000);
  const [find, setFind] = useState("");
  const [adding, setAdding] = useState(false);
  const [doing, setDoing] = useState<{ deed: Deed; account: AccountRow } | null>(null);
  // How many sessions end is told as it is now, not as it was when the list was read.
  const fresh = doing && (asked.value?.find((one) => one.user === doing.account.user) ?? doing.account);
  const [secret, setSecret] = useState<{ user: string; password: string } | null>(null);
  const wanted = find.trim().toLowerCase();
  const rows = (asked.value ?? []).filter((one) => !wanted || `${one.user} ${one.name} ${t(`role.${one.role}`)}`.toLowerCase().includes(wanted));
  return (
    <div class="sheets" data-page="accounts">
      <header>
        <h1>{t("accounts.title")}</h1>
        <p class="fine">{t("accounts.apart")}</p>
      </header>
      <section class="sheet stack" aria-label={t("accounts.title")}>
        <div class="row-form">
          <label>
            {t("accounts.find")}
            <input type="search" name="find" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
          </label>
          <button class="primary push" onClick={() => setAdding(true)}>
            {t("accounts.add")}
          </button>
        </div>
        {asked.error !== null && <Failure error={asked.error} again={asked.again} />}
        {asked.value && !rows.length && <p class="empty">{t("accounts.none")}</p>}
        {rows.length > 0 && (
          <div class="scroll-table tall" tabIndex={0} role="group" aria-label={t("accounts.title")}>
            <table data-table="accounts">
              <thead>
                <tr>
                  <th scope="col">{t("over.user")}</th>
                  <th scope="col">{t("accounts.name")}</th>
                  <th scope="col">{t("over.role")}</th>
                  <th scope="col">{t("accounts.state")}</th>
                  <th scope="col" class="number">
                    {t("accounts.sessions")}
                  </th>
                  <th scope="col">{t("accounts.signedIn")}</th>
                  <th scope="col">{t("accounts.passwordSet")}</th>
                  <th scope="col" />
                </tr>
              </thead>
              <tbody>
                {rows.map((one) => (
                  <Row key={one.user} account={one} onDo={(deed) => {
                    setDoing({ deed, account: one });
                    asked.again();
                  }} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      {adding && (
        <AddDialog
          onClose={() => setAdding(false)}
          onAdded={(user, password) => {
            setAdding(false);
            setSecret({ user, password });
            asked.again();
          }}
        />
      )}
      {doing && fresh && (
        <DeedDialog
          deed={doing.deed}
          account={fresh}
          onClose={() => setDoing(null)}
          onDone={(password) => {
            setDoing(null);
            if (password) setSecret({ user: doing.account.user, password });
            else say("good", t("accounts.done", { user: doing.account.user }));
            asked.again();
          }}
        />
      )}
      {secret && <SecretDialog {...secret} onClose={() => setSecret(null)} />}
    </div>
  );
}

function Row(props: { account: AccountRow; onDo: (deed: Deed) => void }) {
  const one = props.account;
  const own = one.user === session.value?.user;
  return (
    <tr data-user={one.user} data-enabled={one.enabled ? "yes" : "no"}>
      <th scope="row">
        {one.user} {own && <small>({t("accounts.me")})</small>}
      </th>
      <td>{one.name}</td>
      <td>{t(`role.${one.role}`)}</td>
      <td>
        <span class={`tag ${one.enabled ? "good" : "bad"}`}>{t(one.enabled ? "accounts.enabled" : "accounts.disabled")}</span>
        {one.locked_s > 0 && <small class="warn-text"> {t("accounts.locked", { age: span(one.locked_s * 1000) })}</small>}
      </td>
      <td class="number">{one.sessions}</td>
      <td class="time">{one.signed_in ? when(one.signed_in) : t("accounts.never")}</td>
      <td class="time">{when(one.password_changed)}</td>
      <td>
        <span class="acts">
          {!own && <button onClick={() => props.onDo("role")}>{t("accounts.role")}</button>}
          {!own && <button onClick={() => props.onDo("password")}>{t("accounts.password")}</button>}
          {!own && one.enabled && (
            <button class="danger" onClick={() => props.onDo("disable")}>
              {t("accounts.disable")}
            </button>
          )}
          {!one.enabled && <button onClick={() => props.onDo("enable")}>{t("accounts.enable")}</button>}
          {own && <a href="/account">{t("nav.account")}</a>}
        </span>
      </td>
    </tr>
  );
}

function RoleField(props: { value: Role; onChange: (role: Role) => void; first?: boolean }) {
  return (
    <label>
      {t("over.role")}
      <select name="role" {...(props.first ? { "data-first": true } : {})} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value as Role)}>
        {ROLES.map((role) => (
          <option key={role} value={role}>
            {t(`role.${role}`)}
          </option>
        ))}
      </select>
    </label>
  );
}

function AddDialog(props: { onClose: () => void; onAdded: (user: string, password: string) => void }) {
  const [user, setUser] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const [language, setLanguage] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  async function add(): Promise<void> {
    const password = newPassword();
    setBusy(true);
    setError(null);
    try {
      await post("/accounts", { user: user.trim(), name: name.trim(), role, language, password });
      props.onAdded(user.trim(), password);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={t("accounts.add")} onClose={props.onClose} onSubmit={() => void add()}>
      <label>
        {t("over.user")}
        <input name="user" data-first required maxLength={64} spellcheck={false} autocomplete="off" aria-describedby="user-hint" value={user} onInput={(event) => setUser(event.currentTarget.value)} />
        <small id="user-hint">{t("accounts.userHint")}</small>
      </label>
      <label>
        {t("accounts.name")}
        <input name="name" maxLength={100} autocomplete="off" value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <RoleField value={role} onChange={setRole} />
      <label>
        {t("accounts.language")}
        <select name="language" value={language} onChange={(event) => setLanguage(event.currentTarget.value)}>
          <option value="">{t("accounts.anyLanguage")}</option>
          <option value="zh" lang="zh-CN">
            中文
          </option>
          <option value="en" lang="en">
            English
          </option>
        </select>
      </label>
      <p class="fine">{t("accounts.addHint")}</p>
      {error !== null && <Failure error={error} />}
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="primary" disabled={busy || !user.trim()}>
          {t("accounts.add")}
        </button>
      </footer>
    </Dialog>
  );
}

function DeedDialog(props: { deed: Deed; account: AccountRow; onClose: () => void; onDone: (password: string) => void }) {
  const { deed, account } = props;
  const [role, setRole] = useState<Role>(account.role);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const values = { user: account.user, n: account.sessions };
  const says = { role: "accounts.roleEnds", password: "accounts.passwordEnds", disable: "accounts.disableEnds", enable: "accounts.enableSays" } as const;
  async function go(): Promise<void> {
    const password = deed === "password" ? newPassword() : "";
    setBusy(true);
    setError(null);
    try {
      const body = deed === "role" ? { role } : deed === "password" ? { password } : {};
      await post(path(`/accounts/{user}/${deed}`, { user: account.user }), body);
      props.onDone(password);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={`${t(`accounts.${deed}`)}: ${account.user}`} onClose={props.onClose} onSubmit={() => void go()}>
      {deed === "role" && <RoleField value={role} onChange={setRole} first />}
      <p class={deed === "enable" ? "" : "warn-text"}>{t(says[deed], values)}</p>
      {error !== null && <Failure error={error} />}
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class={deed === "disable" ? "danger" : "primary"} disabled={busy || (deed === "role" && role === account.role)} {...(deed === "role" ? {} : { "data-first": true })}>
          {t(`accounts.${deed}`)}
        </button>
      </footer>
    </Dialog>
  );
}

/** Neither Esc nor a click beside it closes this one: what it shows is shown once. */
function SecretDialog(props: { user: string; password: string; onClose: () => void }) {
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(props.password);
      say("good", t("accounts.copied"));
    } catch {
      // without TLS there is no clipboard: it is selected by a click and copied by hand
      getSelection()?.selectAllChildren(document.querySelector(".secret") ?? document.body);
    }
  }
  return (
    <Dialog title={t("accounts.oneTime")} onClose={props.onClose} firm onSubmit={props.onClose}>
      <p>
        <strong>{props.user}</strong>
      </p>
      <div class="secret" data-password={props.user}>
        {props.password}
      </div>
      <p class="warn-text">{t("accounts.oneTimeHint", { user: props.user })}</p>
      <footer>
        <button type="button" onClick={() => void copy()}>
          {t("accounts.copy")}
        </button>
        <button class="primary" data-first>
          {t("accounts.handed")}
        </button>
      </footer>
    </Dialog>
  );
}
