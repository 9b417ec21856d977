/** Template of the driver's fused loops. */
import { DRIVER as N, SLOT } from '../state.ts';
import { repeat } from './unroll.ts';

const HEADER = `/** The driver's loops over many buffers. Written by fused/template; do not edit. */
import type { DriverState } from './state.ts';
`;

/** A descriptor's first three words from the caller's triple. */
const address = (table: string, d: string) => `${table}[${d}] = segments[s]; ${table}[${d} + 1] = segments[s + 1]; ${table}[${d} + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;`;

/** Remember a buffer and put its head into the available ring. `tail` is the last of `count` descriptors. */
const offer = (head: string, chain: string) => `slots[(${head} << 2) + ${SLOT.chain}] = ${chain}; slots[(${head} << 2) + ${SLOT.token}] = tokens[t];
      availRing[shadow & mask] = ${head}; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;`;

const LOCALS = `const { n, slots } = state;
  const { desc, availRing } = state.views;
  const mask = n[${N.mask}] & 0x7fff;
  let shadow = n[${N.availShadow}];
  let s = start & 0x3fffffff;
  let t = tokenStart & 0x3fffffff;
  const end = (t + count) | 0;`;

const LEAVE = (head: string) => `n[${N.freeHead}] = ${head};
  n[${N.availShadow}] = shadow & 0xffff;`;

const PUT_ONES = `
/** Buffers of one segment. There are \`count\` > 0 free descriptors; \`flags\` are the descriptor's. */
export function putOnes(
  state: DriverState, count: number, segments: Int32Array, start: number, flags: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  ${LOCALS}
  const word = flags | 0;
  let i = n[${N.freeHead}] & 0x7fff;
  for (;;) {
    ${repeat(4, `{
      const d = i << 2;
      desc[d + 3] = word;
      ${address('desc', 'd')}
      ${offer('i', '0x10000 | i')}
      i = slots[d + ${SLOT.next}] & 0x7fff;
      if (t === end) break;
    }`)}
  }
  ${LEAVE('i')}
}
`;

const PUT_CHAINS = `
/** Buffers of \`total\` > 1 segments, the last \`into\` of them device-writable. There are \`count * total\` > 0 free descriptors. */
export function putChains(
  state: DriverState, count: number, segments: Int32Array, start: number, into: number, total: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  ${LOCALS}
  const writable = into | 0;
  const length = total | 0;
  let head = n[${N.freeHead}] & 0x7fff;
  for (;;) {
    let i = head;
    let left = length;
    for (;;) {
    ${repeat(3, `{
      const d = i << 2;
      const next = slots[d + ${SLOT.next}] & 0x7fff;
      ${address('desc', 'd')}
      const flags = left > writable ? 1 : 3;
      left = (left - 1) | 0;
      if (left === 0) {
        desc[d + 3] = flags ^ 1;
        ${offer('head', 'i | (length << 16)')}
        head = next;
        break;
      }
      desc[d + 3] = flags | (next << 16);
      i = next;
    }`)}
    }
    if (t === end) break;
  }
  ${LEAVE('head')}
}
`;

const PUT_TABLES = `
/** Buffers of \`total\` > 1 segments in indirect tables, the last \`into\` of them device-writable. There are \`count\` > 0 free descriptors. */
export function putTables(
  state: DriverState, count: number, segments: Int32Array, start: number, into: number, total: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  ${LOCALS}
  const { tables } = state;
  const tableLo = n[${N.tableLo}];
  const tableHi = n[${N.tableHi}];
  const tableWords = n[${N.tableWords}];
  const last = (total - into) | 0;
  const length = total | 0;
  const size = length << 4;
  let i = n[${N.freeHead}] & 0x7fff;
  for (;;) {
    const first = Math.imul(i, tableWords);
    let d = first & 0x3fffffff;
    let k = 1;
    for (;;) {
    ${repeat(3, `{
      ${address('tables', 'd')}
      const flags = k <= last ? 1 : 3;
      if (k === length) {
        tables[d + 3] = flags ^ 1;
        break;
      }
      tables[d + 3] = flags | (k << 16);
      d = (d + 4) & 0x3fffffff;
      k = (k + 1) | 0;
    }`)}
    }
    const h = i << 2;
    desc[h] = (tableLo + (first << 2)) | 0; desc[h + 1] = tableHi; desc[h + 2] = size; desc[h + 3] = 4;
    ${offer('i', '0x10000 | i')}
    i = slots[h + ${SLOT.next}] & 0x7fff;
    if (t === end) break;
  }
  ${LEAVE('i')}
}
`;

const TAKE = `
/**
 * Take \`count\` > 0 used buffers.
 *
 * @returns how many were taken: fewer when the entry behind them is not a buffer's
 */
export function take(state: DriverState, tokens: Int32Array, lengths: Int32Array, count: number): number {
  const { n, slots } = state;
  const { usedRing } = state.views;
  const num = n[${N.num}];
  const mask = n[${N.mask}] & 0x7fff;
  const end = count | 0;
  let last = n[${N.lastUsed}];
  let free = n[${N.freeHead}];
  let numFree = n[${N.numFree}];
  let got = 0;
  for (;;) {
    ${repeat(1, `{
      const u = (last & mask) << 1;
      const id = usedRing[u];
      if (id >>> 0 >= num >>> 0) break;
      const slot = (id & 0x7fff) << 2;
      const chain = slots[slot + ${SLOT.chain}];
      if (chain === 0) break;
      tokens[got] = slots[slot + ${SLOT.token}];
      lengths[got] = usedRing[u + 1];
      slots[slot + ${SLOT.chain}] = 0;
      slots[((chain & 0x7fff) << 2) + ${SLOT.next}] = free;
      free = id;
      numFree = (numFree + (chain >>> 16)) | 0;
      last = (last + 1) | 0;
      got = (got + 1) & 0xffff;
      if (got === end) break;
    }`)}
  }
  n[${N.lastUsed}] = last & 0xffff;
  n[${N.freeHead}] = free;
  n[${N.numFree}] = numFree;
  return got;
}
`;

/** The text of `fused/driver.ts`. */
export function driverLoops(): string {
  return [HEADER, PUT_ONES, PUT_CHAINS, PUT_TABLES, TAKE].join('');
}
