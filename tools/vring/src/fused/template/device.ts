/**
 * Template of the device's fused loops: (drain, walk) x (raw, translated) x (descriptors in the ring, in indirect tables).
 *
 * Each loop handles what is usual and stops in front of the first chain that is not; the plain code then takes that
 * chain, finds out what is wrong with it or how it straddles mappings, and the loop goes on behind it.
 */
import { EXTENT } from '../../extent-cache.ts';
import { DEVICE as N } from '../state.ts';
import { repeat } from './unroll.ts';

const HEADER = `/** The device's loops over many chains. Written by fused/template; do not edit. */
import type { ChainBatch } from '../batch.ts';
import type { DeviceState } from './state.ts';
`;

/** What a loop does with segments and chains. */
export interface Body {
  readonly name: string;
  readonly doc: string;
  readonly parameters: string;
  readonly before: string;
  /** Whether the direction of segments matters. */
  readonly split: boolean;
  /** With one segment, in `lo`, `hi`, `len` and, translated, `into`. */
  readonly segment: (translated: boolean) => string;
  /** When a chain begins. */
  readonly chainStart: string;
  /** When a chain ends well. */
  readonly chainEnd: string;
  /** Whether the loop writes used entries itself. */
  readonly uses: boolean;
  readonly after: string;
}

export const DRAIN: Body = {
  name: 'drain',
  doc: 'Use chains up. @returns bytes in them',
  parameters: 'state: DeviceState, count: number',
  before: `let sum = 0;
  let bytes = 0;
  let taken = n[${N.lastHead}];`,
  split: false,
  segment: () => 'bytes += len >>> 0;',
  chainStart: '',
  chainEnd: 'sum = bytes; taken = head;',
  uses: true,
  after: `n[${N.lastHead}] = taken;
  return sum;`,
};

export const WALK: Body = {
  name: 'walk',
  doc: 'Describe chains in a batch that holds `first` of them. @returns how many it holds then',
  parameters: 'state: DeviceState, batch: ChainBatch, first: number, count: number',
  before: `const { head: heads, start, split: splits, written, memory, offset, addrLo, addrHi, length, maxSegments } = batch;
  let c = first | 0;
  let s = start[c];
  let split = -1;`,
  split: true,
  segment: (translated) => `if (s >= maxSegments) break chains;
      ${translated ? 'if (memory[s] !== where) memory[s] = where;' : 'if (memory[s] !== null) memory[s] = null;'}
      offset[s] = ${translated ? 'target + into' : '0'};
      addrLo[s] = lo;
      addrHi[s] = hi;
      length[s] = len;
      s = (s + 1) | 0;`,
  chainStart: 'split = -1;',
  chainEnd: `heads[c] = head;
      splits[c] = split < 0 ? s : split;
      written[c] = 0;
      c = (c + 1) | 0;
      start[c] = s;`,
  uses: false,
  after: 'return c;',
};

export const extentLocals = (body: Body) => `const { data } = state;
  const { x } = data;
  let exLo = x[${EXTENT.lo}];
  let exHi = x[${EXTENT.hi}];
  let exLast = x[${EXTENT.last}];
  ${body.split ? 'let' : 'const'} exAccess = x[${EXTENT.access}];`;

const reload = (body: Body) =>
  `exLo = x[${EXTENT.lo}]; exHi = x[${EXTENT.hi}]; exLast = x[${EXTENT.last}];${body.split ? ` exAccess = x[${EXTENT.access}];` : ''}`;

/**
 * Check one descriptor, whose words are in `table` from `d` on, and hand it to the body.
 *
 * @param half where in its last word the flags are: in the lower half, or, packed, in the upper
 * @param check what `word` has to pass before anything else is done with it
 */
