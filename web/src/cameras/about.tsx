// How a camera is: state, stream, what is decoded and why, what the gate does; let back, tried.

import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { path, post } from "../api/client";
import { session } from "../state/session";
import { span, tick, when } from "../state/time";
import { language, t, word } from "../text";
import { say, sayError } from "../ui/notices";
import { may } from "./allowed";
import { StateMark } from "./marks";
import type { CameraDetails, Probe } from "./types";

const PROBE_MS = 60_000;

export function About({ details, again }: { details: CameraDetails; again: () => void }) {
  const role = session.value?.role;
  const [busy, setBusy] = useState(false);
  const [probe, setProbe] = useState<Probe | null>(null);
  const { camera } = details;
  const unit = (value: number | null, key: "cameras.kbps" | "cameras.fpsUnit" | "cameras.msUnit" | "cameras.sUnit"): string =>
    value === null ? t("app.none") : t(key, { n: value });
  async function unpark(): Promise<void> {
    setBusy(true);
    try {
      await post(path("/cameras/{camera}/unpark", { camera }));
      say("good", t("cameras.unparked"));
      again();
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  async function tryIt(): Promise<void> {
    setBusy(true);
    setProbe(null);
    try {
      setProbe(await post<Probe>("/probe/cameras", { camera }, { timeoutMs: PROBE_MS }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  const since = details.since ? Date.parse(details.since) : 0;
  return (
    <div class="cam-about">
      {details.state === "parked" && (
        <div class="failure" role="alert">
          <strong>{t("cameras.parkedWhy")}</strong>
          <p>{details.detail}</p>
          {may(role, "unpark") && (
            <button disabled={busy} onClick={() => void unpark()}>
              {t("cameras.unpark")}
            </button>
          )}
        </div>
      )}
      <div class="columns">
        <section>
          <h2>{t("cameras.now")}</h2>
          <dl class="facts">
            <dt>{t("cameras.state")}</dt>
            <dd>
              <StateMark state={details.state} word /> {since > 0 && <small>{t("cameras.since", { age: span(tick.value - since) })}</small>}
            </dd>
            <dt>{t("cameras.health")}</dt>
            <dd>{details.health.length ? details.health.map((one) => word("camHealth", one)).join(" · ") : t("cameras.healthy")}</dd>
            {details.loss && (
              <>
                <dt>{t("cameras.loss")}</dt>
                <dd class="bad-text">
                  {word("camLoss", details.loss)} {details.detail && <small>{details.detail}</small>}
                </dd>
              </>
            )}
            <dt>{t("cameras.recording")}</dt>
            <dd>
              {word("camRecord", details.record)} {details.recording === true && <strong class="good-text">● {t("cameras.recordsNow")}</strong>}
            </dd>
            <dt>{t("cameras.masks")}</dt>
            <dd>{details.masked ? t("cameras.maskCount", { n: details.settings.masks.length }) : t("cameras.noMasks")}</dd>
          </dl>
        </section>
        <section>
          <h2>{t("cameras.stream")}</h2>
          <dl class="facts">
            <dt>{t("cameras.codec")}</dt>
            <dd>
              {details.codec || t("app.none")} {details.width_px !== null && `${details.width_px} × ${details.height_px}`}
            </dd>
            <dt>{t("cameras.fps")}</dt>
            <dd>{unit(details.fps, "cameras.fpsUnit")}</dd>
            <dt>{t("cameras.bitrate")}</dt>
            <dd>{unit(details.bitrate_kbps, "cameras.kbps")}</dd>
            <dt>{t("cameras.keyframes")}</dt>
            <dd>{unit(details.keyframe_gap_s, "cameras.sUnit")}</dd>
            <dt>{t("cameras.lag")}</dt>
            <dd>{unit(details.lag_ms, "cameras.msUnit")}</dd>
            <dt>{t("cameras.mediaAge")}</dt>
            <dd>{unit(details.media_age_s, "cameras.sUnit")}</dd>
            <dt>{t("cameras.address")}</dt>
            <dd>
              {details.address} {details.sub_address && <small>{details.sub_address}</small>}
            </dd>
          </dl>
        </section>
        <section>
          <h2>{t("cameras.watching")}</h2>
          <dl class="facts">
            <dt>{t("cameras.policy")}</dt>
            <dd>{word("camPolicy", details.policy)}</dd>
            <dt>{t("cameras.mode")}</dt>
            <dd>{details.mode ? details.mode.split(" ").map((one) => word("camPolicy", one)).join(" ") : t("app.none")}</dd>
            <dt>{t("cameras.gate")}</dt>
            <dd>
              {details.gate ? word("camGate", details.gate) : t("app.none")} <small>{language.value === "zh" ? details.gate_why_zh : details.gate_why}</small>
            </dd>
            <dt>{t("cameras.recall")}</dt>
            <dd>{details.recall === null ? t("app.none") : `${(details.recall * 100).toFixed(1)} %`}</dd>
            <dt>{t("cameras.worker")}</dt>
            <dd>{details.worker ?? t("app.none")}</dd>
            <dt>{t("cameras.set")}</dt>
            <dd>{when(details.set)}</dd>
          </dl>
        </section>
      </div>
      {may(role, "probe") && (
        <section>
          <h2>{t("cameras.probe")}</h2>
          <p class="fine">{t("cameras.probeHint")}</p>
          <button disabled={busy} onClick={() => void tryIt()}>
            {t(busy ? "cameras.probing" : "cameras.probe")}
          </button>
          {probe && <ProbeTable probe={probe} title={t("cameras.mainStream")} />}
          {probe?.sub && <ProbeTable probe={probe.sub} title={t("cameras.subStream")} />}
        </section>
      )}
    </div>
  );
}

function ProbeTable({ probe, title }: { probe: Probe; title: string }) {
  const told = Object.entries(probe).filter(([key, value]) => key !== "ok" && key !== "camera" && value !== null && value !== "" && typeof value !== "object");
  return (
    <div class="cam-probe" role="status">
      <h3 class={probe.ok === false ? "bad-text" : "good-text"}>
        {title}: {t(probe.ok === false ? "cameras.probeBad" : "cameras.probeGood")}
      </h3>
      <dl class="facts">
        {told.map(([key, value]) => (
          <Fragment key={key}>
            <dt>{word("camProbe", key)}</dt>
            <dd>{key === "reason" ? word("camLoss", String(value)) : typeof value === "boolean" ? t(value ? "cameras.yes" : "cameras.no") : String(value)}</dd>
          </Fragment>
        ))}
      </dl>
    </div>
  );
}
