// The live test: four large ticks, each with its time or with what is missing, asked again every few seconds while the page is in
// sight. A press is announced first, so that the desk knows it for a test, and owned up to afterwards.

import { useEffect, useRef, useState } from "preact/hooks";
import { address, get, path, post } from "../api/client";
import { Problem } from "../api/problem";
import { clockTime, countdown, msOf, nowMs, tick } from "../state/time";
import { t, word } from "../text";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/marks";
import { Failure, say, sayError } from "../ui/notices";
import { Field } from "./register";
import type { BoundDevice, Check } from "./types";

const EVERY_MS = 3_000;
/** A fix farther than this from where its installer stood is another device's, or wrong. */
const FAR_M = 300;

export function whyText(code: string): string {
  const [name = "", reason = ""] = code.split(":");
  const said = word("tech_why", name);
  return said.replace("{reason}", name === "quarantined" ? word("tech_bad", reason) : word("loss", reason));
}

export function LiveTest(props: { device: BoundDevice; onChange: () => void }) {
  const { device } = props.device;
  const [check, setCheck] = useState<Check | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [ending, setEnding] = useState(false);
  const [busy, setBusy] = useState("");
  const [picture, setPicture] = useState("");
  const [offM, setOffM] = useState<number | null>(null);
  const over = useRef(false);
  const take = (found: Check): void => {
    setCheck(found);
    setError(null);
    if (found.off_m !== null) setOffM(found.off_m);
  };
  useEffect(() => {
    over.current = false;
    let timer = 0;
    async function look(): Promise<void> {
      if (!document.hidden) {
        try {
          const found = await get<Check>(path("/devices/{device}/check", { device }));
          if (over.current) return;
          take(found);
          if (found.done && !found.waiting && found.installation.ended) return;
        } catch (problem) {
          if (over.current) return;
          setError(problem);
          if (notOpen(problem)) return;
        }
      }
      timer = window.setTimeout(() => void look(), EVERY_MS);
    }
    void look();
    return () => {
      over.current = true;
      window.clearTimeout(timer);
    };
  }, [device]);
  useEffect(() => () => URL.revokeObjectURL(picture), [picture]);

  async function act(deed: string): Promise<void> {
    setBusy(deed);
    try {
      take(await post<Check>(path(`/devices/{device}/${deed}`, { device }), {}, { timeoutMs: 40_000 }));
      if (deed === "test_confirm") say("good", t("tech.test.confirmed"));
    } catch (problem) {
      sayError(problem);
    } finally {
      setBusy("");
    }
  }
  /** Whoever installs a camera sees its picture; of one that hung there already it is enough that it gives one. */
  async function takePicture(): Promise<void> {
    await act("test_picture");
    if (props.device.kind !== "camera") return;
    try {
      const purpose = `maintenance:${props.device.installation?.installation ?? ""}`;
      const answer = await fetch(address(path("/cameras/{device}/snapshot", { device }), { purpose }));
      if (answer.ok) setPicture(URL.createObjectURL(await answer.blob()));
    } catch (problem) {
      sayError(problem);
    }
  }
  async function again(): Promise<void> {
    try {
      await post(path("/devices/{device}/install", { device }));
      setError(null);
      props.onChange();
    } catch (problem) {
      sayError(problem);
    }
  }
  if (!check) return error === null ? <div class="loading">{t("app.loading")}</div> : <NotOpen error={error} again={again} />;
  const { installation } = check;
  const leftMs = (msOf(installation.until) ?? 0) - tick.value;
  const armedMs = (msOf(check.test_until) ?? 0) - tick.value;
  const waitMs = (msOf(check.waiting?.until) ?? 0) - tick.value;
  const wants = (step: string): boolean => check.steps.some((one) => one.step === step && one.state === "missing");
  const open = installation.open && leftMs > 0;
  return (
    <section class="tech-live" aria-label={t("tech.live")}>
      <header>
        <h2>{t("tech.live")}</h2>
        <span class={open ? "fine" : "warn-text"}>
          {installation.ended ? t("tech.live.ended") : open ? t("tech.live.left", { time: countdown(leftMs / 1000) }) : t("tech.live.over")}
        </span>
      </header>
      {error !== null && <Failure error={error} />}
      <ol class="tech-ticks" aria-live="polite">
        {check.steps.map((step) => (
          <li key={step.step} class={step.state} data-step={step.step} data-state={step.state}>
            <span class="mark" aria-hidden="true">
              {step.state === "seen" ? "✓" : step.state === "skipped" ? "–" : "…"}
            </span>
            <span>
              <strong>
                {word("tech_step", step.step)} <span class="visually-hidden">{word("tech_state", step.state)}</span>
              </strong>
              {step.time ? <time>{clockTime(msOf(step.time) ?? nowMs())}</time> : <small>{step.why ? whyText(step.why) : word("tech_state", step.state)}</small>}
              {step.step === "fix" && offM !== null && (
                <small class={offM > FAR_M ? "warn-text" : ""}>{t(offM > FAR_M ? "tech.off.far" : "tech.off", { m: Math.round(offM) })}</small>
              )}
            </span>
          </li>
        ))}
      </ol>
      {check.done && (
        <p class="tech-done" role="status">
          <Icon name="approve" /> {t("tech.live.done")}
        </p>
      )}
      {check.waiting && waitMs > 0 && (
        <div class="tech-press" role="alert">
          <p>{t("tech.test.came", { alarm: check.waiting.alarm, time: countdown(waitMs / 1000) })}</p>
          <button class="primary" disabled={!!busy} onClick={() => void act("test_confirm")}>
            {t("tech.test.mine")}
          </button>
        </div>
      )}
      {open && (
        <div class="tech-deeds">
          {wants("button") && armedMs <= 0 && (
            <button class="primary" disabled={!!busy} onClick={() => void act("test_press")}>
              {t("tech.test.press")}
            </button>
          )}
          {wants("button") && armedMs > 0 && <p class="tech-armed">{t("tech.test.armed", { time: countdown(armedMs / 1000) })}</p>}
          {check.steps.some((one) => one.step === "picture") && (
            <button disabled={!!busy} onClick={() => void takePicture()}>
              {t(busy === "test_picture" ? "tech.picture.busy" : "tech.picture.take")}
            </button>
          )}
          {props.device.protocol === "mqtt" && <Password device={device} />}
          <button class={check.done ? "primary" : ""} disabled={!!busy} onClick={() => setEnding(true)}>
            {t("tech.finish")}
          </button>
        </div>
      )}
      {!open && !check.done && (
        <div class="tech-deeds">
          <button class="primary" onClick={() => void again()}>
            {t("tech.again")}
          </button>
        </div>
      )}
      {picture && <img class="tech-picture" src={picture} alt={t("tech.picture.alt", { device })} />}
      {ending && (
        <Ending
          check={check}
          onClose={() => setEnding(false)}
          onDone={(found) => {
            take(found);
            setEnding(false);
            props.onChange();
          }}
        />
      )}
    </section>
  );
}

