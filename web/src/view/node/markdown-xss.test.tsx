// @vitest-environment jsdom
// Notes are other people's texts: no markup, no script and no address but that of a page comes out of them.

import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { PAYLOADS } from "../../../tests/payloads";
import { Markdown } from "./markdown-view";

afterEach(cleanup);

const ELEMENTS = new Set(["DIV", "P", "BR", "HR", "UL", "OL", "LI", "PRE", "CODE", "STRONG", "EM", "S", "BLOCKQUOTE", "A"]);
const ATTRIBUTES = new Set(["class", "href", "target", "rel"]);

/** A payload where each kind of Markdown would have it. */
const places = (text: string): string[] => [
  text, `before ${text} after`, `# ${text}`, `- ${text}`, `1. ${text}`, `> ${text}`, `**${text}**`, `*${text}*`, `~~${text}~~`, `\`${text}\``,
  `[${text}](https://example.org/)`, `[x](${text})`, `![x](${text})`, `[x](https://example.org/${text})`, `\`\`\`${text}\n${text}\n\`\`\``, `${text}\n${text}\n\n${text}`,
];

test("there are 150 payloads and more", () => {
  expect(new Set(PAYLOADS).size).toBeGreaterThanOrEqual(150);
});

test.each(PAYLOADS)("%j", (payload) => {
  for (const text of places(payload)) {
    const { container, unmount } = render(<Markdown text={text} />);
    for (const element of container.querySelectorAll("*")) {
      expect(ELEMENTS.has(element.tagName), `${element.tagName} of ${text}`).toBe(true);
      for (const { name } of element.attributes) expect(ATTRIBUTES.has(name), `${name} of ${text}`).toBe(true);
    }
    for (const link of container.querySelectorAll("a")) {
      expect(link.protocol).toMatch(/^https?:$/);
      expect(link.rel).toContain("noopener");
    }
    unmount();
  }
});
