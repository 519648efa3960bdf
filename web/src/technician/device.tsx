// One device: what is registered of it, its live test, its photos; changing, swapping and retiring it, and what was done to it.

import { useEffect, useState } from "preact/hooks";
import { address, get, list, path, post } from "../api/client";
import { Problem } from "../api/problem";
import { go } from "../router";
import { when } from "../state/time";
import { t, word } from "../text";
import { Dialog } from "../ui/dialog";
import { Failure, say } from "../ui/notices";
import { imeiIn, judged, plainDigits } from "./imei";
import { LiveTest } from "./live";
import { takePlace, type Fix } from "./phone";
import { shotOf } from "./photo";
import * as queue from "./queue";
import { Field, namesIn } from "./register";
import { Scan } from "./scan";
import type { BoundDevice, HistoryEntry, PhotoRow } from "./types";

const FACTS = ["plate", "name", "imei", "phone", "model", "protocol", "site", "gateway", "owner_ref"] as const;

export function DevicePage(props: { device: string }) {
  const [found, setFound] = useState<BoundDevice | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const [asked, setAsked] = useState<"change" | "swap" | "retire" | "">("");
  useEffect(() => {
    setError(null);
    get<BoundDevice>(path("/devices/{device}/bound", { device: props.device })).then(setFound, setError);
  }, [props.device, turn]);
  const changed = (now: BoundDevice): void => {
    setAsked("");
    if (now.device !== props.device) go(`/technician/device/${now.device}`);
    else setTurn((last) => last + 1);
  };
  if (error !== null) return <Failure error={error} again={() => setTurn((now) => now + 1)} />;
  if (!found) return <div class="loading">{t("app.loading")}</div>;
  return (
    <article class="tech-device">
      <h1>
        {word("device", found.kind)} {found.plate || found.name || found.device.split("/")[1]}
      </h1>
      {found.retired && (
        <p class="failure">
          {t("tech.retired", { when: when(found.retired.time), by: found.retired.by, reason: found.retired.reason })}
          {found.retired.successor && (
            <>
              {" "}
              <a href={`/technician/device/${found.retired.successor}`}>{found.retired.successor}</a>
            </>
          )}
        </p>
      )}
      {found.enabled && <LiveTest key={`${found.device}-${found.installation?.installation ?? ""}`} device={found} onChange={() => setTurn((now) => now + 1)} />}
      <section>
        <h2>{t("tech.facts")}</h2>
        <dl class="facts">
          <dt>{t("tech.id")}</dt>
          <dd>{found.device}</dd>
          {FACTS.filter((key) => found[key]).map((key) => (
            <div key={key} class="contents">
              <dt>{t(`tech_fact.${key}`)}</dt>
              <dd>{found[key]}</dd>
            </div>
          ))}
          {found.cameras.length > 0 && (
            <>
              <dt>{t("tech.cameras")}</dt>
              <dd>{found.cameras.join(", ")}</dd>
            </>
          )}
        </dl>
        {found.enabled && (
          <div class="tech-deeds">
            <button onClick={() => setAsked("change")}>{t("tech.change")}</button>
            <button onClick={() => setAsked("swap")}>{t("tech.swap")}</button>
            <button class="danger" onClick={() => setAsked("retire")}>
              {t("tech.retire")}
            </button>
          </div>
        )}
      </section>
      <Photos device={found} />
      <History device={found.device} turn={turn} />
      {asked === "change" && <Change device={found} onClose={() => setAsked("")} onDone={changed} onLook={() => setTurn((now) => now + 1)} />}
      {asked === "swap" && <Swap device={found} onClose={() => setAsked("")} onDone={changed} />}
      {asked === "retire" && <Retire device={found} onClose={() => setAsked("")} onDone={changed} />}
    </article>
  );
}

/** Somebody was first: who, and how it stands now; what was typed stays. */
function Trouble(props: { error: unknown; onLook?: () => void }) {
  const { error } = props;
  if (error instanceof Problem && error.status === 409 && error.who) {
    return (
      <div class="failure" role="alert">
        <strong>{t("tech.first", { who: error.who })}</strong>
        <p>{error.detail}</p>
        {props.onLook && (
          <button type="button" onClick={props.onLook}>
            {t("tech.look")}
          </button>
        )}
      </div>
    );
  }
  return <Failure error={error} />;
}

type Asked = { device: BoundDevice; onClose: () => void; onDone: (now: BoundDevice) => void };

