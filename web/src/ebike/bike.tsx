// An e-bike by itself: as it is registered, armed and disarmed, its cases. Its place is its owner's: it is not here.

import { useEffect, useState } from "preact/hooks";
import { first } from "../api/first";
import { CommandList, useCommands, type Commands } from "../commands/list";
import { is } from "../state/session";
import { when } from "../state/time";
import { useRegistered, type Registered } from "../taxi/page";
import { t } from "../text";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/notices";
import { casePath, isOpen, reportedAt, type Case } from "./case";

const DEEDS = ["arm", "disarm", "siren"] as const;
type Deed = (typeof DEEDS)[number];
const SURE = { arm: "cmds.sureArm", disarm: "cmds.sureDisarm", siren: "cmds.sureSiren" } as const;

/** Arm, disarm, sound the siren: asked once more, with why. */
export function BikeDeeds(props: { device: string; commands: Commands }) {
  const [asking, setAsking] = useState<Deed | null>(null);
  return (
    <div class="chips bike-deeds">
      {DEEDS.map((deed) => (
        <button key={deed} data-deed={deed} onClick={() => setAsking(deed)}>
          {t(`cmd.${deed}`)}
        </button>
      ))}
      {asking && <Sure device={props.device} deed={asking} commands={props.commands} onClose={() => setAsking(null)} />}
    </div>
  );
}

function Sure(props: { device: string; deed: Deed; commands: Commands; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const says = t(`cmd.${props.deed}`);
  return (
    <Dialog
      title={says}
      onClose={props.onClose}
      onSubmit={() => {
        setBusy(true);
        const args = props.deed === "siren" ? { seconds: 10 } : {};
        void props.commands.give({ name: props.deed, args, reason: reason.trim() }).then(() => props.onClose());
      }}
    >
      <p>{t("cmds.sure", { device: props.device, command: says })}</p>
      <p class="fine">{t(SURE[props.deed])}</p>
      <label>
        {t("cmds.reason")}
        <input name="reason" data-first maxLength={500} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="primary" disabled={busy}>
          {says}
        </button>
      </footer>
    </Dialog>
  );
}

export function AsRegistered({ found }: { found: Registered | null }) {
  if (!found) return null;
  return (
    <dl class="facts">
      {found.plate && (
        <>
          <dt>{t("ebike.plate")}</dt>
          <dd>{found.plate}</dd>
        </>
      )}
      {found.name && (
        <>
          <dt>{t("ebike.name")}</dt>
          <dd>{found.name}</dd>
        </>
      )}
      {found.model && (
        <>
          <dt>{t("taxi.model")}</dt>
          <dd>{found.model}</dd>
        </>
      )}
      {!found.enabled && (
        <>
          <dt>{t("taxi.status")}</dt>
          <dd class="bad-text">{t("taxi.disabled")}</dd>
        </>
      )}
    </dl>
  );
}

export function BikePane(props: { device: string; onReport: () => void }) {
  const { device } = props;
  const { found, error, again } = useRegistered(device);
  const commands = useCommands(device);
  const [cases, setCases] = useState<Case[] | null>(null);
  const [failed, setFailed] = useState<unknown>(null);
  useEffect(() => {
    first<Case>("/cases", { device, all: true }).then(setCases, setFailed);
  }, [device]);
  const open = cases?.find(isOpen);
  if (error !== null) {
    return (
      <div class="case-pane pad">
        <Failure error={error} again={again} />
      </div>
    );
  }
  return (
    <article class="case-pane" aria-labelledby="bike-title" data-bike={device}>
      <header class="panel-head">
        <h1 id="bike-title">{device}</h1>
        <BikeDeeds device={device} commands={commands} />
        {cases && !open && is("operator", "supervisor") && (
          <button class="primary" onClick={props.onReport}>
            {t("ebike.report")}
          </button>
        )}
      </header>
      <div class="columns">
        <section>
          <h2>{t("ebike.registered")}</h2>
          <AsRegistered found={found} />
          <h2>{t("ebike.places")}</h2>
          <p class="fine" data-hidden="yes">
            {open ? <a href={casePath(open.case)}>{open.case}</a> : t("ebike.placesHidden")}
          </p>
          <h2>{t("ebike.casesOf")}</h2>
          {failed !== null && <Failure error={failed} />}
          {cases && !cases.length && <p class="fine">{t("ebike.noCasesOf")}</p>}
          <ul class="plain">
            {cases?.map((one) => (
              <li key={one.case}>
                <a href={casePath(one.case)}>{one.case}</a>
                <span>
                  {t(`case.${one.state}`)} <small>{when(reportedAt(one))}</small>
                </span>
              </li>
            ))}
          </ul>
        </section>
        <section>
          <CommandList of={commands} />
        </section>
      </div>
    </article>
  );
}
