/** `expr` of coreutils 9.1. */
import type { Applet } from '../program.ts';
import { ProgramExit } from '../program.ts';
import { regExpSource } from './regexp.ts';

class ExprProblem extends Error {}

const isNumber = (text: string): boolean => /^-?\d+$/.test(text);

function numbers(a: string, b: string): [bigint, bigint] {
  if (!isNumber(a) || !isNumber(b)) throw new ExprProblem('non-integer argument');
  return [BigInt(a), BigInt(b)];
}

/** Operators by how firmly they bind, loosest first. */
const LEVELS: readonly Readonly<Record<string, (a: string, b: string) => string>>[] = [
  { '|': (a, b) => (a !== '' && a !== '0' ? a : b !== '' && b !== '0' ? b : '0') },
  { '&': (a, b) => (a !== '' && a !== '0' && b !== '' && b !== '0' ? a : '0') },
  Object.fromEntries((['<', '<=', '=', '==', '!=', '>=', '>'] as const).map((operator) => [operator, (a: string, b: string): string => {
    const order = isNumber(a) && isNumber(b) ? Number(BigInt(a) > BigInt(b)) - Number(BigInt(a) < BigInt(b)) : Number(a > b) - Number(a < b);
    return { '<': order < 0, '<=': order <= 0, '=': order === 0, '==': order === 0, '!=': order !== 0, '>=': order >= 0, '>': order > 0 }[operator] ? '1' : '0';
  }])),
  { '+': (a, b) => numbers(a, b).reduce((x, y) => x + y).toString(), '-': (a, b) => numbers(a, b).reduce((x, y) => x - y).toString() },
  {
    '*': (a, b) => numbers(a, b).reduce((x, y) => x * y).toString(),
    '/': (a, b) => divided(a, b, (x, y) => x / y),
    '%': (a, b) => divided(a, b, (x, y) => x % y),
  },
  { ':': (a, b) => match(a, b) },
];

function divided(a: string, b: string, apply: (x: bigint, y: bigint) => bigint): string {
  const [x, y] = numbers(a, b);
  if (y === 0n) throw new ExprProblem('division by zero');
  return apply(x, y).toString();
}

function match(text: string, pattern: string): string {
  const found = new RegExp(`^(?:${regExpSource(pattern.replace(/^\^/, ''), false)})`).exec(text);
  if (pattern.includes('\\(')) return found?.[1] ?? '';
  return String(found === null ? 0 : [...found[0]].length);
}

class Expression {
  readonly #args: string[];
  #last = 'expr';

  constructor(args: readonly string[]) {
    this.#args = [...args];
  }

  all(): string {
    const value = this.#level(0);
    const [extra] = this.#args;
    if (extra !== undefined) throw new ExprProblem(`syntax error: unexpected argument '${extra}'`);
    return value;
  }

  #next(): string {
    const arg = this.#args.shift();
    if (arg === undefined) throw new ExprProblem(`syntax error: missing argument after '${this.#last}'`);
    this.#last = arg;
    return arg;
  }

  #level(n: number): string {
    const operators = LEVELS[n];
    if (operators === undefined) return this.#primary();
    let left = this.#level(n + 1);
    for (;;) {
      const [operator] = this.#args;
      const apply = operator === undefined ? undefined : operators[operator];
      if (apply === undefined) return left;
      this.#next();
      left = apply(left, this.#level(n + 1));
    }
  }

  #primary(): string {
    const arg = this.#next();
    if (arg === '(') {
      const value = this.#level(0);
      if (this.#args.shift() !== ')') throw new ExprProblem(`syntax error: expecting ')' after '${this.#last}'`);
      return value;
    }
    if (this.#args.length > 0) {
      if (arg === '+') return this.#next();
      if (arg === 'length') return String([...this.#primary()].length);
      if (arg === 'match') return match(this.#primary(), this.#primary());
      if (arg === 'substr') {
        const [text, from, count] = [this.#primary(), Number(this.#primary()), Number(this.#primary())];
        return from > 0 && count > 0 ? text.slice(from - 1, from - 1 + count) : '';
      }
      if (arg === 'index') {
        const [text, chars] = [this.#primary(), this.#primary()];
        return String([...text].findIndex((char) => chars.includes(char)) + 1);
      }
    }
    return arg;
  }
}

export const expr: Applet = async (c) => {
  if (c.args.length === 0) {
    await c.err("expr: missing operand\nTry 'expr --help' for more information.\n");
    throw new ProgramExit(2);
  }
  try {
    const value = new Expression(c.args[0] === '--' ? c.args.slice(1) : c.args).all();
    c.out(`${value}\n`);
    return value === '' || value === '0' || value === '-0' ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ExprProblem)) throw error;
    return c.fail(error.message, 2);
  }
};
