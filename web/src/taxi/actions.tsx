// What can be told to a taxi: a photo, a text, a call, and in its open emergency alone to listen in.

import { useState } from "preact/hooks";
import type { Alarm } from "../api/types";
import { HangUp, type Commands } from "../commands/list";
import { listenLeftS, mayStop } from "../commands/life";
import { is, session } from "../state/session";
import { countdown, tick } from "../state/time";
import { t } from "../text";
import { Dialog } from "../ui/dialog";
import { listenFor, whyNotListen } from "./listen";

const MAX_TEXT = 500;
const CHANNELS = [1, 2, 3, 4, 5, 6, 7, 8] as const;

export function Actions(props: { device: string; alarms: readonly Alarm[]; commands: Commands }) {
  const { device, alarms, commands } = props;
  const [channel, setChannel] = useState(1);
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState<"call" | "listen" | null>(null);
  const alarm = listenFor(alarms)?.alarm ?? alarms[0]?.alarm ?? "";
  async function give(body: Record<string, unknown>): Promise<boolean> {
    setBusy(true);
    const done = await commands.give({ ...(alarm ? { alarm } : {}), ...body });
    setBusy(false);
    return done;
  }
  return (
    <section class="pad actions">
      <h2>{t("taxi.actions")}</h2>
      <form
        class="deed-row"
        onSubmit={(event) => {
          event.preventDefault();
          void give({ name: "snapshot", args: { channel } });
        }}
      >
        <label>
          {t("taxi.channel")}
          <select value={channel} onChange={(event) => setChannel(Number(event.currentTarget.value))}>
            {CHANNELS.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <button id="taxi-photo" disabled={busy}>
          {t("taxi.photo")}
        </button>
        <button type="button" disabled={busy} onClick={() => setAsking("call")}>
          {t("cmd.call")}
        </button>
        <button type="button" disabled={busy} onClick={() => void give({ name: "track_faster", args: { interval_s: 5, for_s: 600 } })}>
          {t("taxi.trackFaster")}
        </button>
        <button type="button" disabled={busy} onClick={() => void give({ name: "query", args: { what: "position" } })}>
          {t("cmd.query")}
        </button>
      </form>
      <TextForm busy={busy} onSend={(args) => give({ name: "text", args })} />
      <Listen alarms={alarms} commands={commands} onAsk={() => setAsking("listen")} />
      {asking === "call" && (
        <Dialog title={t("cmd.call")} onClose={() => setAsking(null)} onSubmit={() => void give({ name: "call" }).then(() => setAsking(null))}>
          <p>{t("cmds.sure", { device, command: t("cmd.call") })}</p>
          <p class="fine">{t("taxi.callSure")}</p>
          <footer>
            <button type="button" onClick={() => setAsking(null)}>
              {t("do.cancel")}
            </button>
            <button class="primary" data-first disabled={busy}>
              {t("cmd.call")}
            </button>
          </footer>
        </Dialog>
      )}
      {asking === "listen" && <AskListen device={device} onClose={() => setAsking(null)} onGive={(minutes, reason) => give({ name: "listen_in", args: { minutes }, reason, alarm: listenFor(alarms)?.alarm ?? "" })} />}
    </section>
  );
}

function TextForm(props: { busy: boolean; onSend: (args: Record<string, unknown>) => Promise<boolean> }) {
  const [text, setText] = useState("");
  const [speak, setSpeak] = useState(true);
  const [urgent, setUrgent] = useState(false);
  return (
    <form
      class="stack text-form"
      onSubmit={(event) => {
        event.preventDefault();
        void props.onSend({ text: text.trim(), speak, urgent }).then((done) => done && setText(""));
      }}
    >
      <label>
        {t("taxi.text")}
        <textarea id="taxi-text" rows={2} maxLength={MAX_TEXT} placeholder={t("taxi.textHint")} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <div class="deed-row">
        <label class="check">
          <input type="checkbox" checked={speak} onChange={() => setSpeak(!speak)} />
          {t("taxi.speak")}
        </label>
        <label class="check">
          <input type="checkbox" checked={urgent} onChange={() => setUrgent(!urgent)} />
          {t("taxi.urgent")}
        </label>
        <button class="primary" disabled={props.busy || !text.trim()}>
          {t("taxi.send")}
        </button>
      </div>
    </form>
  );
}

function Listen(props: { alarms: readonly Alarm[]; commands: Commands; onAsk: () => void }) {
  const running = props.commands.commands.find((one) => one.listening);
  const left = running ? listenLeftS(running, tick.value) : null;
  const why = whyNotListen(props.alarms, is("supervisor"));
  return (
    <div class={running ? "listen running" : "listen"} data-listening={running ? "yes" : "no"}>
      <div>
        <h3>{t("taxi.listen")}</h3>
        <p class="fine">{t(running ? "taxi.listenPhone" : (why ?? "taxi.listenRule"))}</p>
      </div>
      {running && left !== null ? (
        <div class="listen-clock">
          <strong role="timer">{countdown(left)}</strong>
          {running.stopped_by ? <small>{t("cmds.hungUp", { who: running.stopped_by })}</small> : mayStop(running, session.value?.user ?? "", session.value?.role ?? "") && <HangUp command={running} of={props.commands} />}
        </div>
      ) : (
        !why && (
          <button class="danger" id="taxi-listen" onClick={props.onAsk}>
            {t("taxi.listen")}
          </button>
        )
      )}
    </div>
  );
}

function AskListen(props: { device: string; onClose: () => void; onGive: (minutes: number, reason: string) => Promise<boolean> }) {
  const [reason, setReason] = useState("");
  const [minutes, setMinutes] = useState(10);
  const [busy, setBusy] = useState(false);
  return (
    <Dialog
      title={`${t("taxi.listen")} · ${props.device}`}
      onClose={props.onClose}
      onSubmit={() => {
        setBusy(true);
        void props.onGive(minutes, reason.trim()).then((done) => {
          setBusy(false);
          if (done) props.onClose();
        });
      }}
    >
      <p>{t("taxi.listenRule")}</p>
      <p class="fine">{t("taxi.listenPhone")}</p>
      <label>
        {t("taxi.listenReason")} ({t("ask.required")})
        <textarea name="reason" data-first required rows={2} maxLength={500} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <label>
        {t("taxi.listenMinutes")}
        <input name="minutes" type="number" min={1} max={10} required value={minutes} onInput={(event) => setMinutes(Number(event.currentTarget.value))} />
      </label>
      <footer>
        <button type="button" onClick={props.onClose}>
          {t("do.cancel")}
        </button>
        <button class="danger" disabled={busy || !reason.trim()}>
          {t("taxi.listenBegin")}
        </button>
      </footer>
    </Dialog>
  );
}
