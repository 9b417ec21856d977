/** Arithmetic of `$(( ))`, `(( ))` and `let`, in 64 bits. */
import { parse, type ArithmeticExpression } from 'unbash';
import { ShellError, type ShellState } from './state.ts';

/** Expands the words inside an expression. */
export type ArithmeticText = (node: ArithmeticExpression & { type: 'ArithmeticWord' | 'ArithmeticCommandExpansion' }) => Promise<string>;

/** Depth of variables that name variables. */
const MAX_DEPTH = 64;

const OPERATORS: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '**': (a, b) => a ** b,
  '/': (a, b) => a / divisor(b), '%': (a, b) => a % divisor(b),
  '<<': (a, b) => a << (b & 63n), '>>': (a, b) => a >> (b & 63n), '&': (a, b) => a & b, '|': (a, b) => a | b, '^': (a, b) => a ^ b,
  '<': (a, b) => BigInt(a < b), '>': (a, b) => BigInt(a > b), '<=': (a, b) => BigInt(a <= b), '>=': (a, b) => BigInt(a >= b),
  '==': (a, b) => BigInt(a === b), '!=': (a, b) => BigInt(a !== b), ',': (_, b) => b,
};

function divisor(b: bigint): bigint {
  if (b === 0n) throw new ShellError('division by 0 (error token is "0")', 1, false);
  return b;
}

/** Evaluate an expression; assignments in it take place. */
export async function evaluate(state: ShellState, expression: ArithmeticExpression | undefined, text: ArithmeticText): Promise<bigint> {
  return expression === undefined ? 0n : new Evaluation(state, text).value(expression, 0);
}

/** Evaluate a text as bash does the value of a variable. */
export async function evaluateText(state: ShellState, source: string, text: ArithmeticText): Promise<bigint> {
  return new Evaluation(state, text).text(source, 0);
}

class Evaluation {
  readonly #state: ShellState;
  readonly #text: ArithmeticText;

  constructor(state: ShellState, text: ArithmeticText) {
    this.#state = state;
    this.#text = text;
  }

  async value(node: ArithmeticExpression, depth: number): Promise<bigint> {
    switch (node.type) {
      case 'ArithmeticGroup':
        return this.value(node.expression, depth);
      case 'ArithmeticTernary':
        return this.value((await this.value(node.test, depth)) !== 0n ? node.consequent : node.alternate, depth);
      case 'ArithmeticUnary':
        return this.#unary(node.operator, node.operand, node.prefix, depth);
      case 'ArithmeticBinary':
        return this.#binary(node.operator, node.left, node.right, depth);
      default:
        return this.text(await this.#text(node), depth);
    }
  }

  async text(source: string, depth: number): Promise<bigint> {
    const word = source.trim();
    if (word === '') return 0n;
    const number = parseNumber(word);
    if (number !== null) return number;
    if (depth > MAX_DEPTH) throw new ShellError(`${word}: expression recursion level exceeded`, 1, false);
    if (/^[A-Za-z_]\w*$/.test(word)) {
      const value = this.#state.get(word);
      if (value === undefined && this.#state.options.nounset) throw new ShellError(`${word}: unbound variable`, 127);
      return this.text(value ?? '', depth + 1);
    }
    const script = parse(`((${word}))`);
    const command = script.commands[0]?.command;
    if (script.errors !== undefined || command?.type !== 'ArithmeticCommand' || command.expression === undefined || command.expression.type === 'ArithmeticWord') {
      throw new ShellError(`${word}: ${arithmeticProblem(source)}`, 1, false);
    }
    return this.value(command.expression, depth + 1);
  }

  async #unary(operator: string, operand: ArithmeticExpression, prefix: boolean, depth: number): Promise<bigint> {
    const value = await this.value(operand, depth);
    if (operator === '++' || operator === '--') {
      const next = BigInt.asIntN(64, value + (operator === '++' ? 1n : -1n));
      this.#state.set(await this.#name(operand), String(next));
      return prefix ? next : value;
    }
    if (operator === '-') return BigInt.asIntN(64, -value);
    if (operator === '!') return BigInt(value === 0n);
    return operator === '~' ? ~value : value;
  }

  async #binary(operator: string, left: ArithmeticExpression, right: ArithmeticExpression, depth: number): Promise<bigint> {
    if (operator === '&&') return BigInt((await this.value(left, depth)) !== 0n && (await this.value(right, depth)) !== 0n);
    if (operator === '||') return BigInt((await this.value(left, depth)) !== 0n || (await this.value(right, depth)) !== 0n);
    const assignment = /^(|[-+*/%&|^]|<<|>>)=$/.exec(operator);
    if (assignment !== null) {
      const apply = OPERATORS[assignment[1]] ?? ((_: bigint, b: bigint): bigint => b);
      const old = assignment[1] === '' ? 0n : await this.value(left, depth);
      const value = BigInt.asIntN(64, apply(old, await this.value(right, depth)));
      this.#state.set(await this.#name(left), String(value));
      return value;
    }
    const apply = OPERATORS[operator];
    if (apply === undefined) throw new ShellError(`${operator}: syntax error: invalid arithmetic operator`, 1, false);
    const a = await this.value(left, depth);
    const b = await this.value(right, depth);
    if (operator === '**' && b < 0n) throw new ShellError('exponent less than 0', 1, false);
    return BigInt.asIntN(64, apply(a, b));
  }

  async #name(node: ArithmeticExpression): Promise<string> {
    const name = node.type === 'ArithmeticWord' ? node.value.trim() : '';
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new ShellError('attempted assignment to non-variable', 1, false);
    return name;
  }
}

/** What bash says of a text that is no expression, and where it stopped reading. */
function arithmeticProblem(source: string): string {
  const text = source.trimStart();
  const operand = /^[-+!~\s]*(?:\w+)\s*/.exec(text);
  if (operand === null) return `syntax error: operand expected (error token is "${text}")`;
  const rest = text.slice(operand[0].length);
  return /^[\w-]/.test(rest) ? `syntax error in expression (error token is "${rest}")` : `syntax error: invalid arithmetic operator (error token is "${rest}")`;
}

/** A number as bash writes them: decimal, 0octal, 0xhex, base#digits; `null` when it is none. */
function parseNumber(word: string): bigint | null {
  const based = /^(\d+)#([0-9A-Za-z@_]+)$/.exec(word);
  if (based !== null) {
    const base = BigInt(based[1]);
    let value = 0n;
    for (const char of base <= 36n ? based[2].toLowerCase() : based[2]) {
      const digit = BigInt('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ@_'.indexOf(char));
      if (digit >= base) throw new ShellError(`${word}: value too great for base (error token is "${word}")`, 1, false);
      value = value * base + digit;
    }
    return BigInt.asIntN(64, value);
  }
  if (/^0[xX][0-9a-fA-F]+$/.test(word)) return BigInt.asIntN(64, BigInt(word));
  if (/^0[0-7]+$/.test(word)) return BigInt.asIntN(64, BigInt(`0o${word.slice(1)}`));
  if (/^0\d+$/.test(word)) throw new ShellError(`${word}: value too great for base (error token is "${word}")`, 1, false);
  return /^\d+$/.test(word) ? BigInt.asIntN(64, BigInt(word)) : null;
}