function Change(props: Asked & { onLook: () => void }) {
  const { device } = props;
  const [plate, setPlate] = useState(device.plate);
  const [owner, setOwner] = useState(device.owner_ref);
  const [name, setName] = useState(device.name);
  const [site, setSite] = useState(device.site);
  const [cameras, setCameras] = useState(device.cameras.join(" "));
  const [error, setError] = useState<unknown>(null);
  async function submit(): Promise<void> {
    const body: Record<string, unknown> = { plate, name, site: site.trim() };
    // An owner that was not shown is not emptied.
    if (owner !== device.owner_ref) body["owner_ref"] = owner;
    if (device.kind !== "camera") body["cameras"] = namesIn(cameras);
    try {
      const now = await post<BoundDevice>(path("/devices/{device}/update", { device: device.device }), body, { version: device.version });
      say("good", t("tech.changed"));
      props.onDone(now);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t("tech.change")} onClose={props.onClose} onSubmit={() => void submit()}>
      <Field name="plate" says={t("tech.plate")} value={plate} most={20} set={setPlate} />
      <Field name="owner_ref" says={t("tech.owner")} value={owner} most={100} set={setOwner} hint={t("tech.owner.hint")} />
      <Field name="name" says={t("tech.name")} value={name} most={100} set={setName} />
      <Field name="site" says={t("tech.site")} value={site} most={64} set={setSite} />
      {device.kind !== "camera" && <Field name="cameras" says={t("tech.cameras")} value={cameras} most={500} set={setCameras} hint={t("tech.cameras.hint")} />}
      {error !== null && <Trouble error={error} onLook={props.onLook} />}
      <Feet says={t("do.save")} onClose={props.onClose} />
    </Dialog>
  );
}

function Swap(props: Asked) {
  const { device } = props;
  const [imei, setImei] = useState("");
  const [labelled, setLabelled] = useState(false);
  const [number, setNumber] = useState("");
  const [id, setId] = useState("");
  const [reason, setReason] = useState("");
  const [scanning, setScanning] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const verdict = judged(imei);
  async function submit(): Promise<void> {
    if (verdict.says && (verdict.state === "part" || verdict.state === "wrong" || (verdict.state === "label" && !labelled))) {
      setError(new Error(t(verdict.says, verdict.values)));
      return;
    }
    const place: Partial<Fix> = await takePlace().catch(() => ({}));
    const whole = id && !id.includes("/") ? `${device.kind}/${id}` : id;
    const body = { imei: plainDigits(imei), number: plainDigits(number), new: whole, reason, imei_as_labelled: labelled, ...place };
    try {
      const now = await post<BoundDevice>(path("/devices/{device}/swap", { device: device.device }), body, { version: device.version });
      say("good", t("tech.swapped"));
      props.onDone(now);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t("tech.swap")} onClose={props.onClose} onSubmit={() => void submit()}>
      <p class="fine">{t("tech.swap.says")}</p>
      <div class="tech-with">
        <Field name="imei" says={t("tech.imei")} value={imei} most={40} set={setImei} />
        <button type="button" onClick={() => setScanning(true)}>
          {t("tech.scan")}
        </button>
      </div>
      <p class={`tech-says ${verdict.state}`} aria-live="polite">
        {verdict.says && t(verdict.says, verdict.values)}
      </p>
      {verdict.state === "label" && (
        <label class="check">
          <input type="checkbox" checked={labelled} onChange={(event) => setLabelled(event.currentTarget.checked)} />
          {t("tech.imei.asLabelled")}
        </label>
      )}
      <Field name="number" says={t("tech.number")} value={number} most={24} set={setNumber} />
      <Field name="new" says={t("tech.swap.id")} value={id} most={80} set={(given) => setId(given.trim())} hint={t("tech.swap.id.hint", { id: device.device })} />
      <Field name="reason" says={t("tech.reason")} value={reason} most={200} set={setReason} required />
      {error !== null && <Trouble error={error} />}
      <Feet says={t("tech.swap")} onClose={props.onClose} />
      {scanning && (
        <Scan
          onRead={(text) => {
            setScanning(false);
            setImei(imeiIn(text) || plainDigits(text).slice(0, 40));
          }}
          onClose={() => setScanning(false)}
        />
      )}
    </Dialog>
  );
}

