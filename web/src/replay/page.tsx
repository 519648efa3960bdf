// The replay: why first; then vehicles, or a whole fleet, and a time; then tracks played back true to time, with what happened.

import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../pages/table";
import { place } from "../router";
import { fromLocalInput, nowMs, toLocalInput } from "../state/time";
import { t } from "../text";
import { ExportDialog } from "../ui/export";
import { Failure, say } from "../ui/notices";
import { isWide, Wide } from "../ui/wide";
import { WithPurpose } from "../ui/withpurpose";
import { Facts } from "./beside";
import { argumentsOf, MOST_VEHICLES, readReplay, type Replay } from "./read";
import { Stage } from "./stage";

const HOUR_MS = 3_600_000;
const DEVICE = /^[a-z]+\/\S+$/;
const KINDS = ["taxi", "unit"] as const;

interface Question {
  devices: string[];
  kind: string;
  fromMs: number;
  toMs: number;
}

export default function ReplayPage(_props: PageProps) {
  return <WithPurpose>{(purpose) => <Page purpose={purpose} />}</WithPurpose>;
}

function Page({ purpose }: { purpose: string }) {
  const [replay, setReplay] = useState<Replay | null>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [exporting, setExporting] = useState(false);

  async function read(asked: Question, approval: string): Promise<void> {
    setBusy(true);
    setError(null);
    setQuestion(asked);
    try {
      const found = await readReplay({ ...asked, purpose, approval });
      for (const one of found.vehicles) if (!one.track.timeMs.length) say("warn", t("replay.noPoints", { device: one.device }));
      setReplay(found);
    } catch (problem) {
      setReplay(null);
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return (
    <div class="replay">
      <div class="side">
        <Form busy={busy} onAsk={(asked) => void read(asked, "")} />
        {error !== null && !isWide(error) && <Failure error={error} />}
        {isWide(error) && question && (
          <Wide
            key={JSON.stringify(question)}
            problem={error}
            read={{ operation: "replay", arguments: argumentsOf(question) }}
            purpose={purpose}
            onGo={(approval) => void read(question, approval)}
          />
        )}
        {replay && <Facts replay={replay} purpose={purpose} />}
        {replay && question && (
          <button class="export-open" onClick={() => setExporting(true)}>
            {t("export.open")}
          </button>
        )}
      </div>
      <Stage replay={replay} window={question} busy={busy} />
      {exporting && question && (
        <ExportDialog
          what={{ ...(question.kind ? { kind: question.kind } : { devices: question.devices }), fromMs: question.fromMs, toMs: question.toMs }}
          purpose={purpose}
          onClose={() => setExporting(false)}
        />
      )}
    </div>
  );
}

function Form(props: { busy: boolean; onAsk: (question: Question) => void }) {
  const { query } = place.value;
  const now = Math.floor(nowMs() / 60_000) * 60_000;
  const given = (name: string, other: number): number => {
    const ms = Date.parse(query.get(name) ?? "");
    return Number.isNaN(ms) ? other : ms;
  };
  const [devices, setDevices] = useState(query.get("devices") ?? "");
  const [kind, setKind] = useState("");
  const [from, setFrom] = useState(toLocalInput(given("from", now - HOUR_MS)));
  const [to, setTo] = useState(toLocalInput(given("to", now)));
  const [wrong, setWrong] = useState("");
  function ask(): void {
    const names = kind ? [] : [...new Set(devices.split(/[,，\s]+/).filter(Boolean))];
    const [fromMs, toMs] = [fromLocalInput(from), fromLocalInput(to)];
    if (!kind && (!names.length || names.some((one) => !DEVICE.test(one)))) setWrong(t("replay.badDevice"));
    else if (names.length > MOST_VEHICLES) setWrong(t("replay.tooMany", { n: MOST_VEHICLES }));
    else if (fromMs === null || toMs === null || fromMs >= toMs) setWrong(t("replay.badTime"));
    else {
      setWrong("");
      props.onAsk({ devices: names, kind, fromMs, toMs });
    }
  }
  // An address that says all of it is read at once: so a search opens in a replay.
  useEffect(() => {
    if (query.get("devices") && query.get("from") && query.get("to")) ask();
  }, []);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      <h1>{t("replay.title")}</h1>
      <label>
        {t("replay.whose")}
        <select name="kind" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="">{t("replay.named")}</option>
          {KINDS.map((one) => (
            <option key={one} value={one}>
              {t("export.kind", { kind: t(`export.kind.${one}`) })}
            </option>
          ))}
        </select>
      </label>
      {!kind && (
        <label>
          {t("replay.devices")}
          <input name="devices" value={devices} required spellcheck={false} autofocus onInput={(event) => setDevices(event.currentTarget.value)} />
        </label>
      )}
      <label>
        {t("replay.from")}
        <input name="from" type="datetime-local" step={1} value={from} required onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        {t("replay.to")}
        <input name="to" type="datetime-local" step={1} value={to} required onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      {wrong && (
        <p class="bad-text" role="alert">
          {wrong}
        </p>
      )}
      <button class="primary" disabled={props.busy}>
        {t(props.busy ? "replay.reading" : "replay.load")}
      </button>
    </form>
  );
}
