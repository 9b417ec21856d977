import { KernelError } from '@vdpalab/abi';
import {
  PCI_CAPABILITY_LIST, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_BAR, VIRTIO_PCI_CAP_CFG_TYPE, VIRTIO_PCI_CAP_LENGTH, VIRTIO_PCI_CAP_OFFSET,
} from '@vdpalab/uapi';
import type { VirtioNetFunction } from '@vdpalab/machine';
import { describe, expect, it } from 'vitest';
import { bootVirtioPci } from './testing/bench.ts';
import type { BenchOptions } from './testing/bench.ts';

const [COMMON, NOTIFY, ISR, DEVICE] = [1, 2, 3, 4] as const;

/** Where the vendor capability of a type is. */
function capability(fn: VirtioNetFunction, type: number): number {
  const { config } = fn;
  for (let at = config.get(PCI_CAPABILITY_LIST, 1); at !== 0; at = config.get(at + 1, 1)) {
    if (config.get(at, 1) === PCI_CAP_ID_VNDR && config.get(at + VIRTIO_PCI_CAP_CFG_TYPE, 1) === type) return at;
  }
  throw new Error(`no capability of type ${type}`);
}

const corrupt = (type: number, field: number, size: 1 | 4, value: number): BenchOptions => ({
  at: '07:00.0', tamper: (fn) => fn.config.set(capability(fn, type) + field, size, value),
});

const missing = (type: number): BenchOptions => corrupt(type, VIRTIO_PCI_CAP_CFG_TYPE, 1, 9);

describe('a function whose capabilities cannot be', () => {
  it.each([
    ['no common configuration', missing(COMMON), 'virtio_pci: leaving for legacy driver', -19],
    ['no ISR', missing(ISR), expect.stringMatching(/^virtio_pci: missing capabilities \d+\/0\/\d+$/), -22],
    ['no notification', missing(NOTIFY), expect.stringMatching(/^virtio_pci: missing capabilities \d+\/\d+\/0$/), -22],
    ['a reserved BAR', corrupt(ISR, VIRTIO_PCI_CAP_BAR, 1, 6), expect.stringContaining('missing capabilities'), -22],
    ['a BAR that is absent', corrupt(NOTIFY, VIRTIO_PCI_CAP_BAR, 1, 2), expect.stringContaining('missing capabilities'), -22],
    ['a common configuration of no length', corrupt(COMMON, VIRTIO_PCI_CAP_LENGTH, 4, 0), 'virtio_pci: bad capability len 0 (>0 expected)', -22],
    ['a common configuration too short', corrupt(COMMON, VIRTIO_PCI_CAP_LENGTH, 4, 55), 'virtio_pci: bad capability len 55 (>=56 expected)', -22],
    ['a common configuration out of line', corrupt(COMMON, VIRTIO_PCI_CAP_OFFSET, 4, 2), 'virtio_pci: offset 2 not aligned to 4', -22],
    ['a common configuration behind its BAR', corrupt(COMMON, VIRTIO_PCI_CAP_OFFSET, 4, 0x4000),
      'virtio_pci: map virtio 56@16384 out of range on bar 4 length 16384', -22],
    ['a common configuration at the end of all', corrupt(COMMON, VIRTIO_PCI_CAP_OFFSET, 4, 0xffff_fffc),
      'virtio_pci: map virtio 56@4294967292 out of range on bar 4 length 16384', -22],
    ['an ISR behind its BAR', corrupt(ISR, VIRTIO_PCI_CAP_OFFSET, 4, 0x4000), 'virtio_pci: map virtio 1@16384 out of range on bar 4 length 16384', -22],
    ['a doorbell of one byte', corrupt(NOTIFY, VIRTIO_PCI_CAP_LENGTH, 4, 1), 'virtio_pci: bad capability len 1 (>=2 expected)', -22],
    ['a configuration of no length', corrupt(DEVICE, VIRTIO_PCI_CAP_LENGTH, 4, 0), 'virtio_pci: bad capability len 0 (>0 expected)', -22],
  ] as const)('is refused: %s', async (_, options, line, error) => {
    const b = await bootVirtioPci(options);
    const lines = b.dmesg();
    expect(b.bound()).toBe(false);
    expect(lines).toContainEqual(typeof line === 'string' ? `virtio-pci ${b.bdf}: ${line}` : expect.stringContaining('missing capabilities'));
    // ENODEV is no error: the driver core says nothing.
    if (error !== -19) expect(lines.at(-1)).toBe(`virtio-pci: probe of ${b.bdf} failed with error ${error}`);
    await b.run(() => b.rmmod('virtio_pci'));
    expect([b.leftovers(), b.k.irq_leftovers()]).toEqual([[], []]);
  });

  it('is left when its capabilities go round in a circle', async () => {
    const b = await bootVirtioPci({
      at: '07:00.0',
      tamper(fn) {
        const at = capability(fn, COMMON);
        fn.config.set(at + VIRTIO_PCI_CAP_CFG_TYPE, 1, 9);
        fn.config.set(at + 1, 1, at);
      },
    });
    expect(b.bound()).toBe(false);
  });

  it('is taken through the legacy interface when it has one', async () => {
    const b = await bootVirtioPci({ tamper: (fn) => fn.config.set(capability(fn, COMMON) + VIRTIO_PCI_CAP_CFG_TYPE, 1, 9) });
    expect([b.bound(), b.dmesg()]).toEqual([true, expect.arrayContaining([`virtio-pci ${b.bdf}: virtio_pci: leaving for legacy driver`])]);
  });

  it('is refused when it is of another revision than the legacy interface knows', async () => {
    const b = await bootVirtioPci({
      function: { disable_modern: true },
      wrap: (symbol, value, importer) => (importer !== 'virtio_pci' || symbol !== 'vp_legacy_probe' ? value
        : (pdev: object) => (value as (p: object) => object)(Object.create(pdev, { revision: { value: 2 } }) as object)),
    });
    expect([b.bound(), b.dmesg()]).toEqual([false, expect.arrayContaining([`virtio-pci ${b.bdf}: virtio_pci: expected ABI version 0, got 2`])]);
  });
});

