// Keeping the page itself on the phone: the worker that has its files, and putting it on the home screen.

import { signal } from "@preact/signals";

interface InstallPrompt extends Event {
  prompt(): Promise<void>;
}

/** The browser offers to put the page on the home screen. */
export const canInstall = signal(false);
let offered: InstallPrompt | null = null;

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offered = event as InstallPrompt;
  canInstall.value = true;
});

export async function install(): Promise<void> {
  canInstall.value = false;
  await offered?.prompt();
  offered = null;
}

let begun = false;

/** Its scope is this page alone: the desk is never shown from a cache. A page of a plain address gets no worker, and says so. */
export function keepOffline(): void {
  if (begun) return;
  begun = true;
  if (!document.querySelector('link[rel="manifest"]')) {
    const link = document.createElement("link");
    link.rel = "manifest";
    link.href = "/technician.webmanifest";
    document.head.append(link);
  }
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("/technician-worker.js", { scope: "/technician" }).catch(() => undefined);
}
