// Our own ranking for every search by name: an exact name first, then its beginning, then beginnings of words, then
// letters in order. Use and recency only order what fits equally well, so nothing ever outranks an exact prefix.

export interface Ranked<T> {
  readonly item: T;
  readonly score: number;
}

export interface Wording {
  readonly name: string;
  /** Other names, categories, types: worth less than the name. */
  readonly also?: readonly string[];
  /** 0 to 1: how often and how recently it was used. */
  readonly use?: number;
}

const [EXACT, PREFIX, WORD, INSIDE, INITIALS, LETTERS] = [1000, 800, 600, 400, 300, 100] as const;

const fold = (text: string): string =>
  text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase();

/** Words of a name: split at spaces, signs, and where small letters meet capitals (KSamplerAdvanced). */
const wordsOf = (text: string): string[] =>
  fold(text.replace(/(\p{Ll}|\d)(\p{Lu})/gu, "$1 $2")).split(/[^\p{L}\p{N}]+/u).filter((word) => word !== "");

/** How well `query` fits one name; 0 is not at all. Shorter names are a little better. */
export function fit(query: string, name: string): number {
  const [wanted, given] = [fold(query.trim()), fold(name)];
  if (wanted === "") return 1;
  const brief = 50 / (1 + given.length);
  if (given === wanted) return EXACT + brief;
  if (given.startsWith(wanted)) return PREFIX + brief;
  const words = wordsOf(name);
  const parts = wordsOf(query);
  if (parts.length > 0 && parts.every((part) => words.some((word) => word.startsWith(part)))) return WORD + brief;
  if (given.includes(wanted)) return INSIDE + brief;
  if (parts.length > 1 && parts.every((part) => given.includes(part))) return INSIDE - 50 + brief;
  if (words.map((word) => word[0]).join("").startsWith(wanted)) return INITIALS + brief;
  return inOrder(wanted, given) ? LETTERS + brief : 0;
}

/** All letters in order, the first at the start of the name. */
function inOrder(wanted: string, given: string): boolean {
  if (wanted.length < 3 || wanted[0] !== given[0]) return false;
  let at = 0;
  for (const letter of given) if (letter === wanted[at]) at++;
  return at === wanted.length;
}

export function score(query: string, wording: Wording): number {
  const name = fit(query, wording.name);
  const also = Math.max(0, ...(wording.also ?? []).map((other) => fit(query, other)));
  const best = Math.max(name, also * 0.5);
  return best === 0 ? 0 : best + (wording.use ?? 0) * 40;
}

/** What fits, best first; equals stay in the order given. */
export function rank<T>(query: string, items: readonly T[], wording: (item: T) => Wording): T[] {
  return items
    .map((item): Ranked<T> => ({ item, score: score(query, wording(item)) }))
    .filter(({ score: value }) => value > 0)
    .sort((left, right) => right.score - left.score)
    .map(({ item }) => item);
}
