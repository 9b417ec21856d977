/** `sed`: addresses, s p d q = a i c y n and blocks. */
import type { Applet, Program } from '../program.ts';
import { ProgramExit } from '../program.ts';
import { errorText } from '../system.ts';
import { options } from './options.ts';
import { regExpSource } from './regexp.ts';

type Address = { readonly line: number } | { readonly re: RegExp } | 'last';

interface Command {
  readonly from: Address | null;
  readonly to: Address | null;
  readonly negated: boolean;
  readonly name: string;
  readonly text: string;
  readonly re: RegExp | null;
  readonly replacement: string;
  readonly flags: string;
  readonly body: readonly Command[];
  /** Whether a range has begun. */
  active: boolean;
  /** Line at which it ends, when that is a number. */
  until: number;
}

/** Edit a stream. */
export const sed: Applet = async (c) => {
  const o = await options(c, 'nEre:f:si', { quiet: 'n', silent: 'n', 'regexp-extended': 'E', expression: 'e', 'in-place': 'i' });
  const operands = [...o.operands];
  const scripts = [...o.all('e')];
  if (!o.has('e')) {
    const script = operands.shift();
    if (script === undefined) {
      await c.err('Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n');
      return 1;
    }
    scripts.push(script);
  }
  const commands = await new Parser(c, scripts.join('\n'), o.has('E', 'r')).all();
  const texts: { path: string; text: string }[] = [];
  let status = 0;
  for (const path of operands.length === 0 ? ['-'] : operands) {
    try {
      texts.push({ path, text: await c.read(path) });
    } catch (error) {
      await c.err(`sed: can't read ${path}: ${errorText(error)}\n`);
      status = 2;
    }
  }
  if (!o.has('i')) {
    new Run(commands, o.has('n'), (text) => c.out(text)).all(texts.map(({ text }) => text).join(''));
    return status;
  }
  for (const { path, text } of texts) {
    let result = '';
    new Run(commands, o.has('n'), (piece) => void (result += piece)).all(text);
    await c.p.writeFile(path, result);
  }
  return status;
};

class Parser {
  readonly #c: Program;
  readonly #text: string;
  readonly #extended: boolean;
  #at = 0;

  constructor(c: Program, text: string, extended: boolean) {
    this.#c = c;
    this.#text = text;
    this.#extended = extended;
  }

  async all(): Promise<Command[]> {
    try {
      const commands = this.#block(false);
      return commands;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      await this.#c.err(`sed: -e expression #1, char ${Math.max(1, this.#at)}: ${error.message}\n`);
      throw new ProgramExit(1);
    }
  }

