import { expect, test, vi } from "vitest";
import { createSettingsStore, DEFAULTS, readSettings, SERVER_KEY } from "./settings";

const memory = (text: string | null = null): { getItem: () => string | null; setItem: (key: string, text: string) => void } => {
  let kept = text;
  return { getItem: () => kept, setItem: (_key, value) => void (kept = value) };
};

test("what makes no sense is left at its default", () => {
  const data = { theme: "pink", fontSize: 900, grid: "yes", keys: { a: [1] }, density: "comfortable", unknown: 1 };
  expect(readSettings(data)).toEqual({ ...DEFAULTS, density: "comfortable" });
  expect(readSettings(null)).toEqual(DEFAULTS);
});

test("a setting is kept here and sent to the server", () => {
  const [local, send] = [memory(), vi.fn()];
  createSettingsStore({ local, send }).getState().set("theme", "light");
  expect(send).toHaveBeenCalledWith({ ...DEFAULTS, theme: "light" });
  expect(createSettingsStore({ local, send }).getState().values.theme).toBe("light");
});

test("what the server knows wins over what is here, and a broken local store does no harm", () => {
  const store = createSettingsStore({ local: memory("{broken"), send: vi.fn() });
  store.getState().merge({ theme: "dark", motion: "reduced" });
  expect(store.getState().values).toEqual({ ...DEFAULTS, theme: "dark", motion: "reduced" });
  expect(SERVER_KEY).toContain("Easel");
});
