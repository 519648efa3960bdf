// The technician's page, made for a phone: what waits on it, what is being installed, and the ways to register, import and look at a
// device. It works without a network; what needs one says so.

import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { list } from "../api/client";
import type { PageProps } from "../pages/table";
import { go } from "../router";
import { session } from "../state/session";
import { clockTime, countdown, msOf, tick } from "../state/time";
import { t, word } from "../text";
import { Icon } from "../ui/marks";
import { Failure, say } from "../ui/notices";
import { DevicePage } from "./device";
import { ImportPage } from "./importing";
import { canInstall, install, keepOffline } from "./offline";
import { secure } from "./phone";
import * as queue from "./queue";
import { Register } from "./register";
import { heldBy } from "./sending";
import type { Entry } from "./store";
import { KINDS, type Device, type Installation } from "./types";

export default function Technician(props: PageProps) {
  const [here = "", ...rest] = (props.params["rest"] ?? "").split("/");
  const user = session.value?.user ?? "";
  useEffect(() => {
    keepOffline();
    void queue.start();
  }, [user]);
  useEffect(
    () =>
      effect(() => {
        const told = queue.registered.value;
        if (told) say("good", t("tech.registered", { device: told.device }));
      }),
    [],
  );
  return (
    <div class="tech">
      <Bar back={here !== ""} />
      {here === "" && <Home />}
      {here === "new" && <Register />}
      {here === "mend" && <Mend id={Number(rest[0])} />}
      {here === "import" && <ImportPage />}
      {here === "device" && <DevicePage key={rest.join("/")} device={rest.join("/")} />}
    </div>
  );
}

function Bar(props: { back: boolean }) {
  const waiting = queue.entries.value.filter((entry) => entry.state === "waiting" || entry.state === "sending").length;
  const failed = queue.entries.value.filter((entry) => entry.state === "failed").length;
  return (
    <div class={queue.online.value ? "tech-bar" : "tech-bar off"} role="status" data-online={queue.online.value}>
      {props.back && (
        <a href="/technician" class="back">
          ‹ {t("tech.back")}
        </a>
      )}
      <span>{t(queue.online.value ? "tech.online" : "tech.offline")}</span>
      {waiting > 0 && <span>{t("tech.waiting", { n: waiting })}</span>}
      {failed > 0 && <span class="bad-text">{t("tech.failed", { n: failed })}</span>}
    </div>
  );
}

function Mend(props: { id: number }) {
  const entry = queue.entries.value.find((one) => one.id === props.id && one.state === "failed");
  return entry ? <Register key={entry.id} entry={entry} /> : <p class="empty">{t("tech.mend.gone")}</p>;
}

function Home() {
  return (
    <>
      <h1 class="visually-hidden">{t("nav.technician")}</h1>
      {!secure && <p class="failure">{t("tech.insecure")}</p>}
      <div class="tech-main">
        <a class="tech-big" href="/technician/new">
          <Icon name="plus" /> {t("tech.new.title")}
        </a>
        {canInstall.value && (
          <button onClick={() => void install()}>
            <Icon name="phone" /> {t("tech.install")}
          </button>
        )}
        <a class="tech-link" href="/technician/import">
          {t("tech.import")}
        </a>
      </div>
      {queue.storeError.value !== null && <Failure error={queue.storeError.value} />}
      <Waiting />
      <Installations />
      <Search />
    </>
  );
}

function Waiting() {
  const rows = [...queue.entries.value].sort((one, two) => two.id - one.id);
  if (!rows.length) return null;
  return (
    <section>
      <h2>{t("tech.queue")}</h2>
      <ul class="tech-list">
        {rows.map((entry) => (
          <Row key={entry.id} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

function Row(props: { entry: Entry }) {
  const { entry } = props;
  const held = entry.state === "waiting" ? heldBy(entry, queue.entries.value) : null;
  return (
    <li class={`tech-entry ${entry.state}`} data-state={entry.state} data-kind={entry.kind}>
      <div>
        <strong>{entry.kind === "photo" ? `${t("tech.photo")} ${entry.title}` : entry.title}</strong>
        <small>
          {clockTime(entry.made_ms)} · {word("tech_entry", entry.state)}
          {held && ` · ${t("tech.held", { title: held.title })}`}
        </small>
        {entry.problem && (
          <p class="bad-text">{[entry.problem.title, entry.problem.detail, entry.problem.mend].filter(Boolean).join(" ")}</p>
        )}
      </div>
      <div class="tech-deeds">
        {entry.state === "done" && entry.kind === "register" && (
          <a class="tech-link" href={`/technician/device/${entry.device}`}>
            {t("tech.live")}
          </a>
        )}
        {entry.state === "failed" && entry.kind === "register" && (
          <a class="tech-link" href={`/technician/mend/${entry.id}`}>
            {t("tech.mend")}
          </a>
        )}
        {entry.state === "failed" && <button onClick={() => void queue.again(entry)}>{t("do.retry")}</button>}
        {(entry.state === "failed" || entry.state === "done") && (
          <button aria-label={`${t("tech.discard")} ${entry.title}`} onClick={() => void queue.discard(entry)}>
            {t("tech.discard")}
          </button>
        )}
      </div>
    </li>
  );
}

function Installations() {
  const [rows, setRows] = useState<Installation[] | null>(null);
  const done = queue.entries.value.filter((entry) => entry.state === "done").length;
  useEffect(() => {
    list<Installation>("/installations", { limit: 50 }).then(setRows, () => undefined);
  }, [done, queue.online.value]);
  if (!rows?.length) return null;
  return (
    <section>
      <h2>{t("tech.installations")}</h2>
      <ul class="tech-list">
        {rows.map((row) => {
          const leftMs = (msOf(row.until) ?? 0) - tick.value;
          return (
            <li key={row.installation}>
              <a href={`/technician/device/${row.device}`}>
                <strong>{row.device}</strong>
                <small>
                  {Object.keys(row.seen).map((step) => `${word("tech_step", step)} ✓ `)}
                  {row.ended ? t("tech.live.ended") : leftMs > 0 ? t("tech.live.left", { time: countdown(leftMs / 1000) }) : t("tech.live.over")}
                </small>
              </a>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Search() {
  const [text, setText] = useState("");
  const [rows, setRows] = useState<Device[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    setError(null);
    const wanted = text.trim();
    const [kind = "", name = ""] = wanted.split("/");
    if (name && (KINDS as readonly string[]).includes(kind)) {
      go(`/technician/device/${wanted}`);
      return;
    }
    try {
      setRows((await list<Device>("/devices", { text: wanted, limit: 30 })).slice(0, 30));
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <section>
      <h2>{t("tech.find")}</h2>
      <form class="tech-with" role="search" onSubmit={(event) => void submit(event)}>
        <input aria-label={t("tech.find.says")} placeholder={t("tech.find.says")} value={text} maxLength={100} required onInput={(event) => setText(event.currentTarget.value)} />
        <button>{t("tech.find.go")}</button>
      </form>
      {error !== null && <Failure error={error} />}
      {rows?.length === 0 && <p class="empty">{t("tech.find.none")}</p>}
      <ul class="tech-list">
        {rows?.map((row) => (
          <li key={row.device}>
            <a href={`/technician/device/${row.device}`}>
              <strong>{row.device}</strong>
              <small>{[row.plate, row.name, row.imei, row.site, row.enabled ? "" : t("tech.disabled")].filter(Boolean).join(" · ")}</small>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
