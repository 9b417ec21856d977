/** Numbers in attribute files. Mirrors `lib/kstrtox.c` (Linux 6.1). */

/**
 * `kstrtoul(text, 0)`: decimal, `0x` or leading 0, one newline at the end.
 *
 * @returns `null` for anything else, and above `max`
 */
export function kstrtoul(text: string, max: number): number | null {
  const m = /^\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text);
  if (m === null) return null;
  const digits = m[1]!;
  const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return value > max ? null : value;
}

/** `kstrtobool`: y, t, 1, on; n, f, 0, off. @returns `null` for anything else */
export function kstrtobool(text: string): boolean | null {
  if (/^([yYtT1]|[oO][nN])/.test(text)) return true;
  if (/^([nNfF0]|[oO][fF])/.test(text)) return false;
  return null;
}
