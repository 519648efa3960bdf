import { defineConfig } from "vitest/config";
import { technician } from "./build/technician.ts";

// The pages are built into the package that the service ships them from. Every file's name carries its hash; nothing is
// inlined, so that the strict Content-Security-Policy of the service holds without a nonce.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../console/web/built",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    target: "es2022",
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      checks: { pluginTimings: false },
      // The worker that keeps the technician's page stands at the root under its own name: a browser asks for it by that.
      input: { index: "index.html", "technician-worker": "src/technician/worker.ts" },
      output: { entryFileNames: (chunk) => (chunk.name === "technician-worker" ? "[name].js" : "assets/[name]-[hash].js") },
    },
  },
  plugins: [technician()],
  worker: { format: "es" },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8480", ws: true } } },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
