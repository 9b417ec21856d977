/** The device's loops over many chains. Written by fused/template; do not edit. */
import type { ChainBatch } from '../batch.ts';
import type { DeviceState } from './state.ts';

/** Use chains up. @returns bytes in them. Chains in the ring itself; stops in front of any other. There are `count` > 0. */
export function drainDirect(state: DeviceState, count: number): number {
  const { n } = state;
  const { desc, availRing, usedRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  let used = n[3];
  const end = (last + count) | 0;
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
  const limit = Math.min(num, n[4]);
  let head = availRing[last & mask];
  let d = head << 2;
  let left = limit;
  chains: if (head < num) for (;;) {
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      if ((word & 6) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      }
    }
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      if ((word & 6) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      }
    }
  }
  n[2] = last & 0xffff;
  n[3] = used & 0xffff;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains that are one indirect table each; stops in front of any other. There are `count` > 0. */
export function drainTables(state: DeviceState, count: number): number {
  const { n } = state;
  const { desc, availRing, usedRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  let used = n[3];
  const end = (last + count) | 0;
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
    const head = availRing[last & mask];
    if (head >= num) break;
    const h = head << 2;
    if ((desc[h + 3] & 5) !== 4) break;
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
    let left = max < most ? max : (most - 1) | 0;
    let d = base;
    if (left === 0) break;
    for (;;) {
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      if ((word & 6) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      if ((word & 6) !== 0) break chains;
      let into = (lo - exLo) >>> 0;
      if (hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0) {
        break chains;
      }
      bytes += len >>> 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    }
    {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break;
    }
  }
  n[2] = last & 0xffff;
  n[3] = used & 0xffff;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains in the ring itself, addresses as they are; stops in front of any other. There are `count` > 0. */
export function drainDirectRaw(state: DeviceState, count: number): number {
  const { n } = state;
  const { desc, availRing, usedRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  let used = n[3];
  const end = (last + count) | 0;
  let sum = 0;
  let bytes = 0;
  let taken = n[5];
  const limit = Math.min(num, n[4]);
  let head = availRing[last & mask];
  let d = head << 2;
  let left = limit;
  chains: if (head < num) for (;;) {
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      if ((word & 6) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      }
    }
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      if ((word & 6) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      }
    }
  }
  n[2] = last & 0xffff;
  n[3] = used & 0xffff;
  n[5] = taken;
  return sum;
}

/** Use chains up. @returns bytes in them. Chains that are one indirect table each, addresses as they are; stops in front of any other. There are `count` > 0. */
export function drainTablesRaw(state: DeviceState, count: number): number {
  const { n } = state;
  const { desc, availRing, usedRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  let used = n[3];
  const end = (last + count) | 0;
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
    const head = availRing[last & mask];
    if (head >= num) break;
    const h = head << 2;
    if ((desc[h + 3] & 5) !== 4) break;
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
    let left = max < most ? max : (most - 1) | 0;
    let d = base;
    if (left === 0) break;
    for (;;) {
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      if ((word & 6) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      if ((word & 6) !== 0) break chains;
      if (len === 0) break chains;
      bytes += len >>> 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    }
    {
      const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;
      sum = bytes; taken = head;
      last = (last + 1) | 0;
      if (last === end) break;
    }
  }
  n[2] = last & 0xffff;
  n[3] = used & 0xffff;
  n[5] = taken;
  return sum;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains in the ring itself; stops in front of any other. There are `count` > 0. */
export function walkDirect(state: DeviceState, batch: ChainBatch, first: number, count: number): number {
  const { n } = state;
  const { desc, availRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  const end = (last + count) | 0;
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
  const limit = Math.min(num, n[4]);
  let head = availRing[last & mask];
  let d = head << 2;
  let left = limit;
  let wayBefore = 0;
  chains: if (head < num) for (;;) {
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
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
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      wayBefore = 0;
      split = -1;
      }
    }
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
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
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      wayBefore = 0;
      split = -1;
      }
    }
  }
  n[2] = last & 0xffff;
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains that are one indirect table each; stops in front of any other. There are `count` > 0. */
export function walkTables(state: DeviceState, batch: ChainBatch, first: number, count: number): number {
  const { n } = state;
  const { desc, availRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  const end = (last + count) | 0;
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
    const head = availRing[last & mask];
    if (head >= num) break;
    const h = head << 2;
    if ((desc[h + 3] & 5) !== 4) break;
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
    let left = max < most ? max : (most - 1) | 0;
    let d = base;
    let wayBefore = 0;
    split = -1;
    if (left === 0) break;
    for (;;) {
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
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
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
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
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    }
    {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break;
    }
  }
  n[2] = last & 0xffff;
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains in the ring itself, addresses as they are; stops in front of any other. There are `count` > 0. */
export function walkDirectRaw(state: DeviceState, batch: ChainBatch, first: number, count: number): number {
  const { n } = state;
  const { desc, availRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  const end = (last + count) | 0;
  const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;
  const limit = Math.min(num, n[4]);
  let head = availRing[last & mask];
  let d = head << 2;
  let left = limit;
  let wayBefore = 0;
  chains: if (head < num) for (;;) {
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      wayBefore = 0;
      split = -1;
      }
    }
    {
      const word = desc[d + 3] | 0;
      const len = desc[d + 2] | 0;
      const lo = desc[d] | 0;
      const hi = desc[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      wayBefore = 0;
      split = -1;
      }
    }
  }
  n[2] = last & 0xffff;
  return c;
}

/** Describe chains in a batch that holds `first` of them. @returns how many it holds then. Chains that are one indirect table each, addresses as they are; stops in front of any other. There are `count` > 0. */
export function walkTablesRaw(state: DeviceState, batch: ChainBatch, first: number, count: number): number {
  const { n } = state;
  const { desc, availRing } = state.views;
  const num = n[0];
  const mask = n[1] & 0x7fff;
  let last = n[2];
  const end = (last + count) | 0;
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
    const head = availRing[last & mask];
    if (head >= num) break;
    const h = head << 2;
    if ((desc[h + 3] & 5) !== 4) break;
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
    let left = max < most ? max : (most - 1) | 0;
    let d = base;
    let wayBefore = 0;
    split = -1;
    if (left === 0) break;
    for (;;) {
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    {
      const word = words[d + 3] | 0;
      const len = words[d + 2] | 0;
      const lo = words[d] | 0;
      const hi = words[d + 1] | 0;
      const way = word & 2;
      if ((word & 4) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }
      if (len === 0) break chains;
      if (s >= maxSegments) break chains;
      if (memory[s] !== null) memory[s] = null;
      offset[s] = 0;
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }
    }
    {
      heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;
      last = (last + 1) | 0;
      if (last === end) break;
    }
  }
  n[2] = last & 0xffff;
  return c;
}

/** Write used entries for the chains of a batch. There are `count` > 0. */
export function push(state: DeviceState, batch: ChainBatch, count: number): undefined {
  const { n } = state;
  const { usedRing } = state.views;
  const { head, written } = batch;
  const mask = n[1] & 0x7fff;
  const end = count | 0;
  let used = n[3];
  let c = 0;
  for (;;) {
    {
      const u = (used & mask) << 1;
      usedRing[u] = head[c]; usedRing[u + 1] = written[c];
      used = (used + 1) | 0;
      c = (c + 1) & 0xffff;
      if (c === end) break;
    }
    {
      const u = (used & mask) << 1;
      usedRing[u] = head[c]; usedRing[u + 1] = written[c];
      used = (used + 1) | 0;
      c = (c + 1) & 0xffff;
      if (c === end) break;
    }
  }
  n[3] = used & 0xffff;
}
