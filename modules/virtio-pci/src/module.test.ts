import { KernelError } from '@vdpalab/abi';
import { covers, errnoOf } from '@vdpalab/testing';
import { VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_RESET } from '@vdpalab/uapi';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import { describe, expect, it } from 'vitest';
import virtioPci from './module.ts';
import { bootVirtioPci } from './testing/bench.ts';
import type { Bench, BenchOptions } from './testing/bench.ts';

/** A driver with two queues; `null` while it has no device. */
async function driven(options: BenchOptions = {}): Promise<{ b: Bench; queues: () => (Virtqueue | null)[]; vdev: () => VirtioDevice | null }> {
  const b = await bootVirtioPci(options);
  let queues: (Virtqueue | null)[] = [];
  let vdev: VirtioDevice | null = null;
  await b.run(() => b.k.register_virtio_driver({
    name: 'taker', owner: { name: 'taker', state: 'live' }, id_table: [{ device: 1, vendor: null }], feature_table: [],
    async probe(dev) {
      queues = await b.k.virtio_find_vqs(dev, ['input.0', 'output.0'].map((name) => ({ name, callback: (): undefined => undefined })));
      vdev = dev;
    },
    async remove(dev) {
      await b.k.virtio_reset_device(dev);
      await b.k.virtio_del_vqs(dev);
      vdev = null;
    },
  }));
  return { b, queues: () => queues, vdev: () => vdev };
}

describe('the module', () => {
  it('matches every function of the vendor', () => {
    expect(virtioPci.alias).toEqual(['pci:v00001AF4d*sv*sd*bc*sc*i*']);
    expect([virtioPci.description, virtioPci.author, virtioPci.version]).toEqual(['virtio-pci', 'Anthony Liguori <aliguori@us.ibm.com>', '1']);
  });

  it.each([
    ['07:00.0', { device: 0x1041, subsystem_device: 0x1100 }], ['00:04.0', { device: 0x1000, subsystem_device: 1 }],
  ] as const)('makes a virtio device below the function at %s', async (at, ids) => {
    covers('2.7.3');
    const b = await bootVirtioPci({ at });
    const sysfs = '/sys/bus/virtio/devices/virtio0';
    expect(b.k.pci_devices().find((pdev) => pdev.dev.name === b.bdf)).toMatchObject(ids);
    expect([await b.cat(`${sysfs}/device`), await b.cat(`${sysfs}/vendor`), await b.cat(`${sysfs}/status`), await b.cat(`${sysfs}/modalias`)])
      .toEqual(['0x0001\n', '0x1af4\n', '0x00000001\n', 'virtio:d00000001v00001AF4\n']);
    expect(await b.cat(`/sys/bus/pci/devices/${b.bdf}/virtio0/features`)).toBe(`${'0'.repeat(64)}\n`);
  });

  it('gives the function back as it was', async () => {
    const b = await bootVirtioPci();
    await b.run(() => b.rmmod('virtio_pci'));
    expect([b.leftovers(), b.bound(), b.fn.busMaster, b.actions()]).toEqual([[], false, false, []]);
  });
});

describe('interrupts', () => {
  it.each([
    ['a vector for each queue', {}, ['virtio0-config', 'virtio0-input.0', 'virtio0-output.0'], [[1, 2], 0]],
    ['one vector for all queues', { function: { vectors: 2 } }, ['virtio0-config', 'virtio0-virtqueues'], [[1, 1], 0]],
    ['the pin alone', { function: { vectors: 0 } }, ['virtio0'], [[0xffff, 0xffff], 0xffff]],
    ['the pin alone, when there is one vector', { function: { vectors: 1 } }, ['virtio0'], [[0xffff, 0xffff], 0xffff]],
  ] as const)('are %s', async (_, options, names, [queues, config]) => {
    const { b } = await driven(options);
    expect(b.actions()).toEqual(names);
    expect([b.fn.queues.slice(0, 2).map((q) => q.vector), b.fn.common.configVector]).toEqual([queues, config]);
  });

  it('fall back when a queue\'s vector cannot be had, and the last refusal counts when there is nothing left', async () => {
    for (const [failing, names] of [[2, ['virtio0-config', 'virtio0-virtqueues']], [4, ['virtio0']]] as const) {
      let nth = 0;
      const { b } = await driven({
        wrap: (symbol, value, importer) => (importer !== 'virtio_pci' || symbol !== 'request_irq' ? value : async (...args: never[]) => {
          nth++;
          if (nth === 2 || (failing === 4 && nth === 4)) throw new KernelError('ENOSPC', 'test.injected', 'request_irq');
          await (value as (...a: never[]) => Promise<void>)(...args);
        }),
      });
      expect(b.actions()).toEqual(names);
    }
    const { b, vdev } = await driven({
      wrap: (symbol, value, importer) => (importer !== 'virtio_pci' || symbol !== 'request_irq' ? value : async () => {
        throw new KernelError('ENOSPC', 'test.injected', 'request_irq');
      }),
    });
    expect([vdev(), b.dmesg().at(-1), b.k.virtio_ring_leftovers(), b.fn.common.status & 0x80]).toEqual([
      null, 'taker: probe of virtio0 failed with error -28', [], 0x80,
    ]);
  });

  it('are shared fairly: a pin that is not ours is left alone', async () => {
    const { b } = await driven({ function: { vectors: 0 } });
    b.fn.setLink(false); // a configuration change: the ISR byte says so, once
    await b.settle();
    expect([b.fn.readBar(4, 0x1000, 1), b.k.irq_info().at(-1)!.count]).toEqual([0, 1]);
  });
});

