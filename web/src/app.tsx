// The frame: who is signed in, the navigation, the state of the connection, the keyboard's help and command line, and the page.

import type { ComponentType } from "preact";
import { useEffect, useErrorBoundary, useLayoutEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { GlassBanner } from "./approvals/banner";
import { Enter } from "./pages/enter";
import { PAGES, type PageEntry, type PageProps } from "./pages/table";
import { go, match, onLink, place } from "./router";
import { link, linkAgeMs, linkBad, heardMs, lastAlarmMs, retryNow } from "./state/link";
import { chooseLanguage, chooseTheme, other, theme } from "./state/prefs";
import { askSession, session, signOut, unreachable } from "./state/session";
import { nowMs, span, tick, zone } from "./state/time";
import { t } from "./text";
import { CommandLine, commandOpen } from "./ui/command";
import { Help, helpOpen } from "./ui/help";
import { Icon } from "./ui/marks";
import { Failure, Notices } from "./ui/notices";
import { use } from "./ui/keys";

export function pagesOf(role: string): PageEntry[] {
  return PAGES.filter((page) => (page.roles as readonly string[]).includes(role));
}

function found(path: string): { page: PageEntry; params: Record<string, string> } | null {
  for (const page of PAGES) {
    for (const pattern of page.paths) {
      const params = match(pattern, path);
      if (params) return { page, params };
    }
  }
  return null;
}

export function App() {
  useLayoutEffect(() => {
    void askSession();
    return use({
      title: "keys.everywhere",
      bindings: [
        { keys: ["Ctrl+k"], says: "keys.command", inFields: true, run: () => (commandOpen.value = !commandOpen.value) },
        { keys: ["?", "？"], says: "keys.help", run: () => (helpOpen.value = true) },
        {
          keys: ["Escape"],
          says: "keys.escape",
          inFields: true,
          run: (event) => (event.target as HTMLElement | null)?.blur?.(),
        },
      ],
    });
  }, []);
  if (session.value === undefined) {
    return <div class="loading">{unreachable.value ? t("error.unreachable") : t("app.loading")}</div>;
  }
  return (
    <>
      {session.value === null ? <Enter /> : <Frame />}
      <Notices />
    </>
  );
}

function Frame() {
  const role = session.value?.role ?? "";
  const mine = pagesOf(role).filter((page) => !page.hidden);
  const { path } = place.value;
  const here = found(path);
  useEffect(() => {
    if (path === "/" && mine[0]) go(mine[0].paths[0] ?? "/account", true);
  }, [path, role]);
  const title = here ? t(here.page.title) : t("app.name");
  useEffect(() => {
    document.title = `${title} · ${t("app.name")}`;
  }, [title]);
  return (
    <div class="frame" onClick={onLink}>
      <a class="skip" href="#main" onClick={(event) => skip(event)}>
        {t("app.skip")}
      </a>
      <Top pages={mine} path={path} />
      <LinkBanner />
      <GlassBanner />
      <main id="main" tabIndex={-1}>
        {here ? <Held key={here.page.paths[0] ?? ""} page={here.page} params={here.params} role={role} /> : path !== "/" && <Missing />}
        {path === "/" && !mine.length && <p class="empty">{t("nav.none")}</p>}
      </main>
      {commandOpen.value && <CommandLine />}
      {helpOpen.value && <Help />}
    </div>
  );
}

function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Top(props: { pages: PageEntry[]; path: string }) {
  const who = session.value;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label={t("app.name")}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" />
          <path d="M16 5 26 9v7c0 6-4.200 9.600-10 11.500C10.200 25.600 6 22 6 16V9z" />
          <path d="M11 16.500l3.500 3.500L21.500 12" />
        </svg>
        <span>{t("app.name")}</span>
      </a>
      <nav aria-label={t("nav.label")}>
        {props.pages.map((page) => {
          const to = page.paths[0] ?? "/";
          const current = props.path === to || props.path.startsWith(`${to}/`);
          return (
            <a key={to} href={to} {...(current ? { "aria-current": "page" as const } : {})}>
              <Icon name={page.icon} />
              {t(page.title)}
            </a>
          );
        })}
      </nav>
      <TopSlot />
      <Pulse />
      <CityClock />
      <button class="icon" title={`${t("command.title")} (Ctrl+K)`} aria-label={t("command.title")} onClick={() => (commandOpen.value = true)}>
        <Icon name="command" />
      </button>
      <button class="icon" title={`${t("keys.title")} (?)`} aria-label={t("keys.title")} onClick={() => (helpOpen.value = true)}>
        <Icon name="help" />
      </button>
      <button class="quiet" onClick={() => chooseLanguage(other().language)}>
        {t("prefs.toOther")}
      </button>
      <button class="icon" aria-label={t(theme.value === "dark" ? "prefs.toLight" : "prefs.toDark")} onClick={() => chooseTheme(other().theme)}>
        <Icon name={theme.value === "dark" ? "sun" : "moon"} />
      </button>
      {who && (
        <a class="who" href="/account" title={t(`role.${who.role}`)}>
          <Icon name="person" />
          <span>
            {who.name || who.user}
            <small>{t(`role.${who.role}`)}</small>
          </span>
        </a>
      )}
      <button class="quiet" onClick={() => void signOut()}>
        {t("logout")}
      </button>
    </header>
  );
}

