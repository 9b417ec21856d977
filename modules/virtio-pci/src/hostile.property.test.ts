/** Whatever a function says in its configuration space and its registers, its driver takes it or leaves it, and nothing stays behind. */
import { isKernelError } from '@vdpalab/abi';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bootVirtioPci } from './testing/bench.ts';

/** Registers of the common configuration that may say anything; status and generation are waited for, as Linux waits. */
const registers = [0, 4, 8, 12, 16, 18, 22, 24, 26, 28, 30, 32, 36, 56, 58] as const;
/** Where capabilities are, the one of the common configuration first. */
const FIRST = 0x40;
const COMMON = 1;
/** Its BAR and offset: whatever is there instead may never say that a reset is over, and is waited for, as Linux waits. */
const waited: ReadonlySet<number> = new Set([4, 8, 9, 10, 11].map((field) => FIRST + field));

const config = fc.array(fc.record({ at: fc.integer({ min: 0x34, max: 0xff }), value: fc.integer({ min: 0, max: 0xff }) }), { maxLength: 6 });
const interesting = fc.oneof(fc.constantFrom(0, 1, 2, 3, 64, 100, 256, 0x7fff, 0x8000, 0xfffe, 0xffff), fc.integer({ min: 0, max: 0xffff }));
const lies = fc.dictionary(fc.constantFrom(...registers.map(String)), interesting, { maxKeys: 3 });

it.each(['07:00.0', '00:04.0'] as const)('a function at %s that lies', { timeout: 120_000 }, async (at) => {
  const b = await bootVirtioPci({ at });
  const { k } = b;
  await b.run(() => k.register_virtio_driver({
    name: 'asker', owner: { name: 'asker', state: 'live' }, id_table: [{ device: 1, vendor: null }], feature_table: [5, 15, 16],
    async probe(vdev) {
      await k.virtio_find_vqs(vdev, ['a', 'b'].map((name) => ({ name, callback: (): undefined => undefined })));
    },
    async remove(vdev) {
      await k.virtio_reset_device(vdev);
      await k.virtio_del_vqs(vdev);
    },
  }));
  const echo = (file: string): Promise<void> => b.user(async (proc) => {
    const fd = await k.ksys_open(proc, `/sys/bus/pci/drivers/virtio-pci/${file}`, 1);
    try {
      await k.ksys_write(proc, fd, Uint8Array.from(`${b.bdf}\n`, (c) => c.charCodeAt(0)));
    } catch (error) {
      if (!isKernelError(error)) throw error;
    } finally {
      await k.ksys_close(proc, fd);
    }
  });
  await echo('unbind');
  const honest = b.fn.config.bytes.slice();
  const truth = b.fn.common.read.bind(b.fn.common);
  const before = [b.leftovers(), k.irq_leftovers()];
  let taken = 0;
  let left = 0;
  await fc.assert(fc.asyncProperty(config, lies, async (bytes, said) => {
    for (const { at: where, value } of bytes) if ((where === 0x34 || where >= FIRST) && !waited.has(where) && value !== COMMON) b.fn.config.set(where, 1, value);
    b.fn.common.read = (offset, size) => said[String(offset)] ?? truth(offset, size);
    await echo('bind');
    if (b.bound()) taken++;
    else left++;
    await echo('unbind');
    b.fn.common.read = truth;
    expect([b.bound(), k.virtio_ring_leftovers(), b.leftovers(), k.irq_leftovers()]).toEqual([false, [], ...before]);
    b.fn.config.bytes.set(honest);
  }), { numRuns: 3000 });
  expect([taken > 2, left > 2]).toEqual([true, true]);
});