export function descriptor(body: Body, translated: boolean, table: string, half: 'lower' | 'upper' = 'lower', check = ''): string {
  const shift = half === 'lower' ? 0 : 16;
  const way = half === 'lower' ? 'word & 2' : '(word >>> 16) & 2';
  const miss = body.split
    ? `(exAccess & want) === 0 || hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0`
    : `hi !== exHi || into > exLast >>> 0 || (len - 1) >>> 0 > (exLast - into) >>> 0`;
  const place = `let into = (lo - exLo) >>> 0;
      ${body.split ? 'const want = 1 + (way >>> 1);' : ''}
      if (${miss}) {
        ${body.split ? '' : 'break chains;'}
        ${body.split ? `if (len === 0 || !data.cover(lo, hi, len, ${body.split ? 'want' : '1'})) break chains;
        ${reload(body)}` : ''}
        ${body.name === 'walk' ? `target = x[${EXTENT.target}] >>> 0; where = data.memory;` : ''}
        ${body.split ? 'into = (lo - exLo) >>> 0;' : ''}
      }`;
  const direction = body.split
    ? `const way = ${way};
      if ((word & ${4 << shift}) !== 0 || way < wayBefore) break chains;
      if (way !== wayBefore) { split = s; wayBefore = 2; }`
    : `if ((word & ${6 << shift}) !== 0) break chains;`;
  return `const word = ${table}[d + 3] | 0;
      ${check}
      const len = ${table}[d + 2] | 0;
      ${translated || body.split ? `const lo = ${table}[d] | 0;\n      const hi = ${table}[d + 1] | 0;` : ''}
      ${direction}
      ${translated ? place : 'if (len === 0) break chains;'}
      ${body.segment(translated)}`;
}

const usedEntry = `const u = (used & mask) << 1;
      usedRing[u + 1] = 0; usedRing[u] = head;
      used = (used + 1) | 0;`;

const locals = (body: Body, translated: boolean) => `const { n } = state;
  const { desc, availRing${body.uses ? ', usedRing' : ''} } = state.views;
  const num = n[${N.num}];
  const mask = n[${N.mask}] & 0x7fff;
  let last = n[${N.lastAvail}];
  ${body.uses ? `let used = n[${N.lastUsed}];` : ''}
  const end = (last + count) | 0;
  ${translated ? extentLocals(body) : ''}
  ${translated && body.name === 'walk' ? `let target = x[${EXTENT.target}] >>> 0;\n  let where = data.memory;` : ''}
  ${translated && !body.split ? 'if ((exAccess & 1) === 0) return 0;' : ''}
  ${body.before}`;

const leave = (body: Body) => `n[${N.lastAvail}] = last & 0xffff;
  ${body.uses ? `n[${N.lastUsed}] = used & 0xffff;` : ''}
  ${body.after}`;

/** The indirect tables found last. */
export const tableLocals = `const { tables } = state;
  const tx = tables.x;
  let tbLo = tx[${EXTENT.lo}];
  let tbHi = tx[${EXTENT.hi}];
  let tbLast = tx[${EXTENT.last}];
  let tbAt = tx[${EXTENT.target}];
  let tbAccess = tx[${EXTENT.access}];
  let words = tables.words;`;

/** Find the table that descriptor `h` leads to: `at` becomes its place. */
export const enterTable = `const size = desc[h + 2];
    const tableLo = desc[h];
    const tableHi = desc[h + 1];
    if ((size & 15) !== 0 || size === 0) break;
    let at = (tableLo - tbLo) >>> 0;
    if ((tbAccess & 1) === 0 || tableHi !== tbHi || at > tbLast >>> 0 || (size - 1) >>> 0 > (tbLast - at) >>> 0) {
      if (!tables.cover(tableLo, tableHi, size, 1)) break;
      tbLo = tx[${EXTENT.lo}]; tbHi = tx[${EXTENT.hi}]; tbLast = tx[${EXTENT.last}]; tbAt = tx[${EXTENT.target}]; tbAccess = tx[${EXTENT.access}];
      words = tables.words;
      at = (tableLo - tbLo) >>> 0;
    }
    at = (tbAt + at) >>> 0;
    if ((at & 3) !== 0) break;`;

