/** Words of a command line as iproute2 reads them. Mirrors `lib/utils.c` and `lib/ll_addr.c` (iproute2 6.1). */

/** `matches`: any beginning of a word stands for it. */
export function matches(word: string, full: string): boolean {
  return word !== '' && full.startsWith(word);
}

/**
 * `get_u16`, `get_u32`, `get_unsigned`: a number as strtoul(3) reads it, which takes a sign, and blanks before it.
 *
 * @param base 0: by the prefix, 0x or 0
 * @returns `null` for what is no number, or more than `max`
 */
export function unsigned(text: string | undefined, base: 0 | 10 | 16, max: number): number | null {
  const m = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9a-fA-F]+)$/.exec(text ?? '');
  if (m === null) return null;
  const [, sign, digits] = m as unknown as readonly [string, string, string]; // both groups take part
  const prefixed = /^0x/i.test(digits);
  const radix = base !== 0 ? base : prefixed ? 16 : digits.startsWith('0') ? 8 : 10;
  if (prefixed && radix !== 16) return null;
  const plain = prefixed ? digits.slice(2) : digits;
  if ([...plain].some((digit) => Number.parseInt(digit, 16) >= radix)) return null;
  const magnitude = [...plain].reduce((sum, digit) => sum * BigInt(radix) + BigInt(Number.parseInt(digit, 16)), 0n);
  if (magnitude >> 64n !== 0n) return null;
  const value = BigInt.asUintN(64, sign === '-' ? -magnitude : magnitude);
  return value <= BigInt(max) ? Number(value) : null;
}

/** A link-layer address, or what is wrong with it. */
export type LinkAddress = { readonly bytes: Uint8Array } | { readonly error: string };

/**
 * `ll_addr_a2n`: bytes in hex, or four in dotted decimal. What follows a byte's digits is ignored.
 *
 * @param most bytes that are read
 * @returns as many bytes as there were
 */
export function linkAddress(text: string, most: number): LinkAddress {
  if (text.includes('.')) {
    const bytes = dotted(text);
    return bytes === null ? { error: `"${text}" is invalid lladdr.\n` } : { bytes };
  }
  const bytes: number[] = [];
  for (const part of text.split(':').slice(0, most)) {
    const byte = scannedHex(part);
    if (byte === null || byte < 0 || byte > 255) return { error: `"${part}" is invalid lladdr.\n` };
    bytes.push(byte);
  }
  return { bytes: Uint8Array.from(bytes) };
}

/** `sscanf("%x")` into an int. */
function scannedHex(text: string): number | null {
  const m = /^[ \t\n\v\f\r]*([+-]?)(0[xX])?([0-9a-fA-F]*)/.exec(text) as RegExpExecArray; // every part may be absent
  if (m[3] === '' && m[2] === undefined) return null;
  const magnitude = BigInt(`0x${m[3] === '' ? '0' : m[3]}`);
  if (magnitude >> 64n !== 0n) return -1; // ULONG_MAX, cut to an int
  return Number(BigInt.asIntN(32, m[1] === '-' ? -magnitude : magnitude));
}

/** `get_addr_ipv4`: what is missing at the end is 0. */
function dotted(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    const byte = unsigned(part, 0, 255);
    if (byte === null) return null;
    bytes[i] = byte;
  }
  return bytes;
}
