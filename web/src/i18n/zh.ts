// Chinese, loaded when it is chosen.

import { merged, type Words } from "./words";

export const words = merged(import.meta.glob<Words>("./zh/*.ts", { eager: true, import: "words" }));
