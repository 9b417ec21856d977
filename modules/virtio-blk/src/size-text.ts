/** Sizes as the log shows them. Mirrors `lib/string_helpers.c` (Linux 6.1), `string_get_size`. */

const UNITS = {
  2: ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], 10: ['B', 'kB', 'MB', 'GB', 'TB', 'PB'],
} as const;

/** Three significant digits, in powers of 1024 or of 1000. */
export function sizeText(bytes: number, base: 2 | 10): string {
  const step = base === 2 ? 1024 : 1000;
  let unit = 0;
  let size = bytes;
  while (size >= step && unit < UNITS[base].length - 1) {
    size /= step;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${UNITS[base][unit]}`;
}

/** `vda`, ..., `vdz`, `vdaa`: `virtblk_name_format`. */
export function diskName(index: number): string {
  let name = '';
  for (let n = index; n >= 0; n = Math.floor(n / 26) - 1) name = String.fromCharCode(97 + (n % 26)) + name;
  return `vd${name}`;
}