function Retire(props: Asked) {
  const [reason, setReason] = useState("");
  const [error, setError] = useState<unknown>(null);
  async function submit(): Promise<void> {
    try {
      const where = path("/devices/{device}/retire", { device: props.device.device });
      const now = await post<BoundDevice>(where, { reason }, { version: props.device.version });
      say("good", t("tech.retire.done"));
      props.onDone(now);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t("tech.retire")} onClose={props.onClose} onSubmit={() => void submit()}>
      <p class="warn-text">{t("tech.retire.says", { device: props.device.device })}</p>
      <Field name="reason" says={t("tech.reason")} value={reason} most={200} set={setReason} required />
      {error !== null && <Trouble error={error} />}
      <Feet says={t("tech.retire")} onClose={props.onClose} danger />
    </Dialog>
  );
}

function Feet(props: { says: string; onClose: () => void; danger?: boolean }) {
  return (
    <footer>
      <button type="button" data-first onClick={props.onClose}>
        {t("do.cancel")}
      </button>
      <button class={props.danger ? "danger" : "primary"}>{props.says}</button>
    </footer>
  );
}

function Photos(props: { device: BoundDevice }) {
  const { device } = props.device;
  const [rows, setRows] = useState<PhotoRow[] | null>(null);
  const [hidden, setHidden] = useState(false);
  const [trouble, setTrouble] = useState("");
  const waiting = queue.entries.value.filter((entry) => entry.kind === "photo" && entry.device === device && entry.state !== "done").length;
  useEffect(() => {
    list<PhotoRow>(path("/devices/{device}/photos", { device })).then(setRows, () => setHidden(true));
  }, [device, waiting]);
  async function take(event: Event): Promise<void> {
    const field = event.currentTarget as HTMLInputElement;
    setTrouble("");
    for (const file of field.files ?? []) {
      try {
        const shot = await shotOf(file, file.name);
        URL.revokeObjectURL(shot.url);
        await queue.put({ kind: "photo", title: file.name, body: {}, bytes: shot.bytes, device });
      } catch {
        setTrouble(t("tech.photo.broken", { name: file.name }));
      }
    }
    field.value = "";
  }
  return (
    <section>
      <h2>{t("tech.photos")}</h2>
      {hidden ? (
        <p class="fine">{t("tech.photo.hidden")}</p>
      ) : (
        <ul class="tech-shots">
          {rows?.map((row) => (
            <li key={row.photo}>
              <a href={address(path("/photos/{photo}/bytes", { photo: row.photo }))} download={`${row.photo}.${row.format}`}>
                <img src={address(path("/photos/{photo}/bytes", { photo: row.photo }))} alt={t("tech.photo.alt", { by: row.by, when: when(row.time) })} loading="lazy" />
              </a>
            </li>
          ))}
        </ul>
      )}
      {rows?.length === 0 && <p class="fine">{t("tech.photo.none")}</p>}
      {waiting > 0 && <p class="fine">{t("tech.photo.waiting", { n: waiting })}</p>}
      {trouble && (
        <p class="failure" role="alert">
          {trouble}
        </p>
      )}
      {props.device.enabled && !hidden && (
        <label class="tech-file">
          {t("tech.photo.take")}
          <input type="file" accept="image/*" capture="environment" multiple onChange={(event) => void take(event)} />
        </label>
      )}
    </section>
  );
}

function detailText(detail: Record<string, unknown>): string {
  const parts: string[] = [];
  const changed = (detail["changed"] ?? {}) as Record<string, unknown>;
  for (const [field, values] of Object.entries(changed)) {
    const name = word("tech_fact", field);
    if (!Array.isArray(values)) parts.push(name);
    else parts.push(`${name} ${plain(values[0])} → ${plain(values[1])}`);
  }
  for (const key of ["reason", "old", "successor", "note"]) if (detail[key]) parts.push(String(detail[key]));
  for (const step of (detail["seen"] ?? []) as string[]) parts.push(`${word("tech_step", step)} ✓`);
  return parts.join(" · ");
}

function plain(value: unknown): string {
  const text = Array.isArray(value) ? value.join(", ") : String(value ?? "");
  return text || t("app.none");
}

function History(props: { device: string; turn: number }) {
  const [rows, setRows] = useState<HistoryEntry[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!open) return;
    setError(null);
    list<HistoryEntry>(path("/devices/{device}/history", { device: props.device }), { limit: 100 }).then(setRows, setError);
  }, [open, props.device, props.turn]);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("tech.history")}</summary>
      {error !== null && <Failure error={error} />}
      {rows?.length === 0 && <p class="fine">{t("tech.history.none")}</p>}
      <ul class="tech-history">
        {rows?.map((row) => (
          <li key={row.number}>
            <time>{when(row.time)}</time>
            <span>
              <strong>{word("tech_did", row.action)}</strong> {row.by}
              <small>{detailText(row.detail)}</small>
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
