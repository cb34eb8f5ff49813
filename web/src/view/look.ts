// The looks of types and categories: a hue for each, and a shape, so that nothing is told by colour alone.

const HUES: Readonly<Record<string, number>> = {
  MODEL: 295,
  CLIP: 95,
  VAE: 15,
  CONDITIONING: 60,
  LATENT: 350,
  IMAGE: 250,
  MASK: 150,
  CONTROL_NET: 190,
  CLIP_VISION: 215,
  CLIP_VISION_OUTPUT: 225,
  STYLE_MODEL: 125,
  UPSCALE_MODEL: 275,
  SIGMAS: 80,
  SAMPLER: 320,
  GUIDER: 40,
  NOISE: 175,
  AUDIO: 205,
  VIDEO: 235,
};
const GREY: ReadonlySet<string> = new Set(["INT", "FLOAT", "NUMBER", "STRING", "BOOLEAN", "COMBO", "*", ""]);
const NODE_HUES: Readonly<Record<string, number>> = {
  loaders: 295,
  sampling: 350,
  conditioning: 60,
  latent: 335,
  image: 250,
  mask: 150,
  advanced: 200,
  utils: 260,
  model: 280,
};

export interface Paint {
  readonly hue: number;
  /** Numbers, texts and "any" have no colour. */
  readonly grey: boolean;
}

/** The first name of a comma list stands for it. */
const mainType = (type: string): string => (type.split(",")[0] ?? "").trim().toUpperCase();

export function paintOf(type: string): Paint {
  const name = mainType(type);
  if (GREY.has(name)) return { hue: 260, grey: true };
  return { hue: HUES[name] ?? hashedHue(name), grey: false };
}

/** A hue out of the golden angle, so that names that are alike do not look alike. */
function hashedHue(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return Math.round((hash * 137.508) % 360);
}

export const typeColor = (type: string): string => {
  const { hue, grey } = paintOf(type);
  return `oklch(var(--type-lightness) ${grey ? "0.015" : "var(--type-chroma)"} ${hue})`;
};

/** The same for a canvas element, which knows no variables. */
export const typeColorIn = (type: string, lightness: string, chroma: string, alpha: number): string => {
  const { hue, grey } = paintOf(type);
  return `oklch(${lightness} ${grey ? "0.015" : chroma} ${hue} / ${alpha})`;
};

/** Square: a list of values. Ring: any type. Hollow: needs no link. Round: all others. */
export type Shape = "round" | "square" | "ring" | "hollow";

export function shapeOf(slot: { readonly type: string; readonly list: boolean; readonly required: boolean; readonly widget?: unknown }, isInput: boolean): Shape {
  if (slot.list) return "square";
  if (mainType(slot.type) === "*" || slot.type === "") return "ring";
  return isInput && (!slot.required || slot.widget !== undefined) ? "hollow" : "round";
}

export const categoryHue = (category: string): number => {
  const top = category.split("/")[0]?.toLowerCase() ?? "";
  return NODE_HUES[top] ?? hashedHue(top);
};
