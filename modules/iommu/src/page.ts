/** Pages and how addresses are written. */

/** Bytes of a page; the smallest mapping. */
export const PAGE_SIZE = 4096;

/** Offset of an address within its page. */
export function offsetInPage(address: number): number {
  return address & (PAGE_SIZE - 1); // `&` keeps the low bits of numbers above 2^32 too
}

/** `0x` and the digits, as `%#llx` prints. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