const notOpen = (error: unknown): boolean => error instanceof Problem && error.code === "not_found";

function NotOpen(props: { error: unknown; again: () => Promise<void> }) {
  return (
    <section class="tech-live">
      <h2>{t("tech.live")}</h2>
      {notOpen(props.error) ? <p class="fine">{t("tech.live.none")}</p> : <Failure error={props.error} />}
      <div class="tech-deeds">
        <button class="primary" onClick={() => void props.again()}>
          {t("tech.again")}
        </button>
      </div>
    </section>
  );
}

function Ending(props: { check: Check; onClose: () => void; onDone: (found: Check) => void }) {
  const missing = props.check.steps.filter((step) => step.state === "missing");
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>(null);
  async function submit(): Promise<void> {
    try {
      const body = { skip: missing.map((step) => step.step), note };
      props.onDone(await post<Check>(path("/devices/{device}/finish", { device: props.check.device }), body));
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t("tech.finish")} onClose={props.onClose} onSubmit={() => void submit()}>
      {missing.length > 0 ? (
        <>
          <p class="warn-text">{t("tech.finish.missing", { steps: missing.map((step) => word("tech_step", step.step)).join("、") })}</p>
          <Field name="note" says={t("tech.finish.why")} value={note} most={200} set={setNote} required />
        </>
      ) : (
        <p>{t("tech.finish.all")}</p>
      )}
      {error !== null && <Failure error={error} />}
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="primary" data-first>
          {t("tech.finish")}
        </button>
      </footer>
    </Dialog>
  );
}

/** A device's password is shown once: it goes into the device and nowhere else. */
function Password(props: { device: string }) {
  const [made, setMade] = useState<{ username: string; password: string } | null>(null);
  async function make(): Promise<void> {
    try {
      setMade(await post(path("/devices/{device}/credentials", { device: props.device }), { action: "new" }));
    } catch (problem) {
      sayError(problem);
    }
  }
  return (
    <>
      <button onClick={() => void make()}>{t("tech.password")}</button>
      {made && (
        <Dialog title={t("tech.password")} onClose={() => setMade(null)} firm>
          <p class="warn-text">{t("tech.password.once")}</p>
          <dl class="facts">
            <dt>{t("login.user")}</dt>
            <dd>{made.username}</dd>
            <dt>{t("login.password")}</dt>
            <dd>
              <code>{made.password}</code>
            </dd>
          </dl>
          <footer>
            <button type="button" class="primary" data-first onClick={() => setMade(null)}>
              {t("tech.password.written")}
            </button>
          </footer>
        </Dialog>
      )}
    </>
  );
}
