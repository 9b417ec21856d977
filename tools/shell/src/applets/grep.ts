/** `grep`, `egrep`, `fgrep`. */
import type { Applet, Program } from '../program.ts';
import { linesOf } from '../streams.ts';
import { errorText } from '../system.ts';
import { options, type Options } from './options.ts';
import { regExpSource } from './regexp.ts';

/** Print lines that match. */
export const grep: Applet = async (c) => {
  const o = await options(c, 'qviEFGPnhHcoslLrRwxe:f:m:A:B:C:aIz', {
    quiet: 'q', silent: 'q', 'invert-match': 'v', 'ignore-case': 'i', 'extended-regexp': 'E', 'fixed-strings': 'F', 'line-number': 'n', count: 'c',
    'only-matching': 'o', 'files-with-matches': 'l', recursive: 'r', 'word-regexp': 'w', 'line-regexp': 'x', regexp: 'e', 'no-messages': 's',
    'max-count': 'm', 'after-context': 'A', 'before-context': 'B', context: 'C', 'no-filename': 'h', 'with-filename': 'H', color: 'z',
  }, { status: 2 });
  const operands = [...o.operands];
  const patterns = o.has('e') ? o.all('e') : operands.length > 0 ? [operands.shift() as string] : null;
  if (patterns === null) {
    await c.err("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n");
    return 2;
  }
  try {
    return await new Search(c, o, patterns).run(operands);
  } catch (error) {
    if (!(error instanceof GrepProblem)) throw error;
    return c.fail(error.message, 2);
  }
};

/** @throws GrepProblem with the message of GNU's regcomp for what is no expression */
function compiled(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags);
  } catch (error) {
    const text = String(error);
    throw new GrepProblem(/Unterminated group/.test(text) ? 'Unmatched ( or \\(' : /Unmatched '\)'/.test(text) ? 'Unmatched ) or \\)'
      : /character class/.test(text) ? 'Unmatched [, [^, [:, [., or [=' : /Nothing to repeat/.test(text) ? 'Invalid preceding regular expression' : 'Invalid regular expression');
  }
}

class GrepProblem extends Error {}

class Search {
  readonly #c: Program;
  readonly #o: Options;
  readonly #re: RegExp;
  #found = false;
  #failed = false;

  constructor(c: Program, o: Options, patterns: readonly string[]) {
    this.#c = c;
    this.#o = o;
    const extended = o.has('E', 'P') || c.name === 'egrep';
    const sources = patterns.flatMap((pattern) => pattern.split('\n')).map((pattern) =>
      o.has('F') || c.name === 'fgrep' ? pattern.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&') : o.has('P') ? pattern : regExpSource(pattern, extended));
    const joined = sources.map((source) => (sources.length > 1 ? `(?:${source})` : source)).join('|');
    const whole = o.has('x') ? `^(?:${joined})$` : o.has('w') ? `(?<!\\w)(?:${joined})(?!\\w)` : joined;
    this.#re = compiled(whole, o.has('i') ? 'gi' : 'g');
  }

  async run(operands: readonly string[]): Promise<number> {
    const recursive = this.#o.has('r', 'R');
    const paths = operands.length > 0 ? operands : [recursive ? '.' : '-'];
    const named = this.#o.has('H') || (!this.#o.has('h') && (paths.length > 1 || recursive));
    for (const path of paths) await this.#path(path, named, recursive);
    if (this.#failed && !(this.#found && this.#o.has('q'))) return 2;
    return this.#found ? 0 : 1;
  }

  async #path(path: string, named: boolean, recursive: boolean): Promise<void> {
    try {
      if (path !== '-' && (await this.#c.p.stat(path)).kind === 'dir') {
        if (!recursive) {
          await this.#c.err(`grep: ${path}: Is a directory\n`);
          this.#failed = true;
          return;
        }
        for (const { name, kind } of await this.#c.p.readdir(path)) {
          if (kind !== 'link') await this.#path(`${path.replace(/\/$/, '')}/${name}`, named, true);
        }
        return;
      }
      this.#text(path, await this.#c.read(path), named);
    } catch (error) {
      this.#failed = true;
      const text = errorText(error);
      if (!this.#o.has('s')) await this.#c.err(`grep: ${path}: ${text}\n`);
    }
  }

  #text(path: string, text: string, named: boolean): void {
    const o = this.#o;
    const label = named ? `${path === '-' ? '(standard input)' : path}` : null;
    const lines = linesOf(text);
    const max = o.has('m') ? Number(o.get('m')) : Infinity;
    const after = Number(o.get('A') ?? o.get('C') ?? 0);
    const before = Number(o.get('B') ?? o.get('C') ?? 0);
    let count = 0;
    let printed = -1;
    let pending = 0;
    const show = (i: number, mark: string, body = lines[i]): void => {
      this.#c.out(`${label === null ? '' : label + mark}${o.has('n') ? i + 1 + mark : ''}${body}\n`);
      printed = i;
    };
    for (const [i, line] of lines.entries()) {
      this.#re.lastIndex = 0;
      const hit = this.#re.test(line) !== o.has('v');
      if (!hit || count >= max) {
        if (pending > 0 && !o.has('c', 'l', 'q', 'o')) {
          show(i, '-');
          pending--;
        } else if (count >= max) break;
        continue;
      }
      count++;
      this.#found = true;
      if (o.has('q')) return;
      if (o.has('c', 'l', 'L')) continue;
      if (o.has('o')) {
        this.#re.lastIndex = 0;
        if (!o.has('v')) for (const [match] of line.matchAll(this.#re)) if (match !== '') show(i, ':', match);
        continue;
      }
      const from = Math.max(printed + 1, i - before);
      if ((after > 0 || before > 0) && printed >= 0 && from > printed + 1) this.#c.out('--\n');
      for (let j = from; j < i; j++) show(j, '-');
      show(i, ':');
      pending = after;
    }
    if (o.has('l') && count > 0) this.#c.out(`${path === '-' ? '(standard input)' : path}\n`);
    else if (o.has('L') && count === 0) this.#c.out(`${path}\n`);
    else if (o.has('c') && !o.has('l')) this.#c.out(`${label === null ? '' : `${label}:`}${count}\n`);
  }
}
