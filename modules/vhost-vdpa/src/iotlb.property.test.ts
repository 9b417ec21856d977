import { anonymous } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootVhost } from './testing/kernel.ts';

const PAGE = 4096;
const MEMORY = 16 * PAGE;

type Message =
  | { readonly kind: 'update' | 'invalidate'; readonly asid: number; readonly iova: number; readonly size: number }
  | { readonly kind: 'begin' | 'end' | 'reset'; readonly asid: number };

/** Entries of the plain model: whole pages. */
interface Entry {
  readonly asid: number;
  readonly start: number;
  readonly end: number;
}

const asid = fc.integer({ min: 0, max: 2 });
const messages = fc.array<Message>(fc.oneof(
  fc.record({
    kind: fc.constantFrom('update' as const, 'invalidate' as const), asid,
    iova: fc.integer({ min: 0, max: 12 * PAGE }), size: fc.oneof(fc.constantFrom(0, PAGE, 2 * PAGE), fc.integer({ min: 1, max: 3 * PAGE })),
  }),
  fc.record({ kind: fc.constantFrom('begin' as const, 'end' as const, 'reset' as const), asid }),
), { maxLength: 40 });

/** What a message does to the plain model. @returns whether it is taken */
function apply(model: Entry[], state: { batch: number | null; known: Set<number> }, m: Message): boolean {
  if (m.kind === 'reset') return true; // mappings survive; a batch goes on
  if (m.kind === 'update' && m.size === 0) return false; // refused before anybody looks at it
  if (m.kind === 'update' || m.kind === 'begin') {
    if (m.asid >= 2) return false;
    state.known.add(m.asid);
  }
  if (state.batch !== null && state.batch !== m.asid) return false;
  if (!state.known.has(m.asid)) return false;
  switch (m.kind) {
    case 'begin': state.batch = m.asid; return true;
    case 'end': state.batch = null; return true;
    case 'invalidate': {
      // no bytes are those between one below and the first, as 64 bits have it
      const last = m.iova + m.size - 1 < 0 ? Number.POSITIVE_INFINITY : m.iova + m.size - 1;
      for (const e of model.filter((x) => x.asid === m.asid && x.start <= last && x.end > m.iova)) model.splice(model.indexOf(e), 1);
      return true;
    }
    case 'update': {
      if (model.some((e) => e.asid === m.asid && e.start < m.iova + m.size && e.end > m.iova)) return false;
      const start = m.iova - (m.iova % PAGE);
      model.push({ asid: m.asid, start, end: start + Math.ceil((m.size + (m.iova % PAGE)) / PAGE) * PAGE });
      return true;
    }
  }
}

test.each(['dma_map', 'set_map'] as const)('any messages leave what a plain list of ranges has, and its pages pinned (%s)', async (mapping) => {
  const kernel = await bootVhost({ mapping });
  const { k } = kernel;
  await fc.assert(fc.asyncProperty(messages, async (list) => {
    await kernel.withFile(async (f, proc, device) => {
      await f.ioctl(uapi.VHOST_SET_OWNER);
      await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0xe);
      const base = await anonymous(k, proc, MEMORY);
      const model: Entry[] = [];
      const state = { batch: null as number | null, known: new Set<number>() };
      for (const m of list) {
        const taken = apply(model, state, m);
        let answer: unknown;
        if (m.kind === 'reset') answer = (await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0)) === 0 ? 72 : 'refused';
        else if (m.kind === 'update') answer = await f.iotlb(uapi.VHOST_IOTLB_UPDATE, BigInt(m.iova), BigInt(m.size), BigInt(base), 3, m.asid);
        else if (m.kind === 'invalidate') answer = await f.iotlb(uapi.VHOST_IOTLB_INVALIDATE, BigInt(m.iova), BigInt(m.size), 0n, 0, m.asid);
        else answer = await f.iotlb(m.kind === 'begin' ? uapi.VHOST_IOTLB_BATCH_BEGIN : uapi.VHOST_IOTLB_BATCH_END, 0n, 0n, 0n, 0, m.asid);
        expect([m, answer === 72]).toEqual([m, taken]);
        expect(proc.mm.pinned_vm).toBe(model.reduce((sum, e) => sum + (e.end - e.start) / PAGE, 0));
      }
      // a table is told anew when nothing keeps it back; a reset has emptied a parent that is told step by step
      if (mapping === 'set_map' && state.batch === null && state.known.has(0)) {
        await f.iotlb(uapi.VHOST_IOTLB_INVALIDATE, 0x5000_0000n, 4096n, 0n, 0, 0);
        const told = device.maps.filter((map) => map.asid === 0).map((map) => [Number(map.start), Number(map.start + map.size)]);
        const expected = model.filter((e) => e.asid === 0).map((e) => [e.start, e.end]);
        const byStart = (a: number[], b: number[]): number => (a[0] ?? 0) - (b[0] ?? 0);
        expect(told.sort(byStart)).toEqual(expected.sort(byStart));
      }
    });
    expect(kernel.leftovers().filter((line) => line.includes('pinned'))).toEqual([]);
  }), { numRuns: 40, seed: 7 });
  kernel.log.splice(0);
  expect(await kernel.gone()).toEqual([]);
});
