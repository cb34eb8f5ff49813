/// <reference types="vitest/config" />
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const server = "http://127.0.0.1:8188";

/** sonner writes its rules into a <style> tag, which the content policy forbids; the shell imports them as a file. */
const sonnerWithoutStyleTag: Plugin = {
  name: "sonner-without-style-tag",
  transform: (code, id) => (id.includes("/sonner/dist/") ? code.replace(/^__insertCSS\(".*"\);$/m, "") : undefined),
};

/** Each stylesheet says in which order the layers come: the one that theme.css is in need not be the first to arrive. */
const layersInOrder: Plugin = {
  name: "layers-in-order",
  enforce: "post",
  generateBundle: (_options, bundle) => {
    for (const file of Object.values(bundle)) {
      if (file.type === "asset" && file.fileName.endsWith(".css")) file.source = `@layer reset,theme,base,parts;${file.source.toString()}`;
    }
  },
};

export default defineConfig({
  plugins: [react(), sonnerWithoutStyleTag, layersInOrder],
  resolve: {
    alias: { "react-style-singleton": fileURLToPath(new URL("src/panels/shell/noStyleTags.ts", import.meta.url)) },
  },
  build: { outDir: "dist", target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 700 },
  worker: { format: "es" },
  // In development the page is served by Vite and everything else by Easel; Origin is rewritten, which Easel checks.
  server: { proxy: { "^/(api|ws|view)": { target: server, ws: true, changeOrigin: true, headers: { origin: server } } } },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"], environment: "node" },
});
