// One live picture. It plays while it can be seen: a tile out of sight, and a page in the background, hold no stream.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { clockTime } from "../state/time";
import { t } from "../text";
import { Player, type Face } from "./player";

const LOOK_MS = 250;
/** Out of sight for so long: the stream ends. */
const HIDDEN_MS = 3_000;

export interface TileProps {
  camera: string;
  name: string;
  purpose: string;
  /** From when on, as far as the service still has it; null: live. */
  fromMs: number | null;
  /** Beside the name. */
  note?: ComponentChildren;
  /** What is known of why there is no picture. */
  why?: string;
  children?: ComponentChildren;
}

/** Whether an element is in sight of a page that is in front. */
export function useInSight(at: { current: HTMLElement | null }): boolean {
  const [seen, setSeen] = useState(true);
  useEffect(() => {
    if (!at.current) return undefined;
    let inView = true;
    let timer = 0;
    const tell = (): void => {
      window.clearTimeout(timer);
      if (inView && !document.hidden) setSeen(true);
      else timer = window.setTimeout(() => setSeen(false), HIDDEN_MS);
    };
    const watch = new IntersectionObserver((found) => {
      inView = found[found.length - 1]?.isIntersecting ?? true;
      tell();
    });
    watch.observe(at.current);
    document.addEventListener("visibilitychange", tell);
    return () => {
      window.clearTimeout(timer);
      watch.disconnect();
      document.removeEventListener("visibilitychange", tell);
    };
  }, []);
  return seen;
}

export function Tile(props: TileProps) {
  const box = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<Player | null>(null);
  const [face, setFace] = useState<Face | null>(null);
  const [turn, setTurn] = useState(0);
  const inSight = useInSight(box);
  const begun = useRef(false);
  useEffect(() => {
    if (!video.current || !inSight) return undefined;
    // who comes back into sight is shown what is now
    const fromMs = begun.current ? null : props.fromMs;
    begun.current = true;
    const made = new Player(video.current, props.camera, props.purpose, fromMs);
    player.current = made;
    const timer = setInterval(() => setFace(made.face()), LOOK_MS);
    return () => {
      clearInterval(timer);
      made.stop();
      player.current = null;
    };
  }, [turn, inSight, props.camera, props.purpose]);
  const cover = !inSight ? t("tiles.paused") : face ? coverOf(face, props.why ?? "") : t("tiles.connecting");
  return (
    <div ref={box} class={face?.stale ? "tile stale" : "tile"} data-camera={props.camera} data-mode={face?.mode} data-live={face?.live} data-seen={inSight}>
      <video ref={video} muted playsInline aria-label={props.name} hidden={face?.mode === "jpeg"} />
      {face?.mode === "jpeg" && face.jpeg && (
        <img src={face.jpeg} alt={props.name} onLoad={() => player.current?.jpegLoaded()} onError={() => player.current?.jpegFailed()} />
      )}
      <div class="caption">
        <span>{props.name}</span>
        {props.note && <span>{props.note}</span>}
      </div>
      {cover && <div class="cover">{cover}</div>}
      <div class="foot">
        {face?.pictureMs ? (
          <span>
            <span class={face.live ? "mark-live" : ""}>{t(face.live ? "tiles.atLive" : "tiles.recorded")}</span> {clockTime(face.pictureMs)} ·{" "}
            {t("tiles.age", { n: (face.ageMs / 1000).toFixed(face.ageMs < 10_000 ? 1 : 0) })}
            {face.transcoded && ` · ${t("tiles.transcoded")}`}
          </span>
        ) : (
          <span>{face?.mode === "jpeg" && !face.trouble ? t("tiles.stills") : ""}</span>
        )}
        {face && face.mode === "mp4" && !face.live && <button onClick={() => player.current?.toLive()}>{t("tiles.live")}</button>}
        {face && props.fromMs !== null && face.live && face.pictureMs > 0 && (
          <button
            onClick={() => {
              begun.current = false;
              setTurn(turn + 1);
            }}
          >
            {t("tiles.again")}
          </button>
        )}
        {props.children}
      </div>
    </div>
  );
}

function coverOf(face: Face, why: string): string {
  const lines: string[] = [];
  if (face.stale && face.pictureMs) lines.push(t("tiles.stale", { time: clockTime(face.pictureMs) }));
  if (face.trouble === "connecting") lines.push(t("tiles.connecting"));
  if (face.trouble === "lost") lines.push(t("tiles.lost"));
  if (face.trouble === "refused") lines.push(t("tiles.refused", { why: face.why }));
  if (face.trouble === "busy") lines.push(t("tiles.busy", { why: face.why }));
  if (face.trouble === "ended") lines.push([t("tiles.ended"), face.why].filter(Boolean).join("\n"));
  if (lines.length && why && !face.pictureMs) lines.push(why);
  return lines.join("\n");
}
