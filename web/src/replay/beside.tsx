// Beside the stage: what is known of each vehicle, everything that happened as a list that moves the clock, and the cameras it passed
// with what is recorded of that.

import { useEffect, useState } from "preact/hooks";
import { address, get, path, post } from "../api/client";
import type { CameraPass, Evidence } from "../api/types";
import { distance } from "../desk/words";
import { clockTime, span } from "../state/time";
import { t, word } from "../text";
import { Dialog } from "../ui/dialog";
import { Failure, say, sayError } from "../ui/notices";
import type { Replay, Vehicle } from "./read";
import { seekMs } from "./stage";

const CLIP_TIMEOUT_MS = 120_000;

export function Facts({ replay, purpose }: { replay: Replay; purpose: string }) {
  return (
    <>
      {(replay.allowedBy || replay.duplicates > 0) && (
        <p class="fine">
          {replay.allowedBy && t("search.allowedBy", { by: replay.allowedBy })} {replay.duplicates > 0 && t("replay.duplicates", { n: replay.duplicates })}
        </p>
      )}
      {replay.fleet !== null && <p>{t("replay.fleetOf", { n: replay.fleet })}</p>}
      {replay.vehicles.map((one) => (
        <VehicleFacts key={one.device} vehicle={one} purpose={purpose} />
      ))}
    </>
  );
}

interface Moment {
  atMs: number;
  says: string;
  more: string;
}

function momentsOf(one: Vehicle): Moment[] {
  const made: Moment[] = [
    ...one.trips.map((trip) => ({ atMs: Date.parse(trip.start), says: t("replay.trip"), more: `${(trip.distance_m / 1000).toFixed(1)} km · ${span(trip.duration_s * 1000)}` })),
    ...one.stops.map((stop) => ({ atMs: stop.fromMs, says: t("replay.stop"), more: span(stop.toMs - stop.fromMs) })),
    ...one.gaps.map((gap) => ({ atMs: gap.fromMs, says: t("replay.gap"), more: span(gap.toMs - gap.fromMs) })),
    ...one.signals.map((signal) => ({ atMs: signal.atMs, says: t("replay.signal"), more: word("kind", signal.name) })),
    ...one.alarms.map((alarm) => ({ atMs: alarm.atMs, says: t("replay.alarm"), more: word("kind", alarm.name) })),
  ];
  return made.filter((moment) => !Number.isNaN(moment.atMs)).sort((a, b) => a.atMs - b.atMs);
}

function VehicleFacts({ vehicle, purpose }: { vehicle: Vehicle; purpose: string }) {
  const { totals } = vehicle;
  const moments = momentsOf(vehicle);
  return (
    <div class="vehicle" style={{ borderLeftColor: vehicle.colour }}>
      <h3>
        {vehicle.device} {vehicle.plate}
      </h3>
      <p>
        {t("replay.points", { n: vehicle.track.timeMs.length })}
        {vehicle.odd.length > 0 && ` · ${t("replay.odd", { n: vehicle.odd.length })}`}
      </p>
      <p>{t("replay.totals", { km: (totals.distance_m / 1000).toFixed(1), driving: span(totals.driving_s * 1000), standing: span(totals.standing_s * 1000) })}</p>
      {vehicle.leftOut.length > 0 && <p class="warn-text">{t("replay.leftOut", { what: vehicle.leftOut.join(", ") })}</p>}
      {moments.length > 0 && (
        <details>
          <summary>
            {t("replay.moments")} ({moments.length})
          </summary>
          <ul class="plain pieces">
            {moments.map((one) => (
              <li key={`${one.atMs}${one.says}${one.more}`}>
                <button onClick={() => (seekMs.value = one.atMs)}>
                  <span>
                    {clockTime(one.atMs)} {one.says}
                  </span>
                  <span>{one.more}</span>
                </button>
              </li>
            ))}
          </ul>
        </details>
      )}
      {vehicle.evidence.length > 0 && (
        <details>
          <summary>
            {t("alarm.evidence")} ({vehicle.evidence.length})
          </summary>
          <ul class="plain pieces">
            {vehicle.evidence.map((piece) => (
              <Piece key={piece.evidence} piece={piece} purpose={purpose} />
            ))}
          </ul>
        </details>
      )}
      {vehicle.cameras && (
        <details data-cameras={vehicle.cameras.length}>
          <summary>
            {t("replay.cameras")} ({vehicle.cameras.length})
          </summary>
          <ul class="plain pieces">
            {vehicle.cameras.map((pass) => (
              <Pass key={`${pass.camera}${pass.from}`} pass={pass} purpose={purpose} />
            ))}
            {!vehicle.cameras.length && <li class="fine">{t("replay.noCameras")}</li>}
          </ul>
        </details>
      )}
    </div>
  );
}

