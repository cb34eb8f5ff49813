// Arithmetic that people type into number fields: `512*2`, `(3+4)**2`, `0xff`. An evaluator of our own, since a
// strict page has no eval. Whole numbers are bigint all the way, so that a seed of 64 bits stays exact.

export type Numeric = number | bigint;

const TOKEN = /\s*(0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\*\*|[-+*/%^()])/y;
const SPELLINGS: Readonly<Record<string, string>> = { "×": "*", "·": "*", "÷": "/", "−": "-", ",": "." };
/** `1,000` may mean one or a thousand; nobody shall guess. */
const THOUSANDS = /\d,\d{3}(?!\d)/;
const MAX_LENGTH = 200;
/** A power with more bits than this is computed as a double. */
const MAX_BITS = 1024;

/**
 * The value of an expression; undefined if it is none. An expression that starts with `*`, `/`, `%`, or with `+=` and
 * the like goes on from `current`.
 */
export function evaluate(text: string, current?: Numeric): Numeric | undefined {
  if (THOUSANDS.test(text)) return undefined;
  const plain = text.replace(/[×·÷−,]/g, (sign) => SPELLINGS[sign] ?? sign).trim();
  const goesOn = /^(?:([-+*/%])=|([*/%](?!\*)))/.exec(plain);
  const operator = goesOn?.[1] ?? goesOn?.[2];
  const tokens = tokenise(operator === undefined ? plain : plain.slice(goesOn?.[0].length));
  if (tokens === undefined) return undefined;
  const value = new Parser(tokens).whole();
  if (value === undefined || operator === undefined) return finite(value);
  return current === undefined ? undefined : finite(operate(operator, current, value));
}

function tokenise(text: string): string[] | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text)?.[1];
    if (token === undefined) return undefined;
    tokens.push(token === "^" ? "**" : token);
  }
  return tokens;
}

const finite = (value: Numeric | undefined): Numeric | undefined =>
  typeof value === "number" && !Number.isFinite(value) ? undefined : value;

/** Recursive descent: sums of products of signed powers. A method answers undefined where the text makes no sense. */
class Parser {
  private at = 0;

  constructor(private readonly tokens: readonly string[]) {}

  whole(): Numeric | undefined {
    const value = this.sum();
    return this.at === this.tokens.length ? value : undefined;
  }

  private sum(): Numeric | undefined {
    return this.chain(["+", "-"], () => this.chain(["*", "/", "%"], () => this.signed()));
  }

  private chain(operators: readonly string[], part: () => Numeric | undefined): Numeric | undefined {
    let value = part();
    for (;;) {
      const operator = this.tokens[this.at];
      if (value === undefined || operator === undefined || !operators.includes(operator)) return value;
      this.at++;
      const next = part();
      value = next === undefined ? undefined : operate(operator, value, next);
    }
  }

  private signed(): Numeric | undefined {
    const sign = this.tokens[this.at];
    if (sign !== "-" && sign !== "+") return this.power();
    this.at++;
    const value = this.signed();
    return sign === "-" && value !== undefined ? -value : value;
  }

  /** Powers bind to the right and more than a sign before them: -2**2 is -4, 2**3**2 is 512, 2**-1 is 0.5. */
  private power(): Numeric | undefined {
    const base = this.atom();
    if (base === undefined || this.tokens[this.at] !== "**") return base;
    this.at++;
    const exponent = this.signed();
    return exponent === undefined ? undefined : operate("**", base, exponent);
  }

  private atom(): Numeric | undefined {
    const token = this.tokens[this.at++];
    if (token === "(") {
      const value = this.sum();
      return this.tokens[this.at++] === ")" ? value : undefined;
    }
    return token === undefined || !/^[\d.]/.test(token) ? undefined : literal(token);
  }
}

function literal(token: string): Numeric | undefined {
  const text = token.replaceAll("_", "");
  if (/^(?:0[xX]|\d+$)/.test(text)) return BigInt(text);
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function operate(operator: string, left: Numeric, right: Numeric): Numeric | undefined {
  if (typeof left === "bigint" && typeof right === "bigint") {
    const value = operateWhole(operator, left, right);
    if (value !== undefined) return value;
  }
  return operateReal(operator, Number(left), Number(right));
}

/** The exact result; undefined where it is no whole number or too long to be worth it. */
function operateWhole(operator: string, left: bigint, right: bigint): bigint | undefined {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right !== 0n && left % right === 0n ? left / right : undefined;
    case "%":
      return right === 0n ? undefined : left % right;
    default: {
      const bits = BigInt(left.toString(2).length) * right;
      return right < 0n || bits > BigInt(MAX_BITS) ? undefined : left ** right;
    }
  }
}

function operateReal(operator: string, left: number, right: number): number | undefined {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "%":
      return left % right;
    default:
      return left ** right;
  }
}
