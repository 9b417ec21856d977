/** Lists of bus addresses at the end of a command's input. */

/** @returns `count` addresses of 64 bits, or `null` when there are fewer or one is beyond 2^53 */
export function addresses(input: Uint8Array, at: number, count: number): number[] | null {
  if (input.length < at + 8 * count) return null;
  const view = new DataView(input.buffer, input.byteOffset);
  const list: number[] = [];
  for (let i = 0; i < count; i++) {
    const address = view.getUint32(at + 8 * i) * 0x1_0000_0000 + view.getUint32(at + 8 * i + 4);
    if (!Number.isSafeInteger(address)) return null;
    list.push(address);
  }
  return list;
}