/** Chains of descriptors in the ring's own table, one flat loop over descriptors. */
function direct(body: Body, translated: boolean): string {
  return `
/** ${body.doc}. Chains in the ring itself${translated ? '' : ', addresses as they are'}; stops in front of any other. There are \`count\` > 0. */
export function ${body.name}Direct${translated ? '' : 'Raw'}(${body.parameters}): number {
  ${locals(body, translated)}
  const limit = Math.min(num, n[${N.maxChain}]);
  let head = availRing[last & mask];
  let d = head << 2;
  let left = limit;
  ${body.split ? 'let wayBefore = 0;' : ''}
  chains: if (head < num) for (;;) {
    ${repeat(2, `{
      ${descriptor(body, translated, 'desc')}
      if ((word & 1) !== 0) {
        const next = word >>> 16;
        left = (left - 1) | 0;
        if (next >= num || left === 0) break chains;
        d = next << 2;
      } else {
      ${body.uses ? usedEntry : ''}
      ${body.chainEnd}
      last = (last + 1) | 0;
      if (last === end) break chains;
      head = availRing[last & mask];
      if (head >= num) break chains;
      d = head << 2;
      left = limit;
      ${body.split ? 'wayBefore = 0;' : ''}
      ${body.chainStart}
      }
    }`)}
  }
  ${leave(body)}
}
`;
}

/** Chains that are one indirect table each. */
function tables(body: Body, translated: boolean): string {
  return `
/** ${body.doc}. Chains that are one indirect table each${translated ? '' : ', addresses as they are'}; stops in front of any other. There are \`count\` > 0. */
export function ${body.name}Tables${translated ? '' : 'Raw'}(${body.parameters}): number {
  ${locals(body, translated)}
  const most = n[${N.maxChain}];
  ${tableLocals}
  chains: for (;;) {
    const head = availRing[last & mask];
    if (head >= num) break;
    const h = head << 2;
    if ((desc[h + 3] & 5) !== 4) break;
    ${enterTable}
    const base = at >>> 2;
    const max = size >>> 4;
    let left = max < most ? max : (most - 1) | 0;
    let d = base;
    ${body.split ? 'let wayBefore = 0;' : ''}
    ${body.chainStart}
    if (left === 0) break;
    for (;;) {
    ${repeat(2, `{
      ${descriptor(body, translated, 'words')}
      if ((word & 1) === 0) break;
      const next = word >>> 16;
      left = (left - 1) | 0;
      if (next >= max || left === 0) break chains;
      d = (base + (next << 2)) & 0x3fffffff;
    }`)}
    }
    {
      ${body.uses ? usedEntry : ''}
      ${body.chainEnd}
      last = (last + 1) | 0;
      if (last === end) break;
    }
  }
  ${leave(body)}
}
`;
}

const PUSH = `
/** Write used entries for the chains of a batch. There are \`count\` > 0. */
export function push(state: DeviceState, batch: ChainBatch, count: number): undefined {
  const { n } = state;
  const { usedRing } = state.views;
  const { head, written } = batch;
  const mask = n[${N.mask}] & 0x7fff;
  const end = count | 0;
  let used = n[${N.lastUsed}];
  let c = 0;
  for (;;) {
    ${repeat(2, `{
      const u = (used & mask) << 1;
      usedRing[u] = head[c]; usedRing[u + 1] = written[c];
      used = (used + 1) | 0;
      c = (c + 1) & 0xffff;
      if (c === end) break;
    }`)}
  }
  n[${N.lastUsed}] = used & 0xffff;
}
`;

/** The text of `fused/device.ts`. */
export function deviceLoops(): string {
  const loops = [DRAIN, WALK].flatMap((body) => [true, false].flatMap((t) => [direct(body, t), tables(body, t)]));
  return [HEADER, ...loops, PUSH].join('').replaceAll(/^ *\n(?= )/gm, '');
}
