import { KernelError } from '@vdpalab/abi';
import { covers, errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { VirtioConfigOps, Virtqueue } from './header.ts';
import { bootRing, serve } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

/** A transport that resets queues, and a log of what it was asked. */
async function resettable(failing: readonly string[] = [], wrap?: (symbol: string, value: unknown) => unknown) {
  const log: string[] = [];
  const step = (name: string) => async (vq: Virtqueue): Promise<void> => {
    log.push(`${name} ${vq.index}`);
    if (failing.includes(name)) throw new KernelError('ENOENT', 'test.injected', name);
  };
  const config: VirtioConfigOps = { disable_vq_and_reset: step('disable'), enable_vq_after_reset: step('enable') };
  const b = await bootRing({ config, ...(wrap === undefined ? {} : { wrap }) });
  const vq = b.create();
  const resize = (num: number): Promise<string> => b.run(() => errnoOf(() => b.k.virtqueue_resize(vq, num, (_, data): undefined => void log.push(`recycle ${String(data)}`))));
  return { b, vq, log, resize };
}

const add = (b: Bench, vq: Virtqueue, data: string): Promise<void> => b.run(async () => void b.k.virtqueue_add_sgs(vq, [b.page()], [], data));

/** The ring takes a buffer, the device uses it, it comes back. */
async function works(b: Bench, vq: Virtqueue): Promise<void> {
  await add(b, vq, 'probe');
  expect(serve(b.device(vq), 0)?.segments).toBe(1);
  expect(await b.run(async () => b.k.virtqueue_get_buf(vq)?.data)).toBe('probe');
}

describe('a queue', () => {
  it('gets another size: taken from the device, buffers handed back, given to the device anew', async () => {
    covers('2.7.7');
    const { b, vq, log, resize } = await resettable();
    await add(b, vq, 'first');
    await add(b, vq, 'second');
    expect(await resize(4)).toBe('ok');
    expect([log, b.k.virtqueue_get_vring_size(vq), vq.num_free, vq.num_max]).toEqual([
      ['disable 0', 'recycle first', 'recycle second', 'enable 0'], 4, 4, 8,
    ]);
    await works(b, vq);
    expect([await resize(8), vq.num_free]).toEqual(['ok', 8]);
    await works(b, vq);
  });

  it('keeps its size when that is what it has', async () => {
    const { log, resize } = await resettable();
    expect([await resize(8), log]).toEqual(['ok', []]);
  });

  it('is refused more than the device has, none at all, and any where queues are not reset by themselves', async () => {
    covers('2.7.7');
    const { log, resize } = await resettable();
    expect([await resize(16), await resize(0), log]).toEqual(['E2BIG', 'EINVAL', []]);
    const b = await bootRing();
    const vq = b.create();
    expect(await b.run(() => errnoOf(() => b.k.virtqueue_resize(vq, 4, () => undefined)))).toBe('ENOENT');
    const { b: b2, vq: vq2, resize: resize2, log: log2 } = await resettable(['disable']);
    await add(b2, vq2, 'kept');
    expect([await resize2(4), log2, b2.k.virtqueue_get_vring_size(vq2), vq2.num_free]).toEqual(['ENOENT', ['disable 0'], 8, 7]);
  });

  it('keeps working with its old size when another cannot be had', async () => {
    covers('2.7.7');
    let short = false;
    const { b, vq, log, resize } = await resettable([], (symbol, value) => (symbol !== 'dma_alloc_coherent' ? value : (...args: never[]) => {
      if (short) throw new KernelError('ENOMEM', 'test.injected', symbol);
      return (value as (...a: never[]) => unknown)(...args);
    }));
    await add(b, vq, 'lost');
    short = true;
    expect([await resize(4), b.k.virtqueue_get_vring_size(vq), vq.num_free]).toEqual(['ENOMEM', 8, 8]);
    short = false;
    await works(b, vq);
    expect(await resize(6)).toBe('ENOMEM'); // no power of two
    await works(b, vq);
    expect(log.filter((line) => line === 'enable 0')).toHaveLength(2);
  });

  it('is of no use when the device does not take it back', async () => {
    const { resize } = await resettable(['enable']);
    expect(await resize(4)).toBe('EBUSY');
  });

  it('that was broken is whole after it, and leaves nothing when it is deleted', async () => {
    covers('2.7.7');
    const { b, vq, resize } = await resettable();
    await b.run(async () => b.k.__virtqueue_break(vq));
    expect(await b.run(() => errnoOf(async () => b.k.virtqueue_add_sgs(vq, [b.page()], [], 'x')))).toBe('EIO');
    expect([await resize(2), vq.broken]).toEqual(['ok', false]);
    await works(b, vq);
    await b.run(async () => b.k.__virtqueue_break(vq));
    await b.run(async () => b.k.__virtqueue_unbreak(vq));
    await add(b, vq, 'after');
    expect(vq.num_free).toBe(1);
    await b.run(async () => b.k.vring_del_virtqueue(vq));
    expect([b.k.virtio_ring_leftovers(), b.k.dma_mappings(b.dev)]).toEqual([[], []]);
  });
});
