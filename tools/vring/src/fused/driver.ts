/** The driver's loops over many buffers. Written by fused/template; do not edit. */
import type { DriverState } from './state.ts';

/** Buffers of one segment. There are `count` > 0 free descriptors; `flags` are the descriptor's. */
export function putOnes(
  state: DriverState, count: number, segments: Int32Array, start: number, flags: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  const { n, slots } = state;
  const { desc, availRing } = state.views;
  const mask = n[1] & 0x7fff;
  let shadow = n[4];
  let s = start & 0x3fffffff;
  let t = tokenStart & 0x3fffffff;
  const end = (t + count) | 0;
  const word = flags | 0;
  let i = n[2] & 0x7fff;
  for (;;) {
    {
      const d = i << 2;
      desc[d + 3] = word;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      slots[(i << 2) + 1] = 0x10000 | i; slots[(i << 2) + 2] = tokens[t];
      availRing[shadow & mask] = i; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
      i = slots[d + 0] & 0x7fff;
      if (t === end) break;
    }
    {
      const d = i << 2;
      desc[d + 3] = word;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      slots[(i << 2) + 1] = 0x10000 | i; slots[(i << 2) + 2] = tokens[t];
      availRing[shadow & mask] = i; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
      i = slots[d + 0] & 0x7fff;
      if (t === end) break;
    }
    {
      const d = i << 2;
      desc[d + 3] = word;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      slots[(i << 2) + 1] = 0x10000 | i; slots[(i << 2) + 2] = tokens[t];
      availRing[shadow & mask] = i; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
      i = slots[d + 0] & 0x7fff;
      if (t === end) break;
    }
    {
      const d = i << 2;
      desc[d + 3] = word;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      slots[(i << 2) + 1] = 0x10000 | i; slots[(i << 2) + 2] = tokens[t];
      availRing[shadow & mask] = i; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
      i = slots[d + 0] & 0x7fff;
      if (t === end) break;
    }
  }
  n[2] = i;
  n[4] = shadow & 0xffff;
}