function Piece({ piece, purpose }: { piece: Evidence; purpose: string }) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <span>
        {piece.time ? clockTime(Date.parse(piece.time)) : ""} {word("evidence", piece.kind)}
      </span>
      <button onClick={() => setOpen(true)}>{t("replay.openIt")}</button>
      {open && <EvidenceDialog evidence={piece.evidence} title={word("evidence", piece.kind)} purpose={purpose} onClose={() => setOpen(false)} />}
    </li>
  );
}

/** A camera that the vehicle passed: from when to when it was in view, and the recording or clip of that. */
function Pass({ pass, purpose }: { pass: CameraPass; purpose: string }) {
  const [clip, setClip] = useState("");
  const [busy, setBusy] = useState(false);
  const recordedS = pass.recorded?.reduce((sum, one) => sum + one.seconds, 0) ?? 0;
  const name = pass.name || pass.camera;
  async function pull(): Promise<void> {
    setBusy(true);
    try {
      const { camera, from_ms, to_ms } = pass.pull;
      const made = await post<{ evidence?: string }>("/clip/cameras", { camera, from_ms, to_ms, purpose }, { timeoutMs: CLIP_TIMEOUT_MS });
      say("good", t("replay.pulled"), made.evidence ?? "");
      setClip(made.evidence ?? "");
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  const query = new URLSearchParams({ from: new Date(pass.pull.from_ms).toISOString(), to: new Date(pass.pull.to_ms).toISOString() });
  return (
    <li class="pass" data-camera={pass.camera}>
      <button class="quiet" title={t("replay.goThere")} onClick={() => (seekMs.value = Date.parse(pass.from))}>
        {clockTime(Date.parse(pass.from))} – {clockTime(Date.parse(pass.to))}
      </button>
      <span>
        {name} <small>{distance(pass.range_m)}</small>
      </span>
      <span class="acts">
        <small>{recordedS > 0 ? t("replay.recorded", { n: Math.round(recordedS) }) : pass.recorded === null ? t("replay.notTold") : t("replay.notRecorded")}</small>
        <a href={`/cameras/${pass.camera}?${query.toString()}`}>{t("replay.recordings")}</a>
        {recordedS > 0 && pass.pull.operation === "camera_clip" && (
          <button disabled={busy} onClick={() => void pull()}>
            {t(busy ? "replay.pulling" : "replay.pull")}
          </button>
        )}
      </span>
      {clip && <EvidenceDialog evidence={clip} title={name} purpose={purpose} onClose={() => setClip("")} />}
    </li>
  );
}

/** A piece of evidence: read under the purpose, shown, and given as a file. Bytes from devices are played or shown, never interpreted. */
function EvidenceDialog(props: { evidence: string; title: string; purpose: string; onClose: () => void }) {
  const [piece, setPiece] = useState<(Evidence & { url: string }) | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let url = "";
    let ended = false;
    void (async () => {
      try {
        const where = path("/evidence/{evidence}", { evidence: props.evidence });
        const said = await get<Evidence>(where, { purpose: props.purpose });
        const answer = await fetch(address(`${where}/bytes`, { purpose: props.purpose }), { credentials: "same-origin", cache: "no-store" });
        if (!answer.ok) throw new Error(`${answer.status}`);
        const blob = await answer.blob();
        if (ended) return;
        url = URL.createObjectURL(new Blob([blob], { type: MEDIA[said.format] ?? "application/octet-stream" }));
        setPiece({ ...said, url });
      } catch (problem) {
        if (!ended) setError(problem);
      }
    })();
    return () => {
      ended = true;
      if (url) URL.revokeObjectURL(url);
    };
  }, [props.evidence]);
  return (
    <Dialog title={props.title} onClose={props.onClose} wide plain>
      <div class="stack evidence">
        {error !== null && <Failure error={error} />}
        {!piece && error === null && <p class="empty">{t("app.loading")}</p>}
        {piece && MEDIA[piece.format]?.startsWith("video/") && <video controls autoPlay muted src={piece.url} />}
        {piece && MEDIA[piece.format]?.startsWith("image/") && <img src={piece.url} alt={props.title} />}
        {piece && (
          <p class="fine">
            SHA-256 <code>{piece.sha256}</code>{" "}
            <a href={piece.url} download={`${piece.evidence}.${piece.format}`}>
              {t("do.save")}
            </a>
          </p>
        )}
      </div>
    </Dialog>
  );
}

const MEDIA: Record<string, string> = { mp4: "video/mp4", jpeg: "image/jpeg", jpg: "image/jpeg", png: "image/png" };
