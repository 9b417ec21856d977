/** Option parsing as GNU programs do it: permuted, joined short options, long options with `=`. */
import { ProgramExit, type Program } from '../program.ts';

/** What a command line said. */
export class Options {
  readonly #values = new Map<string, string[]>();
  readonly operands: string[] = [];

  has(...names: string[]): boolean {
    return names.some((name) => this.#values.has(name));
  }

  /** The last value of an option. */
  get(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  add(name: string, value: string): void {
    this.#values.set(name, [...(this.#values.get(name) ?? []), value]);
  }
}

/**
 * Parse a program's arguments; a wrong one is reported and ends it.
 *
 * @param short letters, `:` after those that take a value
 * @param long names and the letter they stand for
 * @param stop whether the first operand ends the options
 */
export async function options(
  c: Program, short: string, long: Readonly<Record<string, string>> = {}, { stop = false, status = 1 } = {},
): Promise<Options> {
  const out = new Options();
  const args = [...c.args];
  const wrong = async (text: string): Promise<never> => {
    await c.err(`${c.name}: ${text}\nTry '${c.name} --help' for more information.\n`);
    throw new ProgramExit(status);
  };
  const takes = (letter: string): boolean => short[short.indexOf(letter) + 1] === ':';
  while (args.length > 0) {
    const arg = args.shift() as string; // there is one
    if (arg === '--') break;
    if (arg.startsWith('--')) {
      const [name, value] = [arg.slice(2).split('=')[0], arg.includes('=') ? arg.slice(arg.indexOf('=') + 1) : undefined];
      const key = long[name] ?? Object.entries(long).find(([full]) => full.startsWith(name))?.[1];
      if (key === undefined) return wrong(`unrecognized option '${arg}'`);
      if (takes(key) && value === undefined && args.length === 0) return wrong(`option '--${name}' requires an argument`);
      out.add(key, value ?? (takes(key) ? args.shift() as string : ''));
      continue;
    }
    if (arg === '-' || !arg.startsWith('-')) {
      out.operands.push(arg);
      if (stop) break;
      continue;
    }
    for (let i = 1; i < arg.length; i++) {
      const letter = arg[i];
      if (letter === ':' || !short.includes(letter)) return wrong(`invalid option -- '${letter}'`);
      if (!takes(letter)) {
        out.add(letter, '');
        continue;
      }
      const rest = arg.slice(i + 1);
      if (rest === '' && args.length === 0) return wrong(`option requires an argument -- '${letter}'`);
      out.add(letter, rest === '' ? args.shift() as string : rest);
      break;
    }
  }
  out.operands.push(...args);
  return out;
}

/** A name as coreutils' messages show it. */
export function quoteName(name: string): string {
  if (/[\n\t\x01-\x1f]/.test(name)) return `''$'${name.replaceAll('\n', '\\n').replaceAll('\t', '\\t')}'`;
  return name.includes("'") ? (/["$`\\!]/.test(name) ? `'${name.replaceAll("'", "'\\''")}'` : `"${name}"`) : `'${name}'`;
}

/** `NAME: missing operand` with its hint. @returns 1 */
export async function missingOperand(c: Program, after?: string): Promise<number> {
  await c.err(`${c.name}: missing ${after === undefined ? 'operand' : `destination file operand after ${quoteName(after)}`}\nTry '${c.name} --help' for more information.\n`);
  return 1;
}
