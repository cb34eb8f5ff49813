// Journeys: the real server with the demo model, the built editor, and Chromium. `npm run journeys`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["journeys/**/*.journey.ts"],
    environment: "node",
    reporters: ["verbose"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 90_000,
    // A browser on a busy machine loses a key or a click now and then. What fails twice is broken.
    retry: 1,
    // What is waited for comes at once on a machine with nothing else to do; others may take their time.
    expect: { poll: { timeout: 30_000, interval: 50 } },
  },
});
