// Registering a device where it is fitted. The form asks for nothing of the network: it is put into the queue of this phone, with
// its photos, and sent when there is one.

import { useEffect, useState } from "preact/hooks";
import { list } from "../api/client";
import { go } from "../router";
import { t, word } from "../text";
import { say } from "../ui/notices";
import { Icon } from "../ui/marks";
import { imeiIn, judged, madeId, plainDigits } from "./imei";
import { takePlace, secure, type Fix } from "./phone";
import { shotOf, type Shot } from "./photo";
import * as queue from "./queue";
import { Scan } from "./scan";
import { keepList, keptList, type Entry } from "./store";
import { KINDS, PROTOCOLS, type Device, type DeviceKind, type SiteRow } from "./types";

const MOST_PHOTOS = 6;
const ROUGH_M = 50;

interface Form {
  kind: DeviceKind;
  imei: string;
  imei_as_labelled: boolean;
  number: string;
  plate: string;
  owner_ref: string;
  name: string;
  site: string;
  cameras: string;
  model: string;
  protocol: string;
  device: string;
  gateway: string;
  rtsp: string;
}

const EMPTY: Form = {
  kind: "button",
  imei: "",
  imei_as_labelled: false,
  number: "",
  plate: "",
  owner_ref: "",
  name: "",
  site: "",
  cameras: "",
  model: "",
  protocol: "",
  device: "",
  gateway: "",
  rtsp: "",
};
const VEHICLES = new Set(["taxi", "ebike", "unit"]);

export function namesIn(text: string): string[] {
  return text.split(/[\s,，;；]+/).filter(Boolean);
}

function bodyOf(form: Form, place: Fix | null): Record<string, unknown> {
  const { cameras, imei, number, ...rest } = form;
  const given = Object.entries(rest).filter(([, value]) => value !== "" && value !== false);
  return {
    ...Object.fromEntries(given),
    imei: plainDigits(imei),
    number: plainDigits(number),
    cameras: namesIn(cameras),
    ...(place ?? {}),
  };
}

function formOf(body: Record<string, unknown>): { form: Form; place: Fix | null } {
  const given = Object.fromEntries(Object.entries(body).filter(([key]) => key in EMPTY)) as Partial<Form>;
  const cameras = Array.isArray(body["cameras"]) ? (body["cameras"] as string[]).join(" ") : "";
  const { lat, lon, accuracy_m } = body as Partial<Fix>;
  return {
    form: { ...EMPTY, ...given, cameras },
    place: lat !== undefined && lon !== undefined ? { lat, lon, accuracy_m: accuracy_m ?? 0 } : null,
  };
}

/** Lists to choose from: the service's while it is reached, else what this phone saw last. */
function useChoices(): { sites: SiteRow[]; cameras: { device: string; name: string }[] } {
  const [sites, setSites] = useState<SiteRow[]>([]);
  const [cameras, setCameras] = useState<{ device: string; name: string }[]>([]);
  useEffect(() => {
    void (async () => {
      setSites((await keptList<SiteRow[]>("sites").catch(() => undefined)) ?? []);
      setCameras((await keptList<{ device: string; name: string }[]>("cameras").catch(() => undefined)) ?? []);
      try {
        const found = (await list<SiteRow>("/sites", { limit: 1000 })).map(({ site, name }) => ({ site, name }));
        const seen = (await list<Device>("/devices", { kind: "camera", enabled: true, limit: 1000 })).map(({ device, name }) => ({ device, name }));
        setSites(found);
        setCameras(seen);
        await keepList("sites", found);
        await keepList("cameras", seen);
      } catch {
        // without a network the lists of last time stand
      }
    })();
  }, []);
  return { sites, cameras };
}

