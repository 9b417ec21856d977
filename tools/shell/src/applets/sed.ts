/** `sed` of GNU sed 4.9: addresses, blocks, labels, and all commands but e, r, R, W, F, z. */
import { utf8Encode } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { ProgramExit } from '../program.ts';
import { errorText } from '../system.ts';
import { options } from './options.ts';
import { regExpSource } from './regexp.ts';

type Address = { readonly line: number } | { readonly first: number; readonly step: number } | { readonly re: RegExp } | { readonly more: number } | 'last';

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
  const files = new Map<string, string>();
  const finish = async (run: Run): Promise<number> => {
    for (const [path, text] of files) if (path !== '/dev/stdout') await c.p.writeFile(path, text);
    return run.exitStatus === 0 ? status : run.exitStatus;
  };
  if (!o.has('i', 's')) {
    const run = new Run(commands, o.has('n'), (text) => c.out(text), files);
    run.all(texts.map(({ text }) => text).join(''));
    return finish(run);
  }
  let run = new Run(commands, o.has('n'), (text) => c.out(text), files);
  for (const { path, text } of texts) {
    let result = '';
    run = new Run(commands, o.has('n'), (piece) => void (o.has('i') ? (result += piece) : c.out(piece)), files);
    run.all(text);
    if (o.has('i')) await c.p.writeFile(path, result);
    if (run.exitStatus !== 0) break;
  }
  return finish(run);
};

/** A text as `l` shows it. */
function visible(text: string): string {
  const named: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\b': '\\b', '\f': '\\f', '\v': '\\v', '\x07': '\\a' };
  return [...utf8Encode(text)].map((byte) => {
    const char = String.fromCharCode(byte);
    return named[char] ?? (byte < 0x20 || byte > 0x7e ? `\\${byte.toString(8).padStart(3, '0')}` : char);
  }).join('');
}

