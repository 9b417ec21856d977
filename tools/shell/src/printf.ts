/** `printf`'s formatting, for the builtin and the program. */
const SIMPLE: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', e: '\x1b', '\\': '\\', "'": "'", '"': '"', '?': '?' };

/** Format as `printf FORMAT ARG...` does, the format used again while arguments are left. @returns the text and what was wrong */
export function formatPrintf(format: string, args: readonly string[]): { text: string; problems: string[] } {
  const problems: string[] = [];
  const left = [...args];
  let text = '';
  let stopped = false;
  do {
    const before = left.length;
    text += once();
    if (before === left.length) break;
  } while (left.length > 0 && !stopped);
  return { text, problems };

  function once(): string {
    return format.replace(/\\(?:([ntrabfve\\'"?])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|c)|%(?:%|([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?([a-zA-Z]))/g, (
      all: string, letter: string | undefined, octal: string | undefined, hex: string | undefined,
      flags: string | undefined, width: string | undefined, precision: string | undefined, kind: string | undefined,
    ): string => {
      if (stopped) return '';
      if (letter !== undefined) return SIMPLE[letter];
      if (octal !== undefined) return byteText(Number.parseInt(octal, 8) & 0xff);
      if (hex !== undefined) return byteText(Number.parseInt(hex, 16));
      if (all === '\\c') {
        stopped = true;
        return '';
      }
      if (all === '%%') return '%';
      const wide = width === '*' ? Number(left.shift() ?? 0) : Number(width ?? 0);
      const exact = precision === undefined ? null : precision === '*' ? Number(left.shift() ?? 0) : Number(precision);
      return conversion(kind ?? 's', flags ?? '', wide, exact, left.shift());
    });
  }

  function conversion(kind: string, flags: string, width: number, precision: number | null, arg: string | undefined): string {
    let body: string;
    switch (kind) {
      case 's':
        body = precision === null ? arg ?? '' : (arg ?? '').slice(0, precision);
        return pad(body, width, flags.replace('0', ''));
      case 'b':
        return pad((arg ?? '').replace(/\\(?:([ntrabfve\\'"])|0?([0-7]{1,3}))/g, (_, letter: string | undefined, octal: string | undefined) =>
          letter !== undefined ? SIMPLE[letter] : byteText(Number.parseInt(octal ?? '0', 8) & 0xff)), width, flags.replace('0', ''));
      case 'q':
        return pad(/^[\w@%+=:,./-]+$/.test(arg ?? '') ? arg ?? '' : (arg ?? '') === '' ? "''" : (arg ?? '').replace(/[^\w@%+=:,./-]/g, '\\$&'), width, flags);
      case 'c':
        return pad((arg ?? '').slice(0, 1) || '\0', width, flags.replace('0', '')); // no character is NUL
      case 'd': case 'i': case 'u': case 'x': case 'X': case 'o': {
        const value = integer(arg ?? '0');
        const unsigned = kind === 'd' || kind === 'i' ? value : BigInt.asUintN(64, value);
        const radix = kind === 'x' || kind === 'X' ? 16 : kind === 'o' ? 8 : 10;
        body = (unsigned < 0n ? -unsigned : unsigned).toString(radix);
        if (kind === 'X') body = body.toUpperCase();
        if (precision !== null) body = body.padStart(precision, '0');
        const prefix = flags.includes('#') && unsigned !== 0n ? (radix === 16 ? `0${kind}` : radix === 8 ? '0' : '') : '';
        const sign = unsigned < 0n ? '-' : kind !== 'd' && kind !== 'i' ? '' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
        if (flags.includes('0') && !flags.includes('-') && precision === null) body = body.padStart(width - sign.length - prefix.length, '0');
        return pad(sign + prefix + body, width, flags.replace('0', ''));
      }
      case 'f': case 'F': case 'e': case 'g': {
        const value = Number(arg ?? '0');
        if (Number.isNaN(value)) problems.push(`${arg ?? ''}: invalid number`);
        const real = Number.isNaN(value) ? 0 : value;
        body = kind === 'e' ? real.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2') : kind === 'g' ? String(real) : real.toFixed(precision ?? 6);
        if (flags.includes('0') && !flags.includes('-')) body = body.padStart(width, '0');
        return pad(body, width, flags.replace('0', ''));
      }
      default:
        problems.push(`\`${kind}': invalid format character`);
        stopped = true;
        return '';
    }
  }

  function integer(arg: string): bigint {
    const text = arg.trimStart();
    if (/^['"]/.test(text)) return BigInt(text.codePointAt(1) ?? 0);
    const m = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)/.exec(text);
    if (m === null || m[0] !== text) {
      if (text !== '') problems.push(`${arg}: invalid number`);
      else return 0n;
    }
    if (m === null) return 0n;
    const digits = /^0[0-7]+$/.test(m[2]) ? BigInt(`0o${m[2].slice(1)}`) : BigInt(/^0\d/.test(m[2]) ? 0 : m[2]);
    return m[1] === '-' ? -digits : digits;
  }
}

function pad(text: string, width: number, flags: string): string {
  return flags.includes('-') || width < 0 ? text.padEnd(Math.abs(width)) : text.padStart(width);
}

/** A byte as text that turns back into it. */
export function byteText(byte: number): string {
  return String.fromCharCode(byte < 0x80 ? byte : 0xdc00 | byte);
}