  #block(inner: boolean): Command[] {
    const out: Command[] = [];
    for (;;) {
      while (/[\s;]/.test(this.#text[this.#at] ?? '')) this.#at++;
      if (this.#at >= this.#text.length) {
        if (inner) throw new SyntaxError('unmatched `{\'');
        return out;
      }
      if (this.#text[this.#at] === '}') {
        this.#at++;
        if (!inner) throw new SyntaxError("unexpected `}'");
        return out;
      }
      if (this.#text[this.#at] === '#') this.#rest();
      else out.push(this.#command());
    }
  }

  #command(): Command {
    const from = this.#address();
    let to: Address | null = null;
    if (from !== null && this.#text[this.#at] === ',') {
      this.#at++;
      to = this.#address();
    }
    while (this.#text[this.#at] === ' ') this.#at++;
    const negated = this.#text[this.#at] === '!';
    if (negated) this.#at++;
    while (this.#text[this.#at] === ' ') this.#at++;
    const name = this.#text[this.#at++] ?? '';
    const plain = { from, to, negated, name, text: '', re: null, replacement: '', flags: '', body: [], active: false, until: 0 };
    switch (name) {
      case '{':
        return { ...plain, body: this.#block(true) };
      case 's': {
        const delimiter = this.#text[this.#at++];
        const pattern = this.#until(delimiter, false);
        const replacement = this.#until(delimiter, true);
        const flags = /^[gpiIm0-9]*/.exec(this.#text.slice(this.#at))?.[0] ?? '';
        this.#at += flags.length;
        return { ...plain, re: this.#re(pattern, /[iI]/.test(flags)), replacement, flags };
      }
      case 'y': {
        const delimiter = this.#text[this.#at++];
        return { ...plain, text: this.#until(delimiter, false), replacement: this.#until(delimiter, false) };
      }
      case 'a': case 'i': case 'c':
        return { ...plain, text: this.#rest().replace(/^\s*\\?\n?/, '').replace(/^\s+/, '') };
      case 'p': case 'd': case 'q': case '=': case 'n': case 'N': case 'P': case 'D': case 'g': case 'G': case 'h': case 'H': case 'x': case 'Q':
        return plain;
      case '':
        throw new SyntaxError('missing command');
      default:
        throw new SyntaxError(`unknown command: \`${name}'`);
    }
  }

  #address(): Address | null {
    const rest = this.#text.slice(this.#at);
    const line = /^\d+/.exec(rest);
    if (line !== null) {
      this.#at += line[0].length;
      return { line: Number(line[0]) };
    }
    if (rest.startsWith('$')) {
      this.#at++;
      return 'last';
    }
    if (!/^(\/|\\.)/.test(rest)) return null;
    this.#at += rest.startsWith('\\') ? 2 : 1;
    const pattern = this.#until(rest.startsWith('\\') ? rest[1] : '/', false);
    const insensitive = this.#text[this.#at] === 'I';
    if (insensitive) this.#at++;
    return { re: this.#re(pattern, insensitive) };
  }

  #re(pattern: string, insensitive: boolean): RegExp {
    return new RegExp(regExpSource(pattern, this.#extended), insensitive ? 'gi' : 'g');
  }

  #until(delimiter: string, keepEscapes: boolean): string {
    let out = '';
    for (let inBracket = false; ; this.#at++) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new SyntaxError(`unterminated \`${keepEscapes ? 's' : 'address'}' command`);
      if (char === '\\') {
        const next = this.#text[++this.#at];
        out += next === delimiter ? (keepEscapes && next === '&' ? '\\&' : next) : `\\${next}`;
      } else if (char === delimiter && !inBracket) {
        this.#at++;
        return out;
      } else {
        if (!keepEscapes && char === '[') inBracket = true;
        if (char === ']' && !/\[\^?$/.test(out)) inBracket = false;
        out += char;
      }
    }
  }

  #rest(): string {
    const end = this.#text.indexOf('\n', this.#at);
    const rest = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#text.length : end + 1;
    return rest;
  }
}

class Run {
  readonly #commands: readonly Command[];
  readonly #quiet: boolean;
  readonly #out: (text: string) => void;
  #lines: string[] = [];
  #ending = '';
  #index = 0;
  #space = '';
  #hold = '';
  #quit = false;
  #after: string[] = [];

  constructor(commands: readonly Command[], quiet: boolean, out: (text: string) => void) {
    this.#commands = commands;
    this.#quiet = quiet;
    this.#out = out;
  }

  all(text: string): void {
    if (text === '') return;
    this.#ending = text.endsWith('\n') ? '\n' : '';
    this.#lines = (this.#ending === '' ? text : text.slice(0, -1)).split('\n');
    for (this.#index = 0; this.#index < this.#lines.length && !this.#quit; this.#index++) {
      this.#space = this.#lines[this.#index];
      const kept = this.#block(this.#commands);
      if (kept && !this.#quiet) this.#line(this.#space);
      for (const line of this.#after.splice(0)) this.#out(`${line}\n`);
    }
  }

  get #last(): boolean {
    return this.#index >= this.#lines.length - 1;
  }

  #line(text: string): void {
    this.#out(text + (this.#last && this.#ending === '' ? '' : '\n'));
  }

  /** @returns whether the pattern space is still to be printed */
  #block(commands: readonly Command[]): boolean {
    for (const command of commands) {
      if (this.#selected(command) === command.negated) continue;
      switch (command.name) {
        case '{':
          if (!this.#block(command.body)) return false;
          if (this.#quit) return true;
          break;
        case 's':
          if (this.#substitute(command) && command.flags.includes('p')) this.#line(this.#space);
          break;
        case 'p': this.#line(this.#space); break;
        case 'P': this.#line(this.#space.split('\n')[0]); break;
        case 'd': return false;
        case 'D': return false;
        case 'q': this.#quit = true; return true;
        case 'Q': this.#quit = true; return false;
        case '=': this.#out(`${this.#index + 1}\n`); break;
        case 'a': this.#after.push(command.text); break;
        case 'i': this.#out(`${command.text}\n`); break;
        case 'c': this.#out(`${command.text}\n`); return false;
        case 'y': this.#space = [...this.#space].map((char) => command.replacement[command.text.indexOf(char)] ?? char).join(''); break;
        case 'n':
          if (this.#last) return true;
          if (!this.#quiet) this.#line(this.#space);
          this.#space = this.#lines[++this.#index];
          break;
        case 'N':
          if (this.#last) return true;
          this.#space += `\n${this.#lines[++this.#index]}`;
          break;
        case 'h': this.#hold = this.#space; break;
        case 'H': this.#hold += `\n${this.#space}`; break;
        case 'g': this.#space = this.#hold; break;
        case 'G': this.#space += `\n${this.#hold}`; break;
        case 'x': [this.#space, this.#hold] = [this.#hold, this.#space]; break;
      }
    }
    return true;
  }

  #selected(command: Command): boolean {
    if (command.from === null) return true;
    if (command.to === null) return this.#matches(command.from);
    if (!command.active) {
      if (!this.#matches(command.from)) return false;
      command.until = typeof command.to === 'object' && 'line' in command.to ? command.to.line : Infinity;
      command.active = command.until > this.#index + 1 && !(command.to === 'last' && this.#last);
      return true;
    }
    if (command.until !== Infinity ? this.#index + 1 >= command.until : this.#matches(command.to)) command.active = false;
    return command.until === Infinity || this.#index + 1 <= command.until;
  }

  #matches(address: Address): boolean {
    if (address === 'last') return this.#last;
    if ('line' in address) return address.line === this.#index + 1;
    address.re.lastIndex = 0;
    return address.re.test(this.#space);
  }

  #substitute(command: Command): boolean {
    const every = command.flags.includes('g');
    const nth = Number(/\d+/.exec(command.flags)?.[0] ?? 1);
    let seen = 0;
    let done = false;
    this.#space = this.#space.replace(command.re as RegExp, (...match: unknown[]) => {
      seen++;
      if (every ? seen < nth : seen !== nth || done) return String(match[0]);
      done = true;
      return command.replacement.replace(/\\(?:(\d)|(n)|(t)|x([0-9a-fA-F]{2})|(.|\n))|&/g, (
        all: string, group: string | undefined, newline: string | undefined, tab: string | undefined, hex: string | undefined, other: string | undefined,
      ) => {
        if (all === '&') return String(match[0]);
        if (group !== undefined) return group === '0' ? String(match[0]) : String(match[Number(group)] ?? '');
        if (newline !== undefined) return '\n';
        if (tab !== undefined) return '\t';
        return hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : other ?? '';
      });
    });
    return done;
  }
}