/** Carry out \U \L \E \u \l, which are marked. */
function inCases(text: string): string {
  let out = '';
  let mode = 'E';
  let once = '';
  for (const piece of text.split(/(\uE000[ULEul])/)) {
    if (piece.startsWith('\uE000')) {
      if ('ULE'.includes(piece[1])) mode = piece[1];
      else once = piece[1];
      continue;
    }
    if (piece === '') continue;
    const cased = mode === 'U' ? piece.toUpperCase() : mode === 'L' ? piece.toLowerCase() : piece;
    out += once === 'u' ? cased[0].toUpperCase() + cased.slice(1) : once === 'l' ? cased[0].toLowerCase() + cased.slice(1) : cased;
    once = '';
  }
  return out;
}

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
        if (this.#text[this.#at] === 'w') {
          this.#at++;
          return { ...plain, re: this.#re(pattern, /[iI]/.test(flags)), replacement, flags, text: this.#rest().trim() };
        }
        if (/[^\s;}#]/.test(this.#text[this.#at] ?? '')) {
          this.#at++;
          throw new SyntaxError("unknown option to `s'");
        }
        return { ...plain, re: this.#re(pattern, /[iI]/.test(flags)), replacement, flags };
      }
      case 'y': {
        const delimiter = this.#text[this.#at++];
        return { ...plain, text: this.#until(delimiter, false, "`y' command"), replacement: this.#until(delimiter, false, "`y' command") };
      }
      case 'a': case 'i': case 'c':
        return { ...plain, text: this.#textLines() };
      case ':': case 'b': case 't': case 'T': {
        const label = /^\s*([^;\n}]*)/.exec(this.#text.slice(this.#at));
        this.#at += label?.[0].length ?? 0;
        if (name === ':' && label?.[1].trim() === '') throw new SyntaxError('":" lacks a label');
        return { ...plain, text: (label?.[1] ?? '').trim() };
      }
      case 'w':
        return { ...plain, text: this.#rest().trim() };
      case 'q': case 'Q': {
        const code = /^\s*(\d*)/.exec(this.#text.slice(this.#at));
        this.#at += code?.[0].length ?? 0;
        return { ...plain, text: code?.[1] ?? '' };
      }
      case 'l': case 'p': case 'd': case '=': case 'n': case 'N': case 'P': case 'D': case 'g': case 'G': case 'h': case 'H': case 'x':
        this.#end();
        return plain;
      case '':
        throw new SyntaxError('missing command');
      default:
        throw new SyntaxError(`unknown command: \`${name}'`);
    }
  }

  /** After a command without arguments only its end may follow. */
  #end(): void {
    if (!/^[ \t]*($|[;\n}#])/.test(this.#text.slice(this.#at))) {
      this.#at++;
      throw new SyntaxError('extra characters after command');
    }
  }

  /** The text of a, i and c: one line, or several joined by backslashes. */
  #textLines(): string {
    while (/[ \t]/.test(this.#text[this.#at] ?? '')) this.#at++;
    let keepsBlanks = false;
    if (this.#text[this.#at] === '\\') {
      this.#at++;
      while (/[ \t]/.test(this.#text[this.#at] ?? '') && /^[ \t]*\n/.test(this.#text.slice(this.#at))) this.#at++;
      if (this.#text[this.#at] === '\n') this.#at++;
      else keepsBlanks = true;
    }
    if (this.#at >= this.#text.length && !keepsBlanks) throw new SyntaxError('expected \\ after `a\', `c\' or `i\'');
    let out = '';
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '\n') {
        this.#at++;
        break;
      }
      if (char === '\\' && this.#at + 1 < this.#text.length) out += this.#text[++this.#at];
      else out += char;
    }
    return out;
  }

  #address(): Address | null {
    const rest = this.#text.slice(this.#at);
    const stepped = /^(\d+)~(\d+)/.exec(rest);
    if (stepped !== null) {
      this.#at += stepped[0].length;
      return { first: Number(stepped[1]), step: Number(stepped[2]) };
    }
    const more = /^\+(\d+)/.exec(rest);
    if (more !== null) {
      this.#at += more[0].length;
      return { more: Number(more[1]) };
    }
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
    const pattern = this.#until(rest.startsWith('\\') ? rest[1] : '/', false, 'address regex');
    const insensitive = this.#text[this.#at] === 'I';
    if (insensitive) this.#at++;
    return { re: this.#re(pattern, insensitive) };
  }

  #re(pattern: string, insensitive: boolean): RegExp {
    return new RegExp(regExpSource(pattern, this.#extended), insensitive ? 'gi' : 'g');
  }

  /** @param what has begun, for the message */
  #until(delimiter: string, keepEscapes: boolean, what = "`s' command"): string {
    let out = '';
    for (let inBracket = false; ; this.#at++) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new SyntaxError(`unterminated ${what}`);
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
  /** What `w` wrote, by file. */
  readonly #files: Map<string, string>;
  /** Of `q` and `Q`. */
  exitStatus = 0;
  /** A branch on its way to its label; `null` when there is none. */
  #branch: string | null = null;
  #substituted = false;
  #restart = false;
  #lines: string[] = [];
  #ending = '';
  #index = 0;
  #space = '';
  #hold = '';
  #quit = false;
  #after: string[] = [];

  constructor(commands: readonly Command[], quiet: boolean, out: (text: string) => void, files: Map<string, string>) {
    this.#files = files;
    this.#commands = commands;
    this.#quiet = quiet;
    this.#out = out;
  }

  all(text: string): void {
    if (text === '') return;
    this.#ending = text.endsWith('\n') ? '\n' : '';
    this.#lines = (this.#ending === '' ? text : text.slice(0, -1)).split('\n');
    for (this.#index = 0; this.#index < this.#lines.length && !this.#quit; this.#index++) {
      if (!this.#restart) this.#space = this.#lines[this.#index];
      this.#restart = false;
      this.#substituted = false;
      let kept = this.#block(this.#commands);
      while (this.#branch !== null && this.#branch !== '') kept = this.#block(this.#commands);
      this.#branch = null;
      if (kept && !this.#quiet) this.#line(this.#space);
      for (const line of this.#after.splice(0)) this.#out(`${line}\n`);
      if (this.#restart) this.#index--;
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
      if (this.#branch !== null) {
        if (command.name === ':' && command.text === this.#branch) this.#branch = null;
        else if (command.name === '{' && !this.#block(command.body)) return false;
        continue;
      }
      if (command.name === ':' || this.#selected(command) === command.negated) continue;
      switch (command.name) {
        case '{':
          if (!this.#block(command.body)) return false;
          if (this.#quit || this.#branch === '') return true;
          break;
        case 's':
          if (!this.#substitute(command)) break;
          this.#substituted = true;
          if (command.flags.includes('p')) this.#line(this.#space);
          if (command.text !== '') this.#write(command.text);
          break;
        case 'w': this.#write(command.text); break;
        case 'l': this.#out(`${visible(this.#space)}$\n`); break;
        case 'b': case 't': case 'T':
          if (command.name !== 'b' && this.#substituted === (command.name === 'T')) break;
          if (command.name === 't') this.#substituted = false;
          this.#branch = command.text;
          if (command.text === '') return true;
          break;
        case 'p': this.#line(this.#space); break;
        case 'P': this.#line(this.#space.split('\n')[0]); break;
        case 'd': return false;
        case 'D': {
          const newline = this.#space.indexOf('\n');
          if (newline < 0) return false;
          this.#space = this.#space.slice(newline + 1);
          this.#restart = true;
          return false;
        }
        case 'q': this.#quit = true; this.exitStatus = Number(command.text); return true;
        case 'Q': this.#quit = true; this.exitStatus = Number(command.text); return false;
        case '=': this.#out(`${this.#index + 1}\n`); break;
        case 'a': this.#after.push(command.text); break;
        case 'i': this.#out(`${command.text}\n`); break;
        case 'c':
          if (command.to === null || command.negated || !command.active) this.#out(`${command.text}\n`);
          return false;
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

  #write(path: string): void {
    if (path === '/dev/stdout') this.#line(this.#space);
    else this.#files.set(path, `${this.#files.get(path) ?? ''}${this.#space}\n`);
  }

  #selected(command: Command): boolean {
    if (command.from === null) return true;
    if (command.to === null) return this.#matches(command.from);
    if (!command.active) {
      if (!this.#matches(command.from)) return false;
      command.until = typeof command.to !== 'object' ? Infinity : 'line' in command.to ? command.to.line : 'more' in command.to ? this.#index + 1 + command.to.more : Infinity;
      command.active = command.until > this.#index + 1 && !(command.to === 'last' && this.#last);
      return true;
    }
    if (command.until !== Infinity ? this.#index + 1 >= command.until : this.#matches(command.to)) command.active = false;
    return command.until === Infinity || this.#index + 1 <= command.until;
  }

  #matches(address: Address): boolean {
    if (address === 'last') return this.#last;
    if ('line' in address) return address.line === this.#index + 1;
    if ('more' in address) return false;
    if ('first' in address) return address.step === 0 ? address.first === this.#index + 1 : this.#index + 1 >= address.first && (this.#index + 1 - address.first) % address.step === 0;
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
      const raw = command.replacement.replace(/\\(?:(\d)|(n)|(t)|x([0-9a-fA-F]{2})|(.|\n))|&/g, (
        all: string, group: string | undefined, newline: string | undefined, tab: string | undefined, hex: string | undefined, other: string | undefined,
      ) => {
        if (all === '&') return String(match[0]);
        if (group !== undefined) return group === '0' ? String(match[0]) : String(match[Number(group)] ?? '');
        if (newline !== undefined) return '\n';
        if (tab !== undefined) return '\t';
        if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
        return other !== undefined && 'ULEul'.includes(other) ? `\uE000${other}` : other ?? '';
      });
      return raw.includes('\uE000') ? inCases(raw) : raw;
    });
    return done;
  }
}
