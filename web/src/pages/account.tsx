// A person's own account: who, as what, until when; the password.

import { useState } from "preact/hooks";
import { post } from "../api/client";
import { signOut, session } from "../state/session";
import { when } from "../state/time";
import { t } from "../text";
import { Failure, say } from "../ui/notices";

export default function Account() {
  const [error, setError] = useState<unknown>(null);
  const found = session.value;
  if (!found) return null;
  async function change(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    setError(null);
    if (given.get("new") !== given.get("again")) {
      setError(new Error(t("setup.differ")));
      return;
    }
    try {
      await post("/session/password", { old: given.get("old"), new: given.get("new") }, { quiet: true });
      form.reset();
      say("good", t("password.done"));
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <div class="narrow">
      <h1>{t("nav.account")}</h1>
      <dl class="facts">
        <dt>{t("login.user")}</dt>
        <dd>
          {found.name || found.user} ({found.user})
        </dd>
        <dt>{t("over.role")}</dt>
        <dd>{t(`role.${found.role}`)}</dd>
        <dt>{t("account.until")}</dt>
        <dd>{when(found.until)}</dd>
      </dl>
      <h2>{t("password.title")}</h2>
      <form class="stack" onSubmit={(event) => void change(event)}>
        <label>
          {t("password.old")}
          <input name="old" type="password" autocomplete="current-password" required />
        </label>
        <label>
          {t("password.new")}
          <input name="new" type="password" autocomplete="new-password" required />
        </label>
        <label>
          {t("setup.repeat")}
          <input name="again" type="password" autocomplete="new-password" required />
        </label>
        {error !== null && <Failure error={error} />}
        <button class="primary">{t("password.submit")}</button>
      </form>
      <p class="after-form">
        <button onClick={() => void signOut()}>{t("logout")}</button>
      </p>
    </div>
  );
}
