// Up to four live pictures beside an alarm, from ten seconds before it.

import type { NearCamera } from "../api/types";
import { t } from "../text";
import { Tile } from "../video/tile";
import { distance } from "./words";

export const MOST_TILES = 4;
export const BEFORE_MS = 10_000;

export function Tiles(props: { cameras: readonly NearCamera[]; purpose: string; fromMs: number | null }) {
  const shown = props.cameras.slice(0, MOST_TILES);
  if (!shown.length) return <p class="empty">{t("alarm.noCameras")}</p>;
  return (
    <div class={shown.length === 1 ? "tiles one" : "tiles"}>
      {shown.map((camera) => (
        <Tile
          key={`${camera.camera}|${props.purpose}|${props.fromMs}`}
          camera={camera.camera}
          name={camera.name || camera.camera}
          purpose={props.purpose}
          fromMs={props.fromMs}
          note={camera.distance_m === null ? undefined : distance(camera.distance_m)}
        >
          <a class="tile-open" href={pageOf(camera.camera, props.purpose, props.fromMs)} aria-label={`${t("tiles.open")}: ${camera.name || camera.camera}`} title={t("tiles.open")}>
            ⤢
          </a>
        </Tile>
      ))}
    </div>
  );
}

/** The camera's recordings around the alarm, for the same purpose. */
function pageOf(camera: string, purpose: string, fromMs: number | null): string {
  const query = new URLSearchParams({ tab: "recordings", purpose });
  if (fromMs !== null) query.set("at", new Date(fromMs).toISOString());
  return `/cameras/${camera}?${query.toString()}`;
}
