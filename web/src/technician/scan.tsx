// Reading a bar code or QR code with the phone's camera: by the browser's own reader where it has one, else by a library that is
// loaded only then. Nothing leaves the page; the camera is let go as soon as a code was read or the dialog is closed.

import { useEffect, useRef, useState } from "preact/hooks";
import { t, type Key } from "../text";
import { Dialog } from "../ui/dialog";

const EVERY_MS = 160;
/** As on labels of devices: numbers are Code 128 or 39, as a rule, links QR. */
const FORMATS = ["qr_code", "code_128", "code_39", "data_matrix", "ean_13"];

interface Detector {
  detect(source: CanvasImageSource): Promise<{ rawValue: string }[]>;
}
declare global {
  interface Window {
    BarcodeDetector?: { new (options: { formats: string[] }): Detector; getSupportedFormats(): Promise<string[]> };
  }
}

type Read = (video: HTMLVideoElement) => Promise<string>;

async function reader(): Promise<Read> {
  const known = window.BarcodeDetector ? await window.BarcodeDetector.getSupportedFormats().catch(() => []) : [];
  const formats = FORMATS.filter((format) => known.includes(format));
  if (window.BarcodeDetector && formats.includes("qr_code") && formats.includes("code_128")) {
    const detector = new window.BarcodeDetector({ formats });
    return async (video) => (await detector.detect(video))[0]?.rawValue ?? "";
  }
  const { decoder } = await import("./zxing");
  return decoder();
}

export function Scan(props: { onRead: (text: string) => void; onClose: () => void }) {
  const at = useRef<HTMLVideoElement>(null);
  const [trouble, setTrouble] = useState<Key | "">("");
  useEffect(() => {
    let over = false;
    let stream: MediaStream | null = null;
    let timer = 0;
    async function begin(): Promise<void> {
      if (!navigator.mediaDevices) {
        setTrouble("tech.scan.insecure");
        return;
      }
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false });
      } catch (error) {
        const denied = error instanceof DOMException && error.name === "NotAllowedError";
        setTrouble(denied ? "tech.scan.denied" : "tech.scan.none");
        return;
      }
      const video = at.current;
      if (over || !video) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      video.srcObject = stream;
      await video.play().catch(() => undefined);
      const read = await reader();
      const look = async (): Promise<void> => {
        if (over) return;
        const text = video.readyState >= 2 ? await read(video).catch(() => "") : "";
        if (over) return;
        if (text) props.onRead(text);
        else timer = window.setTimeout(() => void look(), EVERY_MS);
      };
      void look();
    }
    begin().catch(() => setTrouble("tech.scan.none"));
    return () => {
      over = true;
      window.clearTimeout(timer);
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  return (
    <Dialog title={t("tech.scan.title")} onClose={props.onClose}>
      {trouble ? (
        <p class="warn-text" role="alert">
          {t(trouble)}
        </p>
      ) : (
        <div class="scan">
          <video ref={at} muted playsInline aria-label={t("tech.scan.title")} />
          <i aria-hidden="true" />
        </div>
      )}
      <p class="fine">{t("tech.scan.hint")}</p>
      <footer>
        <button type="button" data-first onClick={props.onClose}>
          {t("do.cancel")}
        </button>
      </footer>
    </Dialog>
  );
}
