// Settings: known here first (so that the page starts in its own colours), kept on the server as well.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { Json, JsonObject } from "../model/json";
import { isObject } from "../model/json";

export interface Settings {
  readonly theme: "system" | "dark" | "light";
  readonly density: "compact" | "comfortable";
  readonly fontSize: number;
  readonly motion: "system" | "reduced";
  readonly language: "system" | "en" | "zh";
  readonly navigation: "figma" | "classic";
  readonly grid: boolean;
  readonly snap: boolean;
  readonly minimap: boolean;
  readonly linkStyle: "spline" | "straight" | "angled" | "hidden";
  readonly preview: "auto" | "none" | "latent2rgb" | "taesd";
  readonly afterRun: "after" | "before";
  readonly notifications: boolean;
  readonly openForms: boolean;
  /** Keys that people chose, by command id; an empty list takes a command its keys. */
  readonly keys: Readonly<Record<string, readonly string[]>>;
}

export const DEFAULTS: Settings = {
  theme: "system",
  density: "compact",
  fontSize: 13,
  motion: "system",
  language: "system",
  navigation: "figma",
  grid: true,
  snap: false,
  minimap: false,
  linkStyle: "spline",
  preview: "auto",
  afterRun: "after",
  notifications: false,
  openForms: true,
  keys: {},
};

export const CHOICES = {
  theme: ["system", "dark", "light"],
  density: ["compact", "comfortable"],
  motion: ["system", "reduced"],
  language: ["system", "en", "zh"],
  navigation: ["figma", "classic"],
  linkStyle: ["spline", "straight", "angled", "hidden"],
  preview: ["auto", "none", "latent2rgb", "taesd"],
  afterRun: ["after", "before"],
} as const;

export const FONT_SIZES = { min: 11, max: 20 } as const;

export interface SettingsState {
  readonly values: Settings;
  set<K extends keyof Settings>(name: K, value: Settings[K]): void;
  /** Take over what the server knows. */
  merge(data: unknown): void;
  reset(): void;
}
export type SettingsStore = StoreApi<SettingsState>;

/** Settings out of stored data: what is unknown or makes no sense is left at its default. */
export function readSettings(data: unknown, base: Settings = DEFAULTS): Settings {
  if (!isObject(data)) return base;
  const read: Record<string, unknown> = { ...base };
  for (const name of Object.keys(DEFAULTS)) {
    const value = data[name];
    if (value !== undefined && makesSense(name as keyof Settings, value)) read[name] = value;
  }
  return read as unknown as Settings;
}

function makesSense(name: keyof Settings, value: Json): boolean {
  if (name === "keys") return isObject(value) && Object.values(value).every(isKeys);
  if (name === "fontSize") {
    return typeof value === "number" && value >= FONT_SIZES.min && value <= FONT_SIZES.max;
  }
  if (name in CHOICES) return (CHOICES[name as keyof typeof CHOICES] as readonly Json[]).includes(value);
  return typeof value === typeof DEFAULTS[name];
}

const isKeys = (value: Json): boolean =>
  Array.isArray(value) && (value as readonly Json[]).every((key) => typeof key === "string");

/** The name under which all of them are one setting of the server. */
export const SERVER_KEY = "Easel.Settings";

export interface SettingsPlaces {
  readonly local: Pick<Storage, "getItem" | "setItem"> | undefined;
  readonly send: (values: Settings) => void;
}

export function createSettingsStore(places: SettingsPlaces): SettingsStore {
  const stored = readLocal(places.local);
  const keep = (values: Settings): Settings => {
    try {
      places.local?.setItem(SERVER_KEY, JSON.stringify(values));
    } catch {
      // a full or forbidden local store costs nothing but a flash of the default colours
    }
    return values;
  };
  return createStore<SettingsState>()((set, get) => ({
    values: readSettings(stored),
    set: (name, value) => {
      const values = keep({ ...get().values, [name]: value });
      set({ values });
      places.send(values);
    },
    merge: (data) => set({ values: keep(readSettings(data, get().values)) }),
    reset: () => {
      set({ values: keep(DEFAULTS) });
      places.send(DEFAULTS);
    },
  }));
}

function readLocal(local: SettingsPlaces["local"]): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(local?.getItem(SERVER_KEY) ?? "null");
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