describe('memory', () => {
  it('is reached through the DMA API when ACCESS_PLATFORM says so, at its physical address otherwise', async () => {
    covers('2.7.8');
    for (const [at, platform] of [['07:00.0', 1n], ['00:04.0', 0n]] as const) {
      const { b, queues, vdev } = await driven({ at });
      const pdev = b.k.pci_devices().find((p) => p.dev.name === b.bdf)!;
      expect((vdev()!.features >> BigInt(VIRTIO_F_ACCESS_PLATFORM)) & 1n).toBe(platform);
      const rings = b.k.dma_mappings(pdev.dev).length;
      expect(rings > 0).toBe(platform === 1n);
      await b.run(async () => {
        const page = b.k.alloc_pages(1);
        b.k.virtqueue_add_sgs(queues()[0]!, [], [{ pa: page.pa, len: 64 }], page);
        const mapped = b.k.dma_mappings(pdev.dev).some((m) => m.size >= 64 && !m.coherent);
        expect(mapped).toBe(platform === 1n);
        await b.k.virtio_reset_device(vdev()!);
        b.k.free_pages(b.k.virtqueue_detach_unused_buf(queues()[0]!) as never);
      });
    }
  });
});

describe('a queue', () => {
  it('gets another size while the others go on', async () => {
    covers('2.7.7');
    for (const options of [{ at: '07:00.0' }, { at: '07:00.0', function: { vectors: 2, page_per_vq: true } }] as BenchOptions[]) {
      const { b, queues } = await driven(options);
      const [rx, tx] = queues() as [Virtqueue, Virtqueue];
      const hw = b.fn.queues[0]!;
      const { vector } = hw;
      const recycled: unknown[] = [];
      await b.run(async () => {
        const page = b.k.alloc_pages(1);
        b.k.virtqueue_add_sgs(rx, [], [{ pa: page.pa, len: 64 }], page);
        await b.k.virtqueue_resize(rx, 64, (_, data): undefined => void recycled.push(data));
        b.k.free_pages(page);
      });
      expect([recycled.length, hw.size, hw.enabled, hw.vector, rx.num_free]).toEqual([1, 64, true, vector, 64]);
      expect([b.fn.queues[1]!.enabled, b.fn.queues[1]!.size, tx.num_free]).toEqual([true, 256, 256]);
    }
  });

  it('keeps its size through the legacy interface, and on a device that cannot', async () => {
    covers('2.7.7');
    const refusal = async (options: BenchOptions): Promise<string> => {
      const { b, queues } = await driven(options);
      return b.run(() => errnoOf(() => b.k.virtqueue_resize(queues()[0]!, 64, () => undefined)));
    };
    expect(await refusal({ forceLegacy: true })).toBe('ENOENT');
    const without = (n: bigint): bigint => n & ~(1n << BigInt(VIRTIO_F_RING_RESET));
    expect(await refusal({
      at: '07:00.0',
      wrap: (symbol, value, importer) => (importer === 'virtio_pci' && symbol === 'vp_modern_get_features'
        ? (mdev: never) => without((value as (m: never) => bigint)(mdev)) : value),
    })).toBe('ENOENT');
  });
});

describe('a function that is gone', () => {
  it('has its queues broken before its driver leaves', async () => {
    const { b, queues } = await driven();
    b.fn.config.set(0, 4, 0xffff_ffff); // nobody answers any more
    const [rx] = queues();
    let broken: boolean | null = null;
    const real = b.fn.common.reset.bind(b.fn.common);
    b.fn.common.reset = (): undefined => {
      broken ??= rx!.broken;
      return real();
    };
    await b.run(() => b.rmmod('virtio_pci'));
    expect([broken, b.leftovers().filter((line) => !line.includes('taker'))]).toEqual([true, []]);
  });
});

describe('virtual functions', () => {
  it('are refused before the driver runs, and without VIRTIO_F_SR_IOV', async () => {
    const b = await bootVirtioPci({ at: '07:00.0' });
    const pdev = b.k.pci_devices().find((p) => p.dev.name === b.bdf)!;
    const answer = (): Promise<string> => b.run(async () => {
      try {
        return String(await pdev.driver!.sriov_configure!(pdev, 1));
      } catch (error) {
        return (error as KernelError).errno;
      }
    });
    expect(await answer()).toBe('EBUSY');
    b.fn.common.status |= 4;
    expect(await answer()).toBe('EINVAL');
  });
});
