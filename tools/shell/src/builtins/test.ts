/** `test` and `[`. */
import type { Shell } from '../shell.ts';
import { BINARY, binaryTest, UNARY, unaryTest } from '../test-expression.ts';
import type { Builtin } from './builtin.ts';

class TestProblem {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const test: Builtin = async (shell, argv) => {
  const [name] = argv;
  const args = argv.slice(1);
  try {
    if (name === '[') {
      if (args.at(-1) !== ']') throw new TestProblem("missing `]'");
      args.pop();
    }
    return (await evaluate(shell, args)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TestProblem)) throw error;
    await shell.complain(`${name}: ${error.text}`);
    return 2;
  }
};

/** By the number of arguments, as POSIX says; more than four are parsed with -a, -o and !. */
async function evaluate(shell: Shell, args: readonly string[]): Promise<boolean> {
  const [a, b, c] = args;
  switch (args.length) {
    case 0:
      return false;
    case 1:
      return a !== '';
    case 2:
      if (a === '!') return b === '';
      if (UNARY.has(a)) return unaryTest(shell, a, b);
      throw new TestProblem(`${a}: unary operator expected`);
    case 3:
      if (BINARY.has(b)) return binary(shell, a, b, c);
      if (b === '-a') return a !== '' && c !== '';
      if (b === '-o') return a !== '' || c !== '';
      if (a === '!') return !(await evaluate(shell, [b, c]));
      if (a === '(' && c === ')') return b !== '';
      throw new TestProblem(`${b}: binary operator expected`);
    default:
      return new Parser(shell, args).all();
  }
}

async function binary(shell: Shell, left: string, operator: string, right: string): Promise<boolean> {
  if (/^-(eq|ne|lt|le|gt|ge)$/.test(operator)) {
    for (const side of [left, right]) if (!/^\s*[+-]?\d+\s*$/.test(side)) throw new TestProblem(`${side}: integer expression expected`);
    return binaryTest(shell, left.trim().replace(/^\+/, ''), operator, right.trim().replace(/^\+/, ''));
  }
  return binaryTest(shell, left, operator, right);
}

class Parser {
  readonly #shell: Shell;
  readonly #args: readonly string[];
  #at = 0;

  constructor(shell: Shell, args: readonly string[]) {
    this.#shell = shell;
    this.#args = args;
  }

  async all(): Promise<boolean> {
    const value = await this.#or();
    if (this.#at < this.#args.length) throw new TestProblem('too many arguments');
    return value;
  }

  async #or(): Promise<boolean> {
    let value = await this.#and();
    while (this.#args[this.#at] === '-o') {
      this.#at++;
      const right = await this.#and();
      value ||= right;
    }
    return value;
  }

  async #and(): Promise<boolean> {
    let value = await this.#not();
    while (this.#args[this.#at] === '-a') {
      this.#at++;
      const right = await this.#not();
      value &&= right;
    }
    return value;
  }

  async #not(): Promise<boolean> {
    if (this.#args[this.#at] === '!') {
      this.#at++;
      return !(await this.#not());
    }
    if (this.#args[this.#at] === '(') {
      this.#at++;
      const value = await this.#or();
      if (this.#args[this.#at++] !== ')') throw new TestProblem("`)' expected");
      return value;
    }
    const [a, b, c] = this.#args.slice(this.#at);
    if (a === undefined) throw new TestProblem('argument expected');
    if (b !== undefined && BINARY.has(b) && c !== undefined) {
      this.#at += 3;
      return binary(this.#shell, a, b, c);
    }
    if (UNARY.has(a) && b !== undefined) {
      this.#at += 2;
      return unaryTest(this.#shell, a, b);
    }
    this.#at++;
    return a !== '';
  }
}

export const testBuiltins: [string, Builtin][] = [['test', test], ['[', test]];
