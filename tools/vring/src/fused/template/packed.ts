/**
 * Template of the device's fused loops over a packed ring, from the same parts as those over a split one.
 *
 * Each loop handles what is usual and stops in front of the first chain that is not, as `device.ts` has it.
 */
import { EXTENT } from '../../extent-cache.ts';
import { DEVICE as N } from '../state.ts';
import type { Body } from './device.ts';
import { DRAIN, WALK, descriptor, enterTable, extentLocals, tableLocals } from './device.ts';

const HEADER = `/** The device's loops over many chains of a packed ring. Written by fused/template; do not edit. */
import type { ChainBatch } from '../batch.ts';
import type { PackedState } from './state.ts';
`;

/** AVAIL and USED of a descriptor's last word, whose upper half has the flags. */
const LAP = (0x8080 << 16) | 0;
const AVAIL = 0x80 << 16;
const USED = (0x8000 << 16) | 0;

const signature = (body: Body): string => body.parameters.replace('DeviceState', 'PackedState');

const locals = (body: Body, translated: boolean): string => `const { n, desc, ${body.uses ? '' : 'counts, ends, '}threaded } = state;
  const num = n[${N.num}];
  ${body.uses ? 'state.left = count;' : 'const ids = counts.length;'}
  let index = n[${N.lastAvail}] & 0x7fff;
  let lap = (n[${N.lastAvail}] & 0x8000) === 0 ? ${USED} : ${AVAIL};
  ${body.uses ? `let used = n[${N.lastUsed}] & 0x7fff;
  let usedLap = (n[${N.lastUsed}] & 0x8000) === 0 ? 0 : ${LAP};
  let withheld = state.withhold;` : ''}
  let left = count | 0;
  ${translated ? extentLocals(body) : ''}
  ${translated && body.name === 'walk' ? `let target = x[${EXTENT.target}] >>> 0;\n  let where = data.memory;` : ''}
  ${translated && !body.split ? 'if ((exAccess & 1) === 0) return 0;' : ''}
  ${body.before}`;

/** The chain at hand, of `pieces` descriptors from \`index\` on, is done with; \`next\` and \`nextLap\` are where the one behind it lies. */
const finish = (body: Body, pieces: string): string => `${body.uses ? `const u = used << 2;
      desc[u + 2] = 0;
      desc[u + 3] = withheld ? (desc[u + 3] & ${~0xffff}) | head : head | usedLap;
      withheld = false;
      used = (used + ${pieces}) | 0;
      if (used >= num) { used = (used - num) | 0; usedLap ^= ${LAP}; }` : `counts[head] = ${pieces}; ends[next] = ${pieces};`}
      ${body.chainEnd}
      index = next;
      lap = nextLap;
      left = (left - 1) | 0;
      if (left === 0) break;
      ${body.chainStart}`;

const leave = (body: Body): string => `n[${N.lastAvail}] = index | (lap === ${AVAIL} ? 0x8000 : 0);
  ${body.uses ? `n[${N.lastUsed}] = used | (usedLap === 0 ? 0 : 0x8000);
  state.left = left;` : ''}
  ${body.after}`;

const step = `next = (next + 1) | 0;
      if (next === num) { next = 0; nextLap ^= ${LAP}; }`;

/** Chains of descriptors in the ring itself. */
function direct(body: Body, translated: boolean): string {
  return `
/** ${body.doc}. Chains in the ring itself${translated ? '' : ', addresses as they are'}; stops in front of any other. There are \`count\` > 0 asked for. */
export function ${body.name}PackedDirect${translated ? '' : 'Raw'}(${signature(body)}): number {
  ${locals(body, translated)}
  const limit = Math.min(num, n[${N.maxChain}]) | 0;
  chains: for (;;) {
    let next = index;
    let nextLap = lap;
    let pieces = 0;
    let head = 0;
    ${body.split ? 'let wayBefore = 0;' : ''}
    if (((threaded ? Atomics.load(desc, (index << 2) + 3) : desc[(index << 2) + 3]) & ${LAP}) !== lap) break;
    for (;;) {
      const d = next << 2;
      if (pieces === limit) break chains;
      ${descriptor(body, translated, 'desc', 'upper', `if ((word & ${LAP}) !== nextLap) break chains;`)}
      pieces = (pieces + 1) | 0;
      ${step}
      if ((word & ${1 << 16}) !== 0) continue;
      head = word & 0xffff;
      break;
    }
    ${body.uses ? '' : 'if (head >= ids) break;'}
    {
      ${finish(body, 'pieces')}
    }
  }
  ${leave(body)}
}
`;
}

/** Chains that are one indirect table each. */
function tables(body: Body, translated: boolean): string {
  return `
/** ${body.doc}. Chains that are one indirect table each${translated ? '' : ', addresses as they are'}; stops in front of any other. There are \`count\` > 0 asked for. */
export function ${body.name}PackedTables${translated ? '' : 'Raw'}(${signature(body)}): number {
  ${locals(body, translated)}
  const most = n[${N.maxChain}];
  ${tableLocals}
  chains: for (;;) {
    const h = index << 2;
    const headWord = threaded ? Atomics.load(desc, h + 3) : desc[h + 3];
    if ((headWord & ${LAP | (5 << 16)}) !== (lap | ${4 << 16})) break;
    const head = headWord & 0xffff;
    ${body.uses ? '' : 'if (head >= ids) break;'}
    ${enterTable}
    const base = at >>> 2;
    const max = size >>> 4;
    if (max >= most) break;
    const end = (base + (max << 2)) | 0;
    ${body.split ? 'let wayBefore = 0;' : ''}
    for (let d = base; d !== end; d = (d + 4) & 0x3fffffff) {
      ${descriptor(body, translated, 'words', 'upper')}
    }
    let next = index;
    let nextLap = lap;
    ${step}
    {
      ${finish(body, '1')}
    }
  }
  ${leave(body)}
}
`;
}

/** The text of `fused/packed.ts`. */
export function packedLoops(): string {
  const loops = [DRAIN, WALK].flatMap((body) => [true, false].flatMap((t) => [direct(body, t), tables(body, t)]));
  return [HEADER, ...loops].join('').replaceAll(/^ *\n(?= )/gm, '');
}
