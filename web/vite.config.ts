/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = "http://127.0.0.1:8188";

export default defineConfig({
  plugins: [react()],
  build: { outDir: "dist", target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  // In development the page is served by Vite and everything else by Easel; Origin is rewritten, which Easel checks.
  server: { proxy: { "^/(api|ws|view)": { target: server, ws: true, changeOrigin: true, headers: { origin: server } } } },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"], environment: "node" },
});
