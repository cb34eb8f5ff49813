// @vitest-environment jsdom
import { expect, test } from "vitest";
import { keptByElement } from "./dispatch";

const inside = (html: string, selector: string): Element => {
  document.body.innerHTML = html;
  const found = document.querySelector(selector);
  if (found === null) throw new Error("nothing there");
  return found;
};

test("a text field keeps letters and its own undo, and leaves the commands of the application alone", () => {
  const field = inside("<textarea></textarea>", "textarea");
  for (const chord of ["m", "delete", "mod+z", "mod+v", "mod+a"]) expect(keptByElement(chord, field), chord).toBe(true);
  for (const chord of ["mod+enter", "mod+s", "mod+k", "f2"]) expect(keptByElement(chord, field), chord).toBe(false);
});

test("a list with keys of its own keeps the plain ones; undo works in it", () => {
  const row = inside('<div data-keys="own"><button>row</button></div>', "button");
  for (const chord of ["m", "arrowdown", "enter", "delete"]) expect(keptByElement(chord, row), chord).toBe(true);
  for (const chord of ["mod+z", "mod+enter", "mod+c"]) expect(keptByElement(chord, row), chord).toBe(false);
});

test("a dialog keeps what would change the workflow behind it", () => {
  const button = inside('<div role="dialog"><button>x</button></div>', "button");
  for (const chord of ["delete", "m", "mod+z", "mod+v", "escape"]) expect(keptByElement(chord, button), chord).toBe(true);
});

test("a button keeps Enter and Space, a checkbox is no text", () => {
  expect(keptByElement("enter", inside("<button>x</button>", "button"))).toBe(true);
  expect(keptByElement("m", inside("<button>x</button>", "button"))).toBe(false);
  expect(keptByElement("mod+z", inside('<input type="checkbox">', "input"))).toBe(false);
});
