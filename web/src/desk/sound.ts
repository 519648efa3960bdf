// The alarm's sound: made here, so that nothing has to be loaded, and on until somebody acknowledges. A browser lets a page
// sound only after a person acted, hence the gate at the beginning of a shift.

import { effect, signal } from "@preact/signals";
import { loaded, unacknowledged } from "../state/alarms";

export type Sound = "gate" | "on" | "off" | "blocked";

export const sound = signal<Sound>("gate");
/** How many ring now. */
export const ringing = signal(0);

const REPEAT_MS = 2600;
let context: AudioContext | null = null;
let timer = 0;

interface Tone {
  hz: number;
  atS: number;
  forS: number;
}

/** Severity 1 is a rising triple, 2 a pair, 3 one soft tone: told apart without looking. */
const TONES: Record<1 | 2 | 3, readonly Tone[]> = {
  1: [
    { hz: 740, atS: 0, forS: 0.18 },
    { hz: 932, atS: 0.22, forS: 0.18 },
    { hz: 1175, atS: 0.44, forS: 0.3 },
    { hz: 740, atS: 0.9, forS: 0.18 },
    { hz: 932, atS: 1.12, forS: 0.18 },
    { hz: 1175, atS: 1.34, forS: 0.3 },
  ],
  2: [
    { hz: 660, atS: 0, forS: 0.22 },
    { hz: 830, atS: 0.3, forS: 0.3 },
  ],
  3: [{ hz: 520, atS: 0, forS: 0.25 }],
};
const LOUDNESS: Record<1 | 2 | 3, number> = { 1: 0.5, 2: 0.32, 3: 0.18 };

function play(severity: 1 | 2 | 3): void {
  if (!context) return;
  const out = context.createGain();
  out.gain.value = LOUDNESS[severity];
  out.connect(context.destination);
  for (const tone of TONES[severity]) {
    const oscillator = context.createOscillator();
    const envelope = context.createGain();
    const start = context.currentTime + tone.atS;
    oscillator.type = "triangle";
    oscillator.frequency.value = tone.hz;
    envelope.gain.setValueAtTime(0, start);
    envelope.gain.linearRampToValueAtTime(1, start + 0.015);
    envelope.gain.setValueAtTime(1, start + tone.forS - 0.04);
    envelope.gain.linearRampToValueAtTime(0, start + tone.forS);
    oscillator.connect(envelope).connect(out);
    oscillator.start(start);
    oscillator.stop(start + tone.forS + 0.02);
  }
}

async function wake(): Promise<void> {
  if (!context) {
    context = new AudioContext();
    context.addEventListener("statechange", () => {
      if (sound.peek() === "on" && context?.state !== "running") sound.value = "blocked";
    });
  }
  if (context.state !== "running") await context.resume();
}

/** The test at the gate: what severity 1 sounds like. */
export async function test(): Promise<void> {
  await wake();
  play(1);
}

export async function turnOn(): Promise<void> {
  await wake();
  sound.value = context?.state === "running" ? "on" : "blocked";
}

export function turnOff(): void {
  sound.value = "off";
}

function ring(): void {
  const waiting = unacknowledged.peek();
  const worst = waiting[0]?.severity;
  if (worst && sound.peek() === "on") play(worst);
}

// Severities 1 and 2 sound on and on until they are acknowledged; of severity 3 alone one tone is enough for each.
let lastCount = 0;
effect(() => {
  const waiting = loaded.value ? unacknowledged.value : [];
  const urgent = waiting.filter((alarm) => alarm.severity <= 2).length;
  ringing.value = urgent;
  const on = sound.value === "on";
  if (on && urgent && !timer) {
    ring();
    timer = window.setInterval(ring, REPEAT_MS);
  } else if ((!on || !urgent) && timer) {
    window.clearInterval(timer);
    timer = 0;
  }
  if (on && !urgent && waiting.length > lastCount) ring();
  lastCount = waiting.length;
});
