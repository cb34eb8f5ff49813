// Pictures of the main states in both themes at three sizes, for people to look at: `npm run screenshots` writes them anew.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { desk } from "./lib/desk";
import { settled, STATES, withPictures } from "./lib/states";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "screenshots");
const MOST_BYTES = 60_000;
const SIZES = [[1600, 1000], [1024, 768], [390, 844]] as const;
const SHOWN = new Set((process.env.EASEL_STATES ?? "canvas selection nodes jobs lightbox templates outline settings palette app mask").split(" "));

const at = desk(withPictures);
const wanted = process.env.EASEL_SCREENSHOTS === "1";

test.runIf(wanted)("the main states, seen", async () => {
  mkdirSync(FOLDER, { recursive: true });
  const first = await at.openAsItIs();
  await first.run();
  await first.context.close();
  for (const [width, height] of SIZES) {
    const phone = width < 500;
    for (const state of STATES.filter(({ name, isWide }) => SHOWN.has(name) && !(phone && isWide === true))) {
      const editor = await at.openAsItIs({ viewport: { width, height }, ...(phone ? { hasTouch: true } : {}) });
      if (phone && state.name !== "app") await editor.page.getByRole("button", { name: "Show the graph" }).click({ timeout: 1500 }).catch(() => undefined);
      await state.open(editor, phone);
      for (const theme of ["dark", "light"] as const) {
        await editor.page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
        await settled(editor);
        const session = await editor.context.newCDPSession(editor.page);
        const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 60 });
        const bytes = Buffer.from(data, "base64");
        expect(bytes.length).toBeLessThan(MOST_BYTES);
        writeFileSync(join(FOLDER, `${state.name}-${theme}-${width}.webp`), bytes);
      }
      await editor.context.close();
    }
  }
}, 600_000);
