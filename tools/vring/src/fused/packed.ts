/** The device's loops over many chains of a packed ring. Written by fused/template; do not edit. */
import type { ChainBatch } from '../batch.ts';
import type { PackedState } from './state.ts';

/** Use chains up. @returns bytes in them. Chains in the ring itself; stops in front of any other. There are `count` > 0 asked for. */
export function drainPackedDirect(state: PackedState, count: number): number {
  const { n, desc, threaded } = state;
  const num = n[0];
  state.left = count;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let used = n[3] & 0x7fff;
  let usedLap = (n[3] & 0x8000) === 0 ? 0 : -2139095040;
  let withheld = state.withhold;
  let left = count | 0;
  const { data } = state;
  const { x } = data;
  let exLo = x[0];
  let exHi = x[1];
  let exLast = x[2];
  const exAccess = x[3];
  if ((exAccess & 1) === 0) return 0;
  let sum = 0;
  let bytes = 0;
  let taken = n[5];
  const limit = Math.min(num, n[4]) | 0;
  chains: for (;;) {
    let next = index;
    let nextLap = lap;
    let pieces = 0;
    let head = 0;
    if (((threaded ? Atomics.load(desc, (index << 2) + 3) : desc[(index << 2) + 3]) & -2139095040) !== lap) break;
    for (;;) {
      const d = next << 2;
      if (pieces === limit) break chains;
      const word = desc[d + 3] | 0;
      if ((word & -2139095040) !== nextLap) break chains;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      if ((word & 393216) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
      pieces = (pieces + 1) | 0;
      next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
      if ((word & 65536) !== 0) continue;
      head = word & 0xffff;
      break;
    }
    {
      const u = used << 2;
      desc[u + 2] = 0;
      desc[u + 3] = withheld ? (desc[u + 3] & -65536) | head : head | usedLap;
      withheld = false;
      used = (used + pieces) | 0;
      if (used >= num) { used = (used - num) | 0; usedLap ^= -2139095040; }
      sum = bytes; taken = head;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  n[3] = used | (usedLap === 0 ? 0 : 0x8000);
  state.left = left;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains that are one indirect table each; stops in front of any other. There are `count` > 0 asked for. */
export function drainPackedTables(state: PackedState, count: number): number {
  const { n, desc, threaded } = state;
  const num = n[0];
  state.left = count;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let used = n[3] & 0x7fff;
  let usedLap = (n[3] & 0x8000) === 0 ? 0 : -2139095040;
  let withheld = state.withhold;
  let left = count | 0;
  const { data } = state;
  const { x } = data;
  let exLo = x[0];
  let exHi = x[1];
  let exLast = x[2];
  const exAccess = x[3];
  if ((exAccess & 1) === 0) return 0;
  let sum = 0;
  let bytes = 0;
  let taken = n[5];
  const most = n[4];
  const { tables } = state;
  const tx = tables.x;
  let tbLo = tx[0];
  let tbHi = tx[1];
  let tbLast = tx[2];
  let tbAt = tx[4];
  let tbAccess = tx[3];
  let words = tables.words;
  chains: for (;;) {
    const h = index << 2;
    const headWord = threaded ? Atomics.load(desc, h + 3) : desc[h + 3];
    if ((headWord & -2138767360) !== (lap | 262144)) break;
    const head = headWord & 0xffff;
    const size = desc[h + 2];
    const tableLo = desc[h];
    const tableHi = desc[h + 1];
    if ((size & 15) !== 0 || size === 0) break;
    let at = (tableLo - tbLo) >>> 0;
    if ((tbAccess & 1) === 0 || tableHi !== tbHi || at > tbLast >>> 0 || (size - 1) >>> 0 > (tbLast - at) >>> 0) {
      if (!tables.cover(tableLo, tableHi, size, 1)) break;
      tbLo = tx[0]; tbHi = tx[1]; tbLast = tx[2]; tbAt = tx[4]; tbAccess = tx[3];
      words = tables.words;
      at = (tableLo - tbLo) >>> 0;
    }
    at = (tbAt + at) >>> 0;
    if ((at & 3) !== 0) break;
    const base = at >>> 2;
    const max = size >>> 4;
    if (max >= most) break;
    const end = (base + (max << 2)) | 0;
    for (let d = base; d !== end; d = (d + 4) & 0x3fffffff) {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      if ((word & 393216) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
    }
    let next = index;
    let nextLap = lap;
    next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
    {
      const u = used << 2;
      desc[u + 2] = 0;
      desc[u + 3] = withheld ? (desc[u + 3] & -65536) | head : head | usedLap;
      withheld = false;
      used = (used + 1) | 0;
      if (used >= num) { used = (used - num) | 0; usedLap ^= -2139095040; }
      sum = bytes; taken = head;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  n[3] = used | (usedLap === 0 ? 0 : 0x8000);
  state.left = left;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains in the ring itself, addresses as they are; stops in front of any other. There are `count` > 0 asked for. */
export function drainPackedDirectRaw(state: PackedState, count: number): number {
  const { n, desc, threaded } = state;
  const num = n[0];
  state.left = count;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let used = n[3] & 0x7fff;
  let usedLap = (n[3] & 0x8000) === 0 ? 0 : -2139095040;
  let withheld = state.withhold;
  let left = count | 0;
  let sum = 0;
  let bytes = 0;
  let taken = n[5];
  const limit = Math.min(num, n[4]) | 0;
  chains: for (;;) {
    let next = index;
    let nextLap = lap;
    let pieces = 0;
    let head = 0;
    if (((threaded ? Atomics.load(desc, (index << 2) + 3) : desc[(index << 2) + 3]) & -2139095040) !== lap) break;
    for (;;) {
      const d = next << 2;
      if (pieces === limit) break chains;
      const word = desc[d + 3] | 0;
      if ((word & -2139095040) !== nextLap) break chains;
      const len = desc[d + 2] | 0;
      if ((word & 393216) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
      pieces = (pieces + 1) | 0;
      next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
      if ((word & 65536) !== 0) continue;
      head = word & 0xffff;
      break;
    }
    {
      const u = used << 2;
      desc[u + 2] = 0;
      desc[u + 3] = withheld ? (desc[u + 3] & -65536) | head : head | usedLap;
      withheld = false;
      used = (used + pieces) | 0;
      if (used >= num) { used = (used - num) | 0; usedLap ^= -2139095040; }
      sum = bytes; taken = head;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  n[3] = used | (usedLap === 0 ? 0 : 0x8000);
  state.left = left;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains that are one indirect table each, addresses as they are; stops in front of any other. There are `count` > 0 asked for. */
export function drainPackedTablesRaw(state: PackedState, count: number): number {
  const { n, desc, threaded } = state;
  const num = n[0];
  state.left = count;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let used = n[3] & 0x7fff;
  let usedLap = (n[3] & 0x8000) === 0 ? 0 : -2139095040;
  let withheld = state.withhold;
  let left = count | 0;
  let sum = 0;
  let bytes = 0;
  let taken = n[5];
  const most = n[4];
  const { tables } = state;
  const tx = tables.x;
  let tbLo = tx[0];
  let tbHi = tx[1];
  let tbLast = tx[2];
  let tbAt = tx[4];
  let tbAccess = tx[3];
  let words = tables.words;
  chains: for (;;) {
    const h = index << 2;
    const headWord = threaded ? Atomics.load(desc, h + 3) : desc[h + 3];
    if ((headWord & -2138767360) !== (lap | 262144)) break;
    const head = headWord & 0xffff;
    const size = desc[h + 2];
    const tableLo = desc[h];
    const tableHi = desc[h + 1];
    if ((size & 15) !== 0 || size === 0) break;
    let at = (tableLo - tbLo) >>> 0;
    if ((tbAccess & 1) === 0 || tableHi !== tbHi || at > tbLast >>> 0 || (size - 1) >>> 0 > (tbLast - at) >>> 0) {
      if (!tables.cover(tableLo, tableHi, size, 1)) break;
      tbLo = tx[0]; tbHi = tx[1]; tbLast = tx[2]; tbAt = tx[4]; tbAccess = tx[3];
      words = tables.words;
      at = (tableLo - tbLo) >>> 0;
    }
    at = (tbAt + at) >>> 0;
    if ((at & 3) !== 0) break;
    const base = at >>> 2;
    const max = size >>> 4;
    if (max >= most) break;
    const end = (base + (max << 2)) | 0;
    for (let d = base; d !== end; d = (d + 4) & 0x3fffffff) {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      if ((word & 393216) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
    }
    let next = index;
    let nextLap = lap;
    next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
    {
      const u = used << 2;
      desc[u + 2] = 0;
      desc[u + 3] = withheld ? (desc[u + 3] & -65536) | head : head | usedLap;
      withheld = false;
      used = (used + 1) | 0;
      if (used >= num) { used = (used - num) | 0; usedLap ^= -2139095040; }
      sum = bytes; taken = head;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  n[3] = used | (usedLap === 0 ? 0 : 0x8000);
  state.left = left;
  n[5] = taken;
  return sum;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains in the ring itself; stops in front of any other. There are `count` > 0 asked for. */
export function walkPackedDirect(state: PackedState, batch: ChainBatch, first: number, count: number): number {
  const { n, desc, counts, ends, threaded } = state;
  const num = n[0];
  const ids = counts.length;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let left = count | 0;
  const { data } = state;
  const { x } = data;
  let exLo = x[0];
  let exHi = x[1];
  let exLast = x[2];
  let exAccess = x[3];
  let target = x[4] >>> 0;
  let where = data.memory;
  const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;
  const limit = Math.min(num, n[4]) | 0;
  chains: for (;;) {
    let next = index;
    let nextLap = lap;
    let pieces = 0;
    let head = 0;
    let wayBefore = 0;
    if (((threaded ? Atomics.load(desc, (index << 2) + 3) : desc[(index << 2) + 3]) & -2139095040) !== lap) break;
    for (;;) {
      const d = next << 2;
      if (pieces === limit) break chains;
      const word = desc[d + 3] | 0;
      if ((word & -2139095040) !== nextLap) break chains;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = (word >>> 16) & 2;
      if ((word & 262144) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      let into = (lo - exLo) >>> 0;
      const want = 1 + (way >>> 1);
      if ((exAccess & want) === 0 || hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        if (len === 0 || !data.cover(lo, hi, len, want)) break chains;
        exLo = x[0]; exHi = x[1]; exLast = x[2]; exAccess = x[3];
        target = x[4] >>> 0; where = data.memory;
        into = (lo - exLo) >>> 0;
      }
      if (s >= maxSegments) break chains;
      if (memory[s] !== where) memory[s] = where;
      offset[s] = target + into;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      pieces = (pieces + 1) | 0;
      next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
      if ((word & 65536) !== 0) continue;
      head = word & 0xffff;
      break;
    }
    if (head >= ids) break;
    {
      counts[head] = pieces; ends[next] = pieces;
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
      split = -1;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains that are one indirect table each; stops in front of any other. There are `count` > 0 asked for. */
export function walkPackedTables(state: PackedState, batch: ChainBatch, first: number, count: number): number {
  const { n, desc, counts, ends, threaded } = state;
  const num = n[0];
  const ids = counts.length;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let left = count | 0;
  const { data } = state;
  const { x } = data;
  let exLo = x[0];
  let exHi = x[1];
  let exLast = x[2];
  let exAccess = x[3];
  let target = x[4] >>> 0;
  let where = data.memory;
  const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;
  const most = n[4];
  const { tables } = state;
  const tx = tables.x;
  let tbLo = tx[0];
  let tbHi = tx[1];
  let tbLast = tx[2];
  let tbAt = tx[4];
  let tbAccess = tx[3];
  let words = tables.words;
  chains: for (;;) {
    const h = index << 2;
    const headWord = threaded ? Atomics.load(desc, h + 3) : desc[h + 3];
    if ((headWord & -2138767360) !== (lap | 262144)) break;
    const head = headWord & 0xffff;
    if (head >= ids) break;
    const size = desc[h + 2];
    const tableLo = desc[h];
    const tableHi = desc[h + 1];
    if ((size & 15) !== 0 || size === 0) break;
    let at = (tableLo - tbLo) >>> 0;
    if ((tbAccess & 1) === 0 || tableHi !== tbHi || at > tbLast >>> 0 || (size - 1) >>> 0 > (tbLast - at) >>> 0) {
      if (!tables.cover(tableLo, tableHi, size, 1)) break;
      tbLo = tx[0]; tbHi = tx[1]; tbLast = tx[2]; tbAt = tx[4]; tbAccess = tx[3];
      words = tables.words;
      at = (tableLo - tbLo) >>> 0;
    }
    at = (tbAt + at) >>> 0;
    if ((at & 3) !== 0) break;
    const base = at >>> 2;
    const max = size >>> 4;
    if (max >= most) break;
    const end = (base + (max << 2)) | 0;
    let wayBefore = 0;
    for (let d = base; d !== end; d = (d + 4) & 0x3fffffff) {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = (word >>> 16) & 2;
      if ((word & 262144) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      let into = (lo - exLo) >>> 0;
      const want = 1 + (way >>> 1);
      if ((exAccess & want) === 0 || hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        if (len === 0 || !data.cover(lo, hi, len, want)) break chains;
        exLo = x[0]; exHi = x[1]; exLast = x[2]; exAccess = x[3];
        target = x[4] >>> 0; where = data.memory;
        into = (lo - exLo) >>> 0;
      }
      if (s >= maxSegments) break chains;
      if (memory[s] !== where) memory[s] = where;
      offset[s] = target + into;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
    }
    let next = index;
    let nextLap = lap;
    next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
    {
      counts[head] = 1; ends[next] = 1;
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
      split = -1;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains in the ring itself, addresses as they are; stops in front of any other. There are `count` > 0 asked for. */
export function walkPackedDirectRaw(state: PackedState, batch: ChainBatch, first: number, count: number): number {
  const { n, desc, counts, ends, threaded } = state;
  const num = n[0];
  const ids = counts.length;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let left = count | 0;
  const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;
  const limit = Math.min(num, n[4]) | 0;
  chains: for (;;) {
    let next = index;
    let nextLap = lap;
    let pieces = 0;
    let head = 0;
    let wayBefore = 0;
    if (((threaded ? Atomics.load(desc, (index << 2) + 3) : desc[(index << 2) + 3]) & -2139095040) !== lap) break;
    for (;;) {
      const d = next << 2;
      if (pieces === limit) break chains;
      const word = desc[d + 3] | 0;
      if ((word & -2139095040) !== nextLap) break chains;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = (word >>> 16) & 2;
      if ((word & 262144) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      pieces = (pieces + 1) | 0;
      next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
      if ((word & 65536) !== 0) continue;
      head = word & 0xffff;
      break;
    }
    if (head >= ids) break;
    {
      counts[head] = pieces; ends[next] = pieces;
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
      split = -1;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains that are one indirect table each, addresses as they are; stops in front of any other. There are `count` > 0 asked for. */
export function walkPackedTablesRaw(state: PackedState, batch: ChainBatch, first: number, count: number): number {
  const { n, desc, counts, ends, threaded } = state;
  const num = n[0];
  const ids = counts.length;
  let index = n[2] & 0x7fff;
  let lap = (n[2] & 0x8000) === 0 ? -2147483648 : 8388608;
  let left = count | 0;
  const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;
  const most = n[4];
  const { tables } = state;
  const tx = tables.x;
  let tbLo = tx[0];
  let tbHi = tx[1];
  let tbLast = tx[2];
  let tbAt = tx[4];
  let tbAccess = tx[3];
  let words = tables.words;
  chains: for (;;) {
    const h = index << 2;
    const headWord = threaded ? Atomics.load(desc, h + 3) : desc[h + 3];
    if ((headWord & -2138767360) !== (lap | 262144)) break;
    const head = headWord & 0xffff;
    if (head >= ids) break;
    const size = desc[h + 2];
    const tableLo = desc[h];
    const tableHi = desc[h + 1];
    if ((size & 15) !== 0 || size === 0) break;
    let at = (tableLo - tbLo) >>> 0;
    if ((tbAccess & 1) === 0 || tableHi !== tbHi || at > tbLast >>> 0 || (size - 1) >>> 0 > (tbLast - at) >>> 0) {
      if (!tables.cover(tableLo, tableHi, size, 1)) break;
      tbLo = tx[0]; tbHi = tx[1]; tbLast = tx[2]; tbAt = tx[4]; tbAccess = tx[3];
      words = tables.words;
      at = (tableLo - tbLo) >>> 0;
    }
    at = (tbAt + at) >>> 0;
    if ((at & 3) !== 0) break;
    const base = at >>> 2;
    const max = size >>> 4;
    if (max >= most) break;
    const end = (base + (max << 2)) | 0;
    let wayBefore = 0;
    for (let d = base; d !== end; d = (d + 4) & 0x3fffffff) {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = (word >>> 16) & 2;
      if ((word & 262144) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
    }
    let next = index;
    let nextLap = lap;
    next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= -2139095040; }
    {
      counts[head] = 1; ends[next] = 1;
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
      split = -1;
    }
  }
  n[2] = index | (lap === 8388608 ? 0x8000 : 0);
  return c;
}
