/** Chains of any shape over pages mapped in any order, against a flat copy of the memory; and rings that hold anything at all. */
import { isKernelError } from '@vdpalab/abi';
import { bootBuiltins, covers } from '@vdpalab/testing';
import { VHOST_ACCESS_RW, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { VringhKiov } from './header.ts';
import type {} from '@vdpalab/vhost-iotlb';

const NUM = 16;
const PAGE = 4096;
/** Data pages, behind three of the ring. */
const PAGES = 8;
const RING = 0x1000n;
const DATA = 0x10_0000_0000n;

const kiov = (): VringhKiov => ({ segments: [], consumed: 0 });

/** A ring of one page each in a row, and data pages that the device sees in another order. */
async function setUp() {
  const kernel = await bootBuiltins(['sched', 'vhost-iotlb', 'vringh']);
  const { k, machine } = kernel;
  const pa = 0x10_0000;
  const bytes = machine.ram.view(pa, (3 + PAGES) * PAGE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const open = (order: readonly number[]) => {
    bytes.fill(0, 0, 3 * PAGE);
    const iotlb = k.vhost_iotlb_alloc(0, 0);
    k.vhost_iotlb_add_range(iotlb, RING, RING + BigInt(3 * PAGE) - 1n, BigInt(pa), VHOST_ACCESS_RW);
    order.forEach((page, at) => {
      const start = DATA + BigInt(at * PAGE);
      k.vhost_iotlb_add_range(iotlb, start, start + BigInt(PAGE) - 1n, BigInt(pa + (3 + page) * PAGE), VHOST_ACCESS_RW);
    });
    const vrh = k.vringh_init_iotlb(0n, NUM, false, RING, RING + BigInt(PAGE), RING + BigInt(2 * PAGE));
    k.vringh_set_iotlb(vrh, iotlb);
    return vrh;
  };
  return { kernel, k, bytes, view, open };
}

const piece = fc.record({ at: fc.nat(PAGES * PAGE - 1), len: fc.nat(6000), write: fc.boolean() })
  .map((p) => ({ ...p, len: Math.min(p.len, PAGES * PAGE - p.at) }));
const order = fc.shuffledSubarray([...Array(PAGES).keys()], { minLength: PAGES });

test('what is pulled and pushed, in whatever portions, is what a flat memory holds', async () => {
  covers('2.6.5');
  const { k, bytes, view, open } = await setUp();
  const shape = fc.record({ pieces: fc.array(piece, { minLength: 1, maxLength: NUM }), order, portions: fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 6 }) });
  let turn = 0;
  fc.assert(fc.property(shape, ({ pieces, order: pages, portions }) => {
    turn++;
    const vrh = open(pages);
    /** Where a byte of the data lies, as the device counts. */
    const place = (at: number): number => (3 + (pages[Math.floor(at / PAGE)] as number)) * PAGE + (at % PAGE);
    for (let i = 3 * PAGE; i < bytes.length; i++) bytes[i] = (i * 31 + turn) & 0xff;
    const chain = [...pieces.filter((p) => !p.write), ...pieces.filter((p) => p.write)];
    chain.forEach(({ at, len, write }, i) => {
      view.setBigUint64(16 * i, DATA + BigInt(at), true);
      view.setUint32(16 * i + 8, len, true);
      view.setUint16(16 * i + 12, (write ? VRING_DESC_F_WRITE : 0) | (i < chain.length - 1 ? VRING_DESC_F_NEXT : 0), true);
      view.setUint16(16 * i + 14, i + 1, true);
    });
    view.setUint16(PAGE + 2, 1, true);
    const [riov, wiov] = [kiov(), kiov()];
    const head = k.vringh_getdesc_iotlb(vrh, riov, wiov);

    const wanted = chain.filter((p) => !p.write).flatMap(({ at, len }) => Array.from({ length: len }, (_, b) => bytes[place(at + b)]));
    const pulled: number[] = [];
    for (let n = 0, got = -1; got !== 0; n++) {
      const into = new Uint8Array(portions[n % portions.length] as number);
      got = k.vringh_iov_pull_iotlb(vrh, riov, into);
      pulled.push(...into.subarray(0, got));
    }

    const room = chain.filter((p) => p.write);
    const total = room.reduce((sum, { len }) => sum + len, 0);
    let pushed = 0;
    for (let n = 0; pushed < total; n++) {
      const from = Uint8Array.from({ length: portions[n % portions.length] as number }, (_, b) => (pushed + b) % 249);
      pushed += k.vringh_iov_push_iotlb(vrh, wiov, from);
    }
    // What overlaps was written last by the last piece.
    const model = new Map<number, number>();
    let count = 0;
    for (const { at, len } of room) for (let b = 0; b < len; b++) model.set(place(at + b), count++ % 249);
    k.vringh_complete_iotlb(vrh, head, pushed);
    return pulled.length === wanted.length && pulled.every((byte, i) => byte === wanted[i]) && pushed === total
      && [...model].every(([at, byte]) => bytes[at] === byte)
      && view.getUint16(2 * PAGE + 2, true) === 1 && view.getUint32(2 * PAGE + 4, true) === head && view.getUint32(2 * PAGE + 8, true) === total;
  }), { numRuns: 60 });
});

test('a ring that holds anything at all ends every walk with a head, with nothing, or with a refusal', async () => {
  covers('2.6.5');
  const { k, bytes, open } = await setUp();
  const outcomes = new Set<string>();
  fc.assert(fc.property(fc.uint8Array({ minLength: 16 * NUM, maxLength: 16 * NUM }), fc.uint8Array({ minLength: 4 + 2 * NUM, maxLength: 4 + 2 * NUM }), fc.boolean(), (table, ring, small) => {
    const vrh = open([...Array(PAGES).keys()]);
    bytes.set(table);
    // Half of them with indices and flags that lead somewhere.
    if (small) for (let d = 0; d < NUM; d++) bytes.set([table[16 * d + 12]! & 7, 0, table[16 * d + 14]! % NUM, 0], 16 * d + 12);
    bytes.set(ring, PAGE);
    if (small) for (let e = 0; e < NUM; e++) bytes.set([ring[4 + 2 * e]! % NUM, 0], PAGE + 4 + 2 * e);
    for (let n = 0; n < 2 * NUM; n++) {
      const [riov, wiov] = [kiov(), kiov()];
      try {
        const head = k.vringh_getdesc_iotlb(vrh, riov, wiov);
        outcomes.add(head < 0 ? 'nothing' : 'a head');
        if (head < 0) break;
        expect(head).toBeLessThan(NUM);
        k.vringh_complete_iotlb(vrh, head, 0);
      } catch (error) {
        if (!isKernelError(error)) throw error;
        outcomes.add(error.errno);
      }
    }
  }), { numRuns: 300 });
  expect([...outcomes]).toEqual(expect.arrayContaining(['a head', 'EINVAL']));
});
