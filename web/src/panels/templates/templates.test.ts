import { expect, test } from "vitest";
import { merged, type Words } from "../../i18n/words";
import { TEMPLATES } from "./templates";

const english = merged(import.meta.glob<Words>("../../i18n/en/*.ts", { eager: true, import: "words" }));

test("every template has a title and says what it shows", () => {
  const words = TEMPLATES.flatMap((name) => [`templates.${name}`, `templates.${name}.about`]);
  expect(words.length).toBeGreaterThan(100);
  expect(words.filter((key) => !(key in english))).toEqual([]);
});
