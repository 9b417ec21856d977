/** `getopt_long(3)` as glibc does it: options anywhere, `--` ends them, long names may be cut short. */

/** One option that was given. */
export interface GivenOption {
  /** Its letter or long name, as declared. */
  readonly name: string;
  readonly value: string | null;
}

/** What a command line says. */
export interface Options {
  readonly options: readonly GivenOption[];
  readonly operands: readonly string[];
  /** The first thing getopt complains about, without the program's name; `null` for none. */
  readonly error: string | null;
}

/** What a tool takes. Long options map to a letter or a name of their own. */
export interface OptionTable {
  /** Letters; a `:` after one says that it takes a value. */
  readonly short: string;
  /** Long name -> the name to report; a value with `:` at its end takes a value. */
  readonly long: Readonly<Record<string, string>>;
}

/** Read a command line. @param argv without the program's name */
export function getopt(argv: readonly string[], table: OptionTable): Options {
  const options: GivenOption[] = [];
  const operands: string[] = [];
  const fail = (error: string): Options => ({ options, operands, error });
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string; // i is in range
    if (word === '--') {
      operands.push(...argv.slice(i + 1));
      break;
    }
    if (word.startsWith('--')) {
      const [typed, given] = splitLong(word);
      const names = Object.keys(table.long).filter((n) => n.startsWith(typed));
      const name = names.includes(typed) ? typed : new Set(names.map((n) => table.long[n])).size === 1 ? names[0] : undefined;
      if (name === undefined) {
        return fail(names.length === 0 ? `unrecognized option '${word}'` : `option '${word}' is ambiguous; possibilities: ${names.map((n) => `'--${n}'`).join(' ')}`);
      }
      const target = table.long[name] as string; // name is a key
      const takes = target.endsWith(':');
      if (!takes && given !== null) return fail(`option '--${name}' doesn't allow an argument`);
      const value = takes ? given ?? argv[++i] : null;
      if (value === undefined) return fail(`option '--${name}' requires an argument`);
      options.push({ name: target.replace(/:$/, ''), value });
    } else if (word.startsWith('-') && word !== '-') {
      for (let at = 1; at < word.length; at++) {
        const letter = word[at] as string; // at is in range
        const declared = letter === ':' ? -1 : table.short.indexOf(letter);
        if (declared < 0) return fail(`invalid option -- '${letter}'`);
        if (table.short[declared + 1] !== ':') {
          options.push({ name: letter, value: null });
          continue;
        }
        const rest = word.slice(at + 1);
        const value = rest !== '' ? rest : argv[++i];
        if (value === undefined) return fail(`option requires an argument -- '${letter}'`);
        options.push({ name: letter, value });
        break;
      }
    } else operands.push(word);
  }
  return { options, operands, error: null };
}

function splitLong(word: string): [string, string | null] {
  const equals = word.indexOf('=');
  return equals < 0 ? [word.slice(2), null] : [word.slice(2, equals), word.slice(equals + 1)];
}