/** Buffers of `total` > 1 segments, the last `into` of them device-writable. There are `count * total` > 0 free descriptors. */
export function putChains(
  state: DriverState, count: number, segments: Int32Array, start: number, into: number, total: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  const { n, slots } = state;
  const { desc, availRing } = state.views;
  const mask = n[1] & 0x7fff;
  let shadow = n[4];
  let s = start & 0x3fffffff;
  let t = tokenStart & 0x3fffffff;
  const end = (t + count) | 0;
  const writable = into | 0;
  const length = total | 0;
  let head = n[2] & 0x7fff;
  for (;;) {
    let i = head;
    let left = length;
    for (;;) {
    {
      const d = i << 2;
      const next = slots[d + 0] & 0x7fff;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = left > writable ? 1 : 3;
      left = (left - 1) | 0;
      if (left === 0) {
        desc[d + 3] = flags ^ 1;
        slots[(head << 2) + 1] = i | (length << 16); slots[(head << 2) + 2] = tokens[t];
      availRing[shadow & mask] = head; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
        head = next;
        break;
      }
      desc[d + 3] = flags | (next << 16);
      i = next;
    }
    {
      const d = i << 2;
      const next = slots[d + 0] & 0x7fff;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = left > writable ? 1 : 3;
      left = (left - 1) | 0;
      if (left === 0) {
        desc[d + 3] = flags ^ 1;
        slots[(head << 2) + 1] = i | (length << 16); slots[(head << 2) + 2] = tokens[t];
      availRing[shadow & mask] = head; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
        head = next;
        break;
      }
      desc[d + 3] = flags | (next << 16);
      i = next;
    }
    {
      const d = i << 2;
      const next = slots[d + 0] & 0x7fff;
      desc[d] = segments[s]; desc[d + 1] = segments[s + 1]; desc[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = left > writable ? 1 : 3;
      left = (left - 1) | 0;
      if (left === 0) {
        desc[d + 3] = flags ^ 1;
        slots[(head << 2) + 1] = i | (length << 16); slots[(head << 2) + 2] = tokens[t];
      availRing[shadow & mask] = head; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
        head = next;
        break;
      }
      desc[d + 3] = flags | (next << 16);
      i = next;
    }
    }
    if (t === end) break;
  }
  n[2] = head;
  n[4] = shadow & 0xffff;
}

/** Buffers of `total` > 1 segments in indirect tables, the last `into` of them device-writable. There are `count` > 0 free descriptors. */
export function putTables(
  state: DriverState, count: number, segments: Int32Array, start: number, into: number, total: number,
  tokens: Int32Array, tokenStart: number,
): undefined {
  const { n, slots } = state;
  const { desc, availRing } = state.views;
  const mask = n[1] & 0x7fff;
  let shadow = n[4];
  let s = start & 0x3fffffff;
  let t = tokenStart & 0x3fffffff;
  const end = (t + count) | 0;
  const { tables } = state;
  const tableLo = n[6];
  const tableHi = n[7];
  const tableWords = n[8];
  const last = (total - into) | 0;
  const length = total | 0;
  const size = length << 4;
  let i = n[2] & 0x7fff;
  for (;;) {
    const first = Math.imul(i, tableWords);
    let d = first & 0x3fffffff;
    let k = 1;
    for (;;) {
    {
      tables[d] = segments[s]; tables[d + 1] = segments[s + 1]; tables[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = k <= last ? 1 : 3;
      if (k === length) {
        tables[d + 3] = flags ^ 1;
        break;
      }
      tables[d + 3] = flags | (k << 16);
      d = (d + 4) & 0x3fffffff;
      k = (k + 1) | 0;
    }
    {
      tables[d] = segments[s]; tables[d + 1] = segments[s + 1]; tables[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = k <= last ? 1 : 3;
      if (k === length) {
        tables[d + 3] = flags ^ 1;
        break;
      }
      tables[d + 3] = flags | (k << 16);
      d = (d + 4) & 0x3fffffff;
      k = (k + 1) | 0;
    }
    {
      tables[d] = segments[s]; tables[d + 1] = segments[s + 1]; tables[d + 2] = segments[s + 2];
      s = (s + 3) & 0x3fffffff;
      const flags = k <= last ? 1 : 3;
      if (k === length) {
        tables[d + 3] = flags ^ 1;
        break;
      }
      tables[d + 3] = flags | (k << 16);
      d = (d + 4) & 0x3fffffff;
      k = (k + 1) | 0;
    }
    }
    const h = i << 2;
    desc[h] = (tableLo + (first << 2)) | 0; desc[h + 1] = tableHi; desc[h + 2] = size; desc[h + 3] = 4;
    slots[(i << 2) + 1] = 0x10000 | i; slots[(i << 2) + 2] = tokens[t];
      availRing[shadow & mask] = i; shadow = (shadow + 1) | 0; t = (t + 1) & 0x3fffffff;
    i = slots[h + 0] & 0x7fff;
    if (t === end) break;
  }
  n[2] = i;
  n[4] = shadow & 0xffff;
}

/**
 * Take `count` > 0 used buffers.
 *
 * @returns how many were taken: fewer when the entry behind them is not a buffer's
 */
export function take(state: DriverState, tokens: Int32Array, lengths: Int32Array, count: number): number {
  const { n, slots } = state;
  const { usedRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  const end = count | 0;
  let last = n[5];
  let free = n[2];
  let numFree = n[3];
  let got = 0;
  for (;;) {
    {
      const u = (last & mask) << 1;
      const id = usedRing[u];
      if (id >>> 0 >= num >>> 0) break;
      const slot = (id & 0x7fff) << 2;
      const chain = slots[slot + 1];
      if (chain === 0) break;
      tokens[got] = slots[slot + 2];
      lengths[got] = usedRing[u + 1];
      slots[slot + 1] = 0;
      slots[((chain & 0x7fff) << 2) + 0] = free;
      free = id;
      numFree = (numFree + (chain >>> 16)) | 0;
      last = (last + 1) | 0;
      got = (got + 1) & 0xffff;
      if (got === end) break;
    }
  }
  n[5] = last & 0xffff;
  n[2] = free;
  n[3] = numFree;
  return got;
}
