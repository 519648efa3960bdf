// The wall: up to sixteen live pictures, in their places; each plays while it can be seen.

import { useLayoutEffect, useState } from "preact/hooks";
import { go } from "../router";
import { t } from "../text";
import { use } from "../ui/keys";
import { Tile } from "../video/tile";
import { offWall, SIZES, wall, wallSize, type WallSize } from "./why";

const KEY_OF_SIZE: Record<WallSize, string> = { 1: "1", 4: "2", 9: "3", 16: "4" };

export function Wall({ purpose }: { purpose: string }) {
  const size = wallSize.value;
  const [page, setPage] = useState(0);
  const [at, setAt] = useState(0);
  const pages = Math.max(1, Math.ceil(wall.value.length / size));
  const here = Math.min(page, pages - 1);
  const shown = wall.value.slice(here * size, (here + 1) * size);
  const across = Math.sqrt(size);
  const current = Math.min(at, Math.max(0, shown.length - 1));
  const move = (by: number): void => setAt(Math.min(Math.max(0, current + by), Math.max(0, shown.length - 1)));
  const camera = shown[current]?.camera;
  useLayoutEffect(
    () =>
      use({
        title: "keys.cameras.wall",
        bindings: [
          ...SIZES.map((one) => ({ keys: [KEY_OF_SIZE[one]], says: `wall.size.${one}` as const, run: () => (wallSize.value = one) })),
          { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], says: "keys.wall.move", run: (event) => move({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key] ?? 0) },
          { keys: ["Enter"], says: "keys.wall.open", run: () => camera && go(`/cameras/${camera}?tab=live`) },
          { keys: ["Delete"], says: "wall.remove", run: () => camera && offWall(camera) },
          { keys: ["PageDown"], says: "keys.wall.next", run: () => setPage((here + 1) % pages) },
          { keys: ["PageUp"], says: "keys.wall.back", run: () => setPage((here + pages - 1) % pages) },
        ],
      }),
    [size, current, camera, here, pages, shown.length],
  );
  return (
    <div class="cam-live">
      <div class="cam-bar">
        <div class="chips" role="radiogroup" aria-label={t("wall.sizes")}>
          {SIZES.map((one) => (
            <button key={one} role="radio" aria-checked={one === size} onClick={() => (wallSize.value = one)}>
              {one} <kbd>{KEY_OF_SIZE[one]}</kbd>
            </button>
          ))}
        </div>
        {pages > 1 && (
          <>
            <button onClick={() => setPage((here + pages - 1) % pages)} aria-label={t("keys.wall.back")}>
              ‹
            </button>
            <span>{t("wall.page", { n: here + 1, all: pages })}</span>
            <button onClick={() => setPage((here + 1) % pages)} aria-label={t("keys.wall.next")}>
              ›
            </button>
          </>
        )}
        {wall.value.length > 0 && <button onClick={() => (wall.value = [])}>{t("wall.clear")}</button>}
      </div>
      {shown.length === 0 ? (
        <p class="empty">{t("wall.empty")}</p>
      ) : (
        <div class={`tiles cam-stage wall-${size}`} data-size={size}>
          {shown.map((one, i) => (
            <div key={one.camera} class={i === current ? "wall-cell current" : "wall-cell"} onClick={() => setAt(i)} onDblClick={() => go(`/cameras/${one.camera}?tab=live`)}>
              <Tile camera={one.camera} name={one.name} purpose={purpose} fromMs={null}>
                <span class="tile-deeds">
                  <button aria-label={`${t("keys.wall.open")}: ${one.name}`} onClick={() => go(`/cameras/${one.camera}?tab=live`)}>
                    ⤢
                  </button>
                  <button aria-label={`${t("wall.remove")}: ${one.name}`} onClick={() => offWall(one.camera)}>
                    ✕
                  </button>
                </span>
              </Tile>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
