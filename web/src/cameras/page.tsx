// Cameras: the tree beside what is looked at: one camera (live, recordings, how it is, what is set) or the wall.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { get, path } from "../api/client";
import type { PageProps } from "../pages/table";
import { go, place } from "../router";
import { session } from "../state/session";
import { t } from "../text";
import { use } from "../ui/keys";
import { Icon } from "../ui/marks";
import { Failure } from "../ui/notices";
import { words } from "../ui/purpose";
import type { PurposeCode } from "../api/types";
import { About } from "./about";
import { may } from "./allowed";
import { LiveView } from "./live";
import { StateMark } from "./marks";
import { RecordingsView } from "./recordings";
import { SettingsView } from "./settings";
import { TreePane } from "./treepane";
import type { CameraDetails } from "./types";
import { Wall } from "./wall";
import { asking, purpose, wall } from "./why";
import { WithPurpose } from "./withpurpose";

const WALL = "wall";
const ABOUT_MS = 5_000;
const TABS = ["live", "recordings", "about", "settings"] as const;
type Tab = (typeof TABS)[number];

export default function CamerasPage(props: PageProps) {
  const rest = props.params["rest"] ?? "";
  const role = session.value?.role;
  const watches = may(role, "watch");
  const asked = place.value.query.get("purpose");
  useEffect(() => {
    const [code = "", ref = ""] = (asked ?? "").split(":");
    if (asked && !purpose.peek()) purpose.value = { code: code as PurposeCode, ref, note: "" };
  }, [asked]);
  useLayoutEffect(
    () =>
      use({
        title: "keys.cameras.page",
        bindings: [
          { keys: ["/"], says: "keys.cameras.search", run: () => document.querySelector<HTMLInputElement>("[data-camera-search]")?.focus() },
          { keys: ["t"], says: "keys.cameras.tree", run: () => document.querySelector<HTMLElement>(".cam-tree")?.focus() },
          ...(watches ? [{ keys: ["g"], says: "keys.cameras.wall" as const, run: toWall }] : []),
        ],
      }),
    [watches],
  );
  return (
    <div class="with-purpose">
      {purpose.value && !asking.value && (
        <div class="purpose-bar">
          <strong>{t("purpose.shown", { purpose: words(purpose.value) })}</strong>
          <button onClick={() => (asking.value = true)}>{t("purpose.change")}</button>
        </div>
      )}
      <div class="cameras">
        <TreePane chosen={rest} wall={watches} onChoose={(camera) => go(`/cameras/${camera.camera}${tabQuery()}`)} />
        <div class="cam-main">
          {watches && (
            <nav class="cam-tabs" aria-label={t("cameras.view")}>
              <a href="/cameras/wall" {...(rest === WALL ? { "aria-current": "page" as const } : {})}>
                <Icon name="wall" />
                {t("wall.title")} {wall.value.length > 0 && <b>{wall.value.length}</b>}
              </a>
            </nav>
          )}
          {rest === WALL && watches ? (
            <WithPurpose>{(why) => <Wall purpose={why} />}</WithPurpose>
          ) : rest && rest !== WALL ? (
            <Camera key={rest} camera={rest} />
          ) : (
            <div class="narrow">
              <h1>{t("nav.cameras")}</h1>
              <p>{t("cameras.pick")}</p>
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

/** To the wall, and the keys with it. */
function toWall(): void {
  go("/cameras/wall");
  document.getElementById("main")?.focus();
}

function tabQuery(): string {
  const tab = place.peek().query.get("tab");
  return tab ? `?tab=${tab}` : "";
}

function tabsOf(role: ReturnType<typeof roleNow>): Tab[] {
  return TABS.filter((tab) => (tab === "live" ? may(role, "snapshot") : tab === "recordings" ? may(role, "recordings") : tab === "settings" ? may(role, "set") : true));
}

const roleNow = () => session.value?.role;

function Camera({ camera }: { camera: string }) {
  const role = roleNow();
  const tabs = tabsOf(role);
  const said = place.value.query.get("tab") as Tab | null;
  const tab: Tab = said && tabs.includes(said) ? said : (tabs[0] ?? "about");
  const [details, setDetails] = useState<CameraDetails | null>(null);
  const [error, setError] = useState<unknown>(null);
  async function read(): Promise<void> {
    try {
      setDetails(await get<CameraDetails>(path("/cameras/{camera}", { camera })));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  }
  useEffect(() => {
    void read();
    const timer = setInterval(() => {
      if (!document.hidden) void read();
    }, ABOUT_MS);
    return () => clearInterval(timer);
  }, [camera]);
  useLayoutEffect(
    () =>
      use({
        title: "keys.cameras.camera",
        bindings: tabs.map((one, i) => ({ keys: [String(i + 1)], says: `cameras.tab.${one}` as const, run: () => go(`/cameras/${camera}?tab=${one}`, true) })),
      }),
    [camera, tabs.join()],
  );
  if (error !== null && !details) return <Failure error={error} again={() => void read()} />;
  if (!details) return <div class="loading">{t("app.loading")}</div>;
  const name = details.name || details.camera;
  return (
    <>
      <header class="cam-head">
        <StateMark state={details.state} word />
        <h1>{name}</h1>
        <span class="fine">
          {details.camera}
          {details.site && ` · ${details.site}`}
        </span>
        <nav class="cam-tabs" aria-label={name}>
          {tabs.map((one) => (
            <a key={one} href={`/cameras/${camera}?tab=${one}`} {...(one === tab ? { "aria-current": "page" as const } : {})}>
              {t(`cameras.tab.${one}`)}
            </a>
          ))}
        </nav>
      </header>
      {tab === "live" && <WithPurpose>{(why) => <LiveView details={details} purpose={why} />}</WithPurpose>}
      {tab === "recordings" && <WithPurpose>{(why) => <RecordingsView camera={camera} name={name} purpose={why} />}</WithPurpose>}
      {tab === "about" && <About details={details} again={() => void read()} />}
      {tab === "settings" && <SettingsView details={details} again={() => void read()} />}
    </>
  );
}
