/** A configuration space as `lspci -x` prints it. */

/** `30: 00 00 00 00 40 ...`; extended space has three digits before the colon. */
const LINE = /^([0-9a-f]{2,3}):((?: [0-9a-f]{2})+)$/i;

/** Bytes `lspci` shows: by -x, -xxx and -xxxx. */
const SIZES = [64, 256, 4096];

/**
 * Read a dump. Lines that are none are passed over, so that the one which names the function may stay; lines of zeros may be left out.
 *
 * @returns 64, 256 or 4096 bytes, whatever the last line needs
 * @throws RangeError when the first 64 bytes are not there, or a line goes beyond 4096
 */
export function readDump(text: string): Uint8Array {
  const space = new Uint8Array(4096);
  let header = 0;
  let end = 0;
  for (const line of text.split('\n')) {
    const match = LINE.exec(line.trim());
    if (match === null) continue;
    const [, where = '', values = ''] = match;
    const at = Number.parseInt(where, 16);
    const bytes = values.trim().split(' ').map((value) => Number.parseInt(value, 16));
    if (at + bytes.length > space.length) throw new RangeError(`configuration dump: line ${where} goes beyond ${space.length} bytes`);
    space.set(bytes, at);
    if (at === header && header < 64) header += bytes.length;
    end = Math.max(end, at + bytes.length);
  }
  if (header < 64) throw new RangeError(`configuration dump: the header is 64 bytes, ${header} are here`);
  return space.slice(0, SIZES.find((size) => size >= end));
}
