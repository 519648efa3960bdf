// The gate at the beginning of a shift, and the state of the sound in the top line.

import { t } from "../text";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/marks";
import { ringing, sound, test, turnOff, turnOn } from "./sound";

export function SoundGate() {
  if (sound.value !== "gate") return null;
  return (
    <Dialog title={t("sound.title")} onClose={turnOff} firm onSubmit={() => void turnOn()}>
      <p>{t("sound.intro")}</p>
      <footer>
        <button type="button" onClick={turnOff}>
          {t("sound.without")}
        </button>
        <button type="button" data-first onClick={() => void test()}>
          {t("sound.test")}
        </button>
        <button class="primary">{t("sound.heard")}</button>
      </footer>
    </Dialog>
  );
}

export function SoundState() {
  const state = sound.value;
  if (state === "gate") return null;
  if (state === "on") {
    return (
      <button class={ringing.value ? "sound ringing" : "sound"} onClick={() => void test()} title={t("sound.test")}>
        <Icon name="sound" />
        {ringing.value ? t("sound.ringing", { n: ringing.value }) : t("sound.on")}
      </button>
    );
  }
  return (
    <button class="sound off" onClick={() => void turnOn()} title={t("sound.offWarn")}>
      <Icon name="mute" />
      {t(state === "blocked" ? "sound.blocked" : "sound.off")}
    </button>
  );
}