/** What a page shows in the top line: the desk's sound. */
export const topSlot = signal<ComponentType | null>(null);
function TopSlot() {
  const Slot = topSlot.value;
  return Slot ? <Slot /> : null;
}

function CityClock() {
  const at = tick.value;
  return <time class="city-clock">{new Intl.DateTimeFormat("sv-SE", { timeZone: zone.value, timeStyle: "medium" }).format(at)}</time>;
}

/** The state of the connection and the age of the last event, always in sight. */
function Pulse() {
  if (link.value.state === "stopped") return null;
  const bad = link.value.state !== "open";
  const age = lastAlarmMs.value ? t("link.age", { age: span(tick.value - lastAlarmMs.value) }) : t("link.never");
  return (
    <span class={bad ? "pulse bad" : "pulse"} title={age} data-link={link.value.state}>
      <i aria-hidden="true" />
      {link.value.state === "waiting" ? t("link.waiting", { n: link.value.tries }) : bad ? t("link.connecting") : `${t("link.open")}${lastAlarmMs.value ? ` · ${t("link.ago", { age: span(tick.value - lastAlarmMs.value) })}` : ""}`}
    </span>
  );
}

function LinkBanner() {
  if (!linkBad.value || !heardMs.value) return null;
  const age = span(Math.max(linkAgeMs.value, nowMs() - heardMs.value));
  return (
    <div class="banner" role="alert">
      <span>{t("link.banner", { age })}</span>
      <button onClick={retryNow}>{t("link.retry")}</button>
    </div>
  );
}

function Missing() {
  return (
    <div class="narrow">
      <p>{t("page.missing")}</p>
      <a href="/">{t("page.home")}</a>
    </div>
  );
}

function Held(props: { page: PageEntry; params: Record<string, string>; role: string }) {
  const [code, setCode] = useState<{ page: ComponentType<PageProps> } | null>(null);
  const [failed, setFailed] = useState<unknown>(null);
  const [broken, reset] = useErrorBoundary();
  const may = (props.page.roles as readonly string[]).includes(props.role);
  useEffect(() => {
    if (!may) return;
    props.page.load().then(
      (made) => setCode({ page: made.default }),
      (error: unknown) => setFailed(error),
    );
  }, [may]);
  if (!may) {
    return (
      <div class="narrow">
        <p>{t("page.forbidden", { role: t(`role.${session.value?.role ?? "operator"}`) })}</p>
        <a href="/">{t("page.home")}</a>
      </div>
    );
  }
  if (broken) return <Failure error={broken} again={reset} />;
  if (failed !== null) return <Failure error={failed} again={() => location.reload()} />;
  const Page = code?.page;
  return Page ? <Page params={props.params} /> : <div class="loading">{t("app.loading")}</div>;
}