export function Register(props: { entry?: Entry }) {
  const before = props.entry ? formOf(props.entry.body) : { form: EMPTY, place: null };
  const [form, setForm] = useState<Form>(before.form);
  const [place, setPlace] = useState<Fix | null>(before.place);
  const [placing, setPlacing] = useState("");
  const [shots, setShots] = useState<Shot[]>([]);
  const [scanning, setScanning] = useState<"imei" | "number" | "">("");
  const [trouble, setTrouble] = useState("");
  const { sites, cameras } = useChoices();
  const verdict = judged(form.imei);
  const set = (given: Partial<Form>): void => setForm((now) => ({ ...now, ...given }));
  useEffect(() => () => shots.forEach((shot) => URL.revokeObjectURL(shot.url)), []);

  async function locate(): Promise<void> {
    setPlacing("busy");
    try {
      setPlace(await takePlace());
      setPlacing("");
    } catch (error) {
      setPlacing(error instanceof Error ? error.message : "unavailable");
    }
  }
  async function takePhotos(event: Event): Promise<void> {
    const field = event.currentTarget as HTMLInputElement;
    for (const file of [...(field.files ?? [])].slice(0, MOST_PHOTOS - shots.length)) {
      try {
        const shot = await shotOf(file, file.name);
        setShots((now) => [...now, shot]);
      } catch {
        setTrouble(t("tech.photo.broken", { name: file.name }));
      }
    }
    field.value = "";
  }
  function read(text: string): void {
    const field = scanning;
    setScanning("");
    if (field === "imei") set({ imei: imeiIn(text) || plainDigits(text).slice(0, 40) });
    else set({ number: (/\+?\d{5,20}/.exec(plainDigits(text)) ?? [text.slice(0, 24)])[0] });
  }
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const wrong = mistake();
    setTrouble(wrong);
    if (wrong) return;
    const made = form.device || madeId(form.kind, form.imei, form.number);
    const body = bodyOf({ ...form, device: form.device && !form.device.includes("/") ? `${form.kind}/${form.device}` : form.device }, place);
    const title = [word("device", form.kind), form.plate || form.name || made].filter(Boolean).join(" ");
    try {
      let id = props.entry?.id ?? 0;
      if (props.entry) await queue.mend(props.entry, body, title);
      else id = await queue.put({ kind: "register", title, body, device: "" });
      for (const shot of shots) await queue.put({ kind: "photo", title: shot.name, body: {}, bytes: shot.bytes, after: id, device: "" });
    } catch (error) {
      setTrouble(`${t("tech.store.full")} ${error instanceof Error ? error.message : ""}`);
      return;
    }
    say("good", t("tech.queued"));
    go("/technician");
  }
  function mistake(): string {
    if (verdict.state === "part" || verdict.state === "wrong") return verdict.says ? t(verdict.says, verdict.values) : "";
    if (verdict.state === "label" && !form.imei_as_labelled && verdict.says) return t(verdict.says, verdict.values);
    if (!form.device && !madeId(form.kind, form.imei, form.number)) return t("tech.who.none");
    return "";
  }

  return (
    <form class="tech-form stack" onSubmit={(event) => void submit(event)}>
      <h1>{t(props.entry ? "tech.mend.title" : "tech.new.title")}</h1>
      {props.entry?.problem && <p class="failure">{[props.entry.problem.title, props.entry.problem.detail, props.entry.problem.mend].filter(Boolean).join(" ")}</p>}
      <fieldset class="tech-kinds">
        <legend>{t("tech.kind")}</legend>
        {KINDS.map((kind) => (
          <label key={kind}>
            <input type="radio" name="kind" checked={form.kind === kind} onChange={() => set({ kind })} />
            {word("device", kind)}
          </label>
        ))}
      </fieldset>
      <div class="tech-field">
        <label for="imei">{t("tech.imei")}</label>
        <div class="tech-with">
          <input
            id="imei"
            name="imei"
            inputMode="numeric"
            autocomplete="off"
            value={form.imei}
            maxLength={40}
            aria-describedby="imei-says"
            aria-invalid={verdict.state === "wrong" || verdict.state === "label"}
            onInput={(event) => set({ imei: event.currentTarget.value, imei_as_labelled: false })}
          />
          <button type="button" onClick={() => setScanning("imei")}>
            <Icon name="camera" /> {t("tech.scan")}
          </button>
        </div>
        <p id="imei-says" class={`tech-says ${verdict.state}`} aria-live="polite">
          {verdict.says ? t(verdict.says, verdict.values) : t("tech.imei.hint")}
        </p>
        {verdict.state === "label" && (
          <label class="check">
            <input type="checkbox" checked={form.imei_as_labelled} onChange={(event) => set({ imei_as_labelled: event.currentTarget.checked })} />
            {t("tech.imei.asLabelled")}
          </label>
        )}
      </div>
      <div class="tech-field">
        <label for="number">{t("tech.number")}</label>
        <div class="tech-with">
          <input id="number" name="number" inputMode="tel" autocomplete="off" value={form.number} maxLength={24} onInput={(event) => set({ number: event.currentTarget.value })} />
          <button type="button" onClick={() => setScanning("number")}>
            <Icon name="camera" /> {t("tech.scan")}
          </button>
        </div>
      </div>
      {VEHICLES.has(form.kind) && (
        <>
          <Field name="plate" says={t("tech.plate")} value={form.plate} most={20} set={(plate) => set({ plate })} />
          <Field name="owner_ref" says={t("tech.owner")} value={form.owner_ref} most={100} set={(owner_ref) => set({ owner_ref })} />
        </>
      )}
      <Field name="name" says={t("tech.name")} value={form.name} most={100} set={(name) => set({ name })} />
      <Field name="site" says={t("tech.site")} value={form.site} most={64} set={(site) => set({ site: site.trim() })} list="sites" hint={t("tech.site.hint")} />
      <datalist id="sites">
        {sites.map((site) => (
          <option key={site.site} value={site.site} label={site.name} />
        ))}
      </datalist>
      {form.kind === "camera" ? (
        <Field name="rtsp" says={t("tech.rtsp")} value={form.rtsp} most={500} set={(rtsp) => set({ rtsp: rtsp.trim() })} hint={t("tech.rtsp.hint")} />
      ) : (
        <>
          <Field name="cameras" says={t("tech.cameras")} value={form.cameras} most={500} set={(given) => set({ cameras: given })} list="cameras" hint={t("tech.cameras.hint")} />
          <datalist id="cameras">
            {cameras.map((camera) => (
              <option key={camera.device} value={camera.device} label={camera.name} />
            ))}
          </datalist>
        </>
      )}
      <section class="tech-place" aria-label={t("tech.place")}>
        <h2>{t("tech.place")}</h2>
        {place && (
          <p class={place.accuracy_m > ROUGH_M ? "warn-text" : ""}>
            {place.lat.toFixed(6)}, {place.lon.toFixed(6)} · ±{place.accuracy_m} m
            {place.accuracy_m > ROUGH_M && ` · ${t("tech.place.rough")}`}
          </p>
        )}
        {!secure && <p class="warn-text">{t("tech.insecure")}</p>}
        {placing && placing !== "busy" && (
          <p class="warn-text" role="alert">
            {t(placing === "denied" ? "tech.place.denied" : placing === "timeout" ? "tech.place.timeout" : "tech.place.none")}
          </p>
        )}
        <button type="button" disabled={placing === "busy" || !secure} onClick={() => void locate()}>
          {t(placing === "busy" ? "tech.place.busy" : place ? "tech.place.again" : "tech.place.take")}
        </button>
      </section>
      <section aria-label={t("tech.photos")}>
        <h2>{t("tech.photos")}</h2>
        <ul class="tech-shots">
          {shots.map((shot) => (
            <li key={shot.url}>
              <img src={shot.url} alt={shot.name} />
              <button type="button" aria-label={`${t("tech.photo.drop")} ${shot.name}`} onClick={() => setShots((now) => now.filter((one) => one !== shot))}>
                ✕
              </button>
            </li>
          ))}
        </ul>
        {shots.length < MOST_PHOTOS && (
          <label class="tech-file">
            {t("tech.photo.take")}
            <input type="file" accept="image/*" capture="environment" multiple onChange={(event) => void takePhotos(event)} />
          </label>
        )}
      </section>
      <details>
        <summary>{t("tech.more")}</summary>
        <div class="stack">
          <label>
            {t("tech.protocol")}
            <select name="protocol" value={form.protocol} onChange={(event) => set({ protocol: event.currentTarget.value })}>
              <option value="">{t("tech.protocol.none")}</option>
              {PROTOCOLS.map((one) => (
                <option key={one} value={one}>
                  {one}
                </option>
              ))}
            </select>
          </label>
          <Field name="model" says={t("tech.model")} value={form.model} most={60} set={(model) => set({ model })} />
          <Field name="device" says={t("tech.id")} value={form.device} most={80} set={(device) => set({ device: device.trim() })} hint={t("tech.id.hint", { id: madeId(form.kind, form.imei, form.number) || "—" })} />
          <Field name="gateway" says={t("tech.gateway")} value={form.gateway} most={80} set={(gateway) => set({ gateway: gateway.trim() })} />
        </div>
      </details>
      {trouble && (
        <p class="failure" role="alert">
          {trouble}
        </p>
      )}
      <div class="tech-deeds">
        <button class="primary">{t("tech.save")}</button>
        <button type="button" onClick={() => go("/technician")}>
          {t("do.cancel")}
        </button>
      </div>
      {scanning && <Scan onRead={read} onClose={() => setScanning("")} />}
    </form>
  );
}

export function Field(props: {
  name: string;
  says: string;
  value: string;
  most: number;
  set: (value: string) => void;
  list?: string;
  hint?: string;
  required?: boolean;
}) {
  return (
    <label>
      {props.says}
      <input
        type="text"
        name={props.name}
        value={props.value}
        maxLength={props.most}
        autocomplete="off"
        spellcheck={false}
        {...(props.list ? { list: props.list } : {})}
        {...(props.required ? { required: true } : {})}
        onInput={(event) => props.set(event.currentTarget.value)}
      />
      {props.hint && <small>{props.hint}</small>}
    </label>
  );
}
