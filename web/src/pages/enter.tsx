// Before anybody is signed in: the first set-up, and signing in.

import { useEffect, useState } from "preact/hooks";
import { session, sessionOver, setUp, setupNeeded, signIn } from "../state/session";
import { chooseLanguage, chooseTheme, other, theme } from "../state/prefs";
import { t } from "../text";
import { Icon } from "../ui/marks";
import { Failure, say } from "../ui/notices";

export function Enter() {
  const title = `${t(setupNeeded.value ? "setup.title" : "login.title")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <div class="enter">
      <div class="enter-corner">
        <button class="quiet" onClick={() => chooseLanguage(other().language)}>
          {t("prefs.toOther")}
        </button>
        <button class="icon" aria-label={t(theme.value === "dark" ? "prefs.toLight" : "prefs.toDark")} onClick={() => chooseTheme(other().theme)}>
          <Icon name={theme.value === "dark" ? "sun" : "moon"} />
        </button>
      </div>
      <main class="enter-card" id="main">
        <div class="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M16 5 26 9v7c0 6-4.200 9.600-10 11.500C10.200 25.600 6 22 6 16V9z" />
            <path d="M11 16.500l3.500 3.500L21.500 12" />
          </svg>
          <span>{t("app.name")}</span>
        </div>
        {setupNeeded.value ? <SetUp /> : <SignIn />}
      </main>
    </div>
  );
}

function SignIn() {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    setBusy(true);
    setError(null);
    try {
      await signIn(String(given.get("user")), String(given.get("password")));
    } catch (problem) {
      setError(problem);
      form.querySelector<HTMLInputElement>("[name=password]")?.select();
    } finally {
      setBusy(false);
    }
  }
  return (
    <form class="stack" onSubmit={(event) => void submit(event)}>
      <h1>{t("login.title")}</h1>
      {sessionOver.value && session.value === null && <p class="warn-text">{t("login.over")}</p>}
      <label>
        {t("login.user")}
        <input name="user" autocomplete="username" required autofocus spellcheck={false} autocapitalize="none" />
      </label>
      <label>
        {t("login.password")}
        <input name="password" type="password" autocomplete="current-password" required />
      </label>
      {error !== null && <Failure error={error} />}
      <button class="primary" disabled={busy}>
        {t(busy ? "login.busy" : "login.submit")}
      </button>
      <p class="fine">{t("login.purpose")}</p>
    </form>
  );
}

function SetUp() {
  const [error, setError] = useState<unknown>(null);
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    setError(null);
    if (given.get("password") !== given.get("again")) {
      setError(new Error(t("setup.differ")));
      return;
    }
    try {
      await setUp(String(given.get("token")).trim(), String(given.get("user")), String(given.get("password")));
      say("good", t("setup.done"));
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <form class="stack" onSubmit={(event) => void submit(event)}>
      <h1>{t("setup.title")}</h1>
      <p class="fine">{t("setup.intro")}</p>
      <label>
        {t("setup.token")}
        <input name="token" autocomplete="off" required autofocus spellcheck={false} autocapitalize="none" />
      </label>
      <label>
        {t("login.user")}
        <input name="user" autocomplete="username" required spellcheck={false} autocapitalize="none" />
      </label>
      <label>
        {t("login.password")}
        <input name="password" type="password" autocomplete="new-password" required />
      </label>
      <label>
        {t("setup.repeat")}
        <input name="again" type="password" autocomplete="new-password" required />
      </label>
      {error !== null && <Failure error={error} />}
      <button class="primary">{t("setup.submit")}</button>
    </form>
  );
}
