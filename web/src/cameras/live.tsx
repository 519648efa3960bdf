// One camera live, and single pictures of it.

import { useLayoutEffect, useState } from "preact/hooks";
import { save } from "../api/client";
import { session } from "../state/session";
import { t, word } from "../text";
import { use } from "../ui/keys";
import { Dialog } from "../ui/dialog";
import { say, sayError } from "../ui/notices";
import { Tile } from "../video/tile";
import { may } from "./allowed";
import { takePicture, type Taken } from "./picture";
import type { CameraDetails } from "./types";
import { putOnWall } from "./why";

export function LiveView({ details, purpose }: { details: CameraDetails; purpose: string }) {
  const role = session.value?.role;
  const [taken, setTaken] = useState<Taken | null>(null);
  const [busy, setBusy] = useState(false);
  const name = details.name || details.camera;
  async function snapshot(): Promise<void> {
    setBusy(true);
    try {
      setTaken(await takePicture(details.camera, purpose));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  function toWall(): void {
    if (putOnWall([{ camera: details.camera, name }])) say("warn", t("wall.full", { n: 1 }));
    else say("good", t("wall.added", { n: 1 }));
  }
  useLayoutEffect(
    () =>
      use({
        title: "keys.cameras.live",
        bindings: [
          { keys: ["p"], says: "cameras.snapshot", run: () => void snapshot() },
          ...(may(role, "watch") ? [{ keys: ["w"], says: "wall.add" as const, run: toWall }] : []),
        ],
      }),
    [details.camera, purpose],
  );
  return (
    <div class="cam-live">
      <div class="cam-bar">
        <button disabled={busy} onClick={() => void snapshot()}>
          {t(busy ? "cameras.taking" : "cameras.snapshot")} <kbd>P</kbd>
        </button>
        {may(role, "watch") && (
          <button onClick={toWall}>
            {t("wall.add")} <kbd>W</kbd>
          </button>
        )}
        {details.masked && <span class="fine">{t("cameras.maskedNote")}</span>}
      </div>
      <div class="tiles one cam-stage">
        {may(role, "watch") ? <Tile camera={details.camera} name={name} purpose={purpose} fromMs={null} why={whyDark(details)} /> : <p class="empty">{t("cameras.pictureOnly")}</p>}
      </div>
      {taken && (
        <Dialog
          title={t("cameras.snapshotOf", { name })}
          wide
          onClose={() => {
            URL.revokeObjectURL(taken.url);
            setTaken(null);
          }}
        >
          <img class="cam-picture" src={taken.url} alt={t("cameras.snapshotOf", { name })} />
          <footer>
            <button type="button" class="primary" data-first onClick={() => save(taken.blob, taken.name)}>
              {t("cameras.download")}
            </button>
          </footer>
        </Dialog>
      )}
    </div>
  );
}

/** What the service says of a camera that has no picture. */
function whyDark(details: CameraDetails): string {
  if (details.state !== "offline" && details.state !== "parked" && details.state !== "disabled") return "";
  return [t(`camState.${details.state}`), details.loss && word("camLoss", details.loss), details.detail].filter(Boolean).join(" · ");
}