describe('a device whose queues cannot be', () => {
  const asked = async (options: BenchOptions): Promise<{ errno: string; lines: string[]; left: readonly string[] }> => {
    const b = await bootVirtioPci(options);
    let errno = 'ok';
    await b.run(() => b.k.register_virtio_driver({
      name: 'asker', owner: { name: 'asker', state: 'live' }, id_table: [{ device: 1, vendor: null }], feature_table: [],
      async probe(vdev) {
        try {
          await b.k.virtio_find_vqs(vdev, [{ name: 'a', callback: (): undefined => undefined }]);
        } catch (error) {
          errno = (error as KernelError).errno;
          throw error;
        }
      },
      remove: async () => undefined,
    }));
    return { errno, lines: b.dmesg(), left: [...b.k.virtio_ring_leftovers(), ...b.actions()] };
  };
  /** Make a register of the common configuration say something else. */
  const says = (offset: number, value: number): BenchOptions['tamper'] => (fn) => {
    const read = fn.common.read.bind(fn.common);
    fn.common.read = (at, size) => (at === offset ? value : read(at, size));
  };

  it.each([
    ['no queues', 18, 0, 'EINVAL'], ['a queue of size 0', 24, 0, 'ENOENT'], ['a queue of 100 descriptors', 24, 100, 'EINVAL'],
    ['a queue that is on already', 28, 1, 'ENOENT'], ['a doorbell far away', 30, 0xffff, 'ENOMEM'], ['no vector taken', 26, 0xffff, 'ok'],
  ] as const)('is refused: %s', async (_, offset, value, errno) => {
    const got = await asked({ at: '07:00.0', tamper: says(offset, value) });
    expect(got.errno).toBe(errno);
    if (errno !== 'ok') expect(got.left).toEqual([]);
    else expect(got.left).toEqual([expect.stringContaining('virtqueue a'), 'virtio0']); // by the pin
    if (value === 100) expect(got.lines).toContain('virtio-pci 0000:07:00.0: bad queue size 100');
    if (value === 0xffff && offset === 30) {
      expect(got.lines).toContain('virtio-pci 0000:07:00.0: bad notification offset 65535 (x 4) for queue 0 > 4096');
    }
  });

  it('is refused: a queue of 100 descriptors, through the legacy interface', async () => {
    const got = await asked({ forceLegacy: true, tamper: says(24, 100) });
    expect([got.errno, got.left]).toEqual(['ENOMEM', []]);
  });
});

describe('a device that has not what it says', () => {
  it('is refused when it speaks the modern interface without VERSION_1', async () => {
    const b = await bootVirtioPci({
      at: '07:00.0',
      wrap: (symbol, value, importer) => (importer === 'virtio_pci' && symbol === 'vp_modern_get_features' ? () => 0x20n : value),
    });
    await b.run(() => b.k.register_virtio_driver({
      name: 'asker', owner: { name: 'asker', state: 'live' }, id_table: [{ device: 1, vendor: null }], feature_table: [5],
      probe: async () => undefined, remove: async () => undefined,
    }));
    expect(b.dmesg().slice(-2)).toEqual([
      'asker virtio0: virtio: device uses modern interface but does not have VIRTIO_F_VERSION_1', 'asker: probe of virtio0 failed with error -22',
    ]);
  });
});

describe('a failing step', () => {
  const failing = [
    'pci_enable_device', 'vp_modern_probe', 'register_virtio_device', 'pci_request_selected_regions', 'pci_iomap_range', 'vp_legacy_probe',
    'pci_request_region', 'pci_iomap',
  ];

  it.each([{ at: '07:00.0' }, { forceLegacy: true }] as BenchOptions[])('of the probe leaves nothing (%j)', async (options) => {
    let reached = 0;
    for (let n = 1; ; n++) {
      let left = n;
      let failed = '';
      const b = await bootVirtioPci({
        ...options,
        wrap: (symbol, value, importer) => (!importer.startsWith('virtio_pci') || !failing.includes(symbol) ? value : (...args: never[]) => {
          if (--left === 0) {
            failed = symbol;
            throw new KernelError('EIO', 'test.injected', symbol);
          }
          return (value as (...a: never[]) => unknown)(...args);
        }),
      });
      if (failed === '') break;
      reached = n;
      // What fails to be mapped is refused as what cannot be; all else passes its errno on.
      expect([b.bound(), b.dmesg().at(-1)]).toEqual([false, `virtio-pci: probe of ${b.bdf} failed with error ${failed === 'pci_iomap_range' ? -22 : -5}`]);
      await b.run(() => b.rmmod('virtio_pci'));
      expect([failed, b.leftovers(), b.k.irq_leftovers()]).toEqual([failed, [], []]);
    }
    expect(reached).toBeGreaterThan(4);
  });
});

describe('a BAR', () => {
  it('that another driver has is not taken', async () => {
    const b = await bootVirtioPci({
      at: '07:00.0',
      wrap: (symbol, value, importer) => (importer === 'virtio_pci_modern_dev' && symbol === 'pci_request_selected_regions' ? () => {
        throw new KernelError('EBUSY', 'test.injected', 'BAR 4 is taken');
      } : value),
    });
    expect([b.bound(), b.dmesg().at(-1)]).toEqual([false, `virtio-pci: probe of ${b.bdf} failed with error -16`]);
  });
});
