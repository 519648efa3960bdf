// What makes the technician's page one that a phone can keep: the manifest, its icons, and the worker's list of files. The list is
// what the page is made of after this build, so a new build is a new worker.

import { createHash } from "node:crypto";
import type { Plugin } from "vite";
import { iconPng } from "./icon.ts";

const WORKER = "technician-worker.js";
const MANIFEST = {
  id: "/technician",
  name: "鹿城 · 设备安装",
  short_name: "设备安装",
  lang: "zh-CN",
  start_url: "/technician",
  scope: "/technician",
  display: "standalone",
  background_color: "#10171f",
  theme_color: "#10171f",
  icons: [
    { src: "/technician-192.png", sizes: "192x192", type: "image/png" },
    { src: "/technician-512.png", sizes: "512x512", type: "image/png" },
    { src: "/technician-whole-512.png", sizes: "512x512", type: "image/png", purpose: "maskable" },
  ],
};

interface Chunk {
  type: "chunk";
  fileName: string;
  facadeModuleId: string | null;
  imports: string[];
  isEntry: boolean;
  code: string;
  viteMetadata?: { importedCss?: Set<string>; importedAssets?: Set<string> };
}

export function technicianFiles(bundle: Record<string, { type: string }>): string[] {
  const chunks = Object.values(bundle).filter((one) => one.type === "chunk") as unknown as Chunk[];
  const byName = new Map(chunks.map((one) => [one.fileName, one]));
  const wanted = chunks.filter(
    (one) =>
      (one.isEntry && one.fileName !== WORKER) ||
      /technician[\\/](page\.tsx|zxing\.ts)$/.test(one.facadeModuleId ?? "") ||
      /pages[\\/]account\.tsx$/.test(one.facadeModuleId ?? ""),
  );
  const files = new Set<string>();
  for (const chunk of wanted) {
    if (files.has(chunk.fileName)) continue;
    files.add(chunk.fileName);
    for (const css of chunk.viteMetadata?.importedCss ?? []) files.add(css);
    for (const asset of chunk.viteMetadata?.importedAssets ?? []) files.add(asset);
    // `wanted` grows while it is gone through
    for (const name of chunk.imports) {
      const next = byName.get(name);
      if (next) wanted.push(next);
    }
  }
  return [...files].sort().map((name) => `/${name}`);
}

export function technician(): Plugin {
  return {
    name: "lucheng-technician",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      const worker = bundle[WORKER] as unknown as Chunk | undefined;
      if (!worker) this.error(`${WORKER} is missing`);
      const files = technicianFiles(bundle);
      const build = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 12);
      const before = worker.code;
      worker.code = before
        .replace(/(["'`])__TECHNICIAN_FILES__\1/, JSON.stringify(JSON.stringify(files)))
        .replace("__TECHNICIAN_BUILD__", build);
      if (worker.code.includes("__TECHNICIAN") || worker.imports.length || /^\s*(import|export)\b/m.test(worker.code)) this.error("the worker is no plain script");
      const emit = (fileName: string, source: string | Uint8Array): unknown => this.emitFile({ type: "asset", fileName, source });
      emit("technician.webmanifest", JSON.stringify(MANIFEST));
      emit("technician-192.png", iconPng(192, false));
      emit("technician-512.png", iconPng(512, false));
      emit("technician-whole-512.png", iconPng(512, true));
    },
  };
}
