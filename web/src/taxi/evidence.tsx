// What a device sent as evidence; a picture is opened one by one, for every opening is a row of the audit.

import { useEffect, useState } from "preact/hooks";
import { address } from "../api/client";
import { first } from "../api/first";
import type { Evidence } from "../api/types";
import type { Command } from "../commands/life";
import { when } from "../state/time";
import { t, word } from "../text";
import { Failure } from "../ui/notices";

const PICTURES = new Set(["jpg", "jpeg", "png"]);
const MOST = 30;

export function DeviceEvidence(props: { device: string; alarm: string; purpose: string; fresh: readonly Command[] }) {
  const { device, purpose } = props;
  const [found, setFound] = useState<Evidence[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [open, setOpen] = useState("");
  // A photo that was asked for may have come when its command got on.
  const photos = props.fresh.filter((one) => one.name === "snapshot").map((one) => `${one.command}:${one.version}`).join();
  useEffect(() => {
    if (!purpose) return undefined;
    const ended = new AbortController();
    const read = (): void => {
      first<Evidence>("/evidence", { device, purpose, limit: MOST }, { signal: ended.signal }).then(
        (rows) => {
          setFound(rows);
          setError(null);
        },
        (problem: unknown) => {
          if (!ended.signal.aborted) setError(problem);
        },
      );
    };
    read();
    // The picture comes after the answer: looked for once more.
    const timer = photos ? setTimeout(read, 4000) : 0;
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [device, purpose, photos]);
  return (
    <section class="pad evidence">
      <h2>{t("taxi.evidence")}</h2>
      {error !== null && <Failure error={error} />}
      {purpose && found && !found.length && <p class="fine">{t("taxi.noEvidence")}</p>}
      <ul class="plain">
        {found?.map((piece) => {
          const bytes = address(`/evidence/${encodeURIComponent(piece.evidence)}/bytes`, { purpose });
          const shown = open === piece.evidence;
          return (
            <li key={piece.evidence} class={shown ? "open" : ""}>
              <span>
                {word("evidence", piece.kind)} <small>{when(piece.time)}</small>
              </span>
              <span class="chips">
                {PICTURES.has(piece.format) && (
                  <button class="small" aria-expanded={shown} onClick={() => setOpen(shown ? "" : piece.evidence)}>
                    {t(shown ? "taxi.hide" : "taxi.show")}
                  </button>
                )}
                <a class="button small" href={bytes} download>
                  {t("do.save")}
                </a>
              </span>
              {shown && <img src={bytes} alt={`${word("evidence", piece.kind)} ${when(piece.time)}`} />}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
