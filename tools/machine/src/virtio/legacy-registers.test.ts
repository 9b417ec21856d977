import { VIRTIO_NET_F_MAC, VIRTIO_F_VERSION_1 } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { createMachine } from '../machine.ts';
import { createPciHost } from '../pci/create.ts';
import type { VirtioNetFunction } from './plain-net.ts';
import type { VirtioNetConfig } from './plain-config.ts';

function functionOf(over: Partial<VirtioNetConfig> = {}): VirtioNetFunction {
  const hw = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const { functions } = createPciHost(hw, {
    root_ports: [], functions: [{ at: '00:04.0', model: 'virtio-net', queue_pairs: 1, queue_size: 64, mtu: 1500, mac: '52:54:00:00:00:0a', ...over }],
  });
  return functions.get('00:04.0') as VirtioNetFunction;
}

/** The block of ports. */
const r = (fn: VirtioNetFunction, at: number, size: 1 | 2 | 4): number => fn.readBar(0, at, size);
const w = (fn: VirtioNetFunction, at: number, size: 1 | 2 | 4, value: number): undefined => fn.writeBar(0, at, size, value);

describe('the legacy registers', () => {
  it('show the lower half of the features, and take what the driver wants of them', () => {
    const fn = functionOf();
    expect((r(fn, 0, 4) >>> VIRTIO_NET_F_MAC) & 1).toBe(1);
    w(fn, 4, 4, 1 << VIRTIO_NET_F_MAC);
    expect([r(fn, 4, 4), fn.common.negotiated(VIRTIO_NET_F_MAC), fn.common.negotiated(VIRTIO_F_VERSION_1)]).toEqual([0x20, true, false]);
  });

  it('lay a ring out from its page frame: descriptors, available ring, and the used ring on the next page', () => {
    const fn = functionOf();
    w(fn, 14, 2, 1);
    expect([r(fn, 14, 2), r(fn, 12, 2), r(fn, 8, 4)]).toEqual([1, 64, 0]);
    w(fn, 8, 4, 0x123);
    const queue = fn.queues[1]!;
    expect([queue.enabled, queue.descLo, queue.availLo, queue.usedLo]).toEqual([true, 0x12_3000, 0x12_3400, 0x12_4000]);
    expect(r(fn, 8, 4)).toBe(0x123);
    w(fn, 8, 4, 0x10_0000); // beyond 4 GiB
    expect([queue.descLo, queue.descHi, r(fn, 8, 4)]).toEqual([0, 1, 0x10_0000]);
    w(fn, 8, 4, 0);
    expect([queue.enabled, r(fn, 8, 4)]).toEqual([false, 0]);
  });

  it('say that a queue is not there by its size', () => {
    const fn = functionOf();
    w(fn, 14, 2, 3);
    expect(r(fn, 12, 2)).toBe(0);
    w(fn, 8, 4, 1);
    expect(r(fn, 8, 4)).toBe(0);
  });

  it('have the configuration at 20, and at 24 while MSI-X is on', () => {
    const fn = functionOf();
    const mac = [0x52, 0x54, 0, 0, 0, 0x0a];
    expect(mac.map((_, i) => r(fn, 20 + i, 1))).toEqual(mac);
    let at = fn.config.get(0x34, 1);
    while (fn.config.get(at, 1) !== 0x11) at = fn.config.get(at + 1, 1);
    fn.config.write(at + 2, 2, 0x8000);
    expect([r(fn, 20, 2), mac.map((_, i) => r(fn, 24 + i, 1))]).toEqual([0xffff, mac]);
    w(fn, 20, 2, 1);
    w(fn, 22, 2, 99); // more than there are
    expect([r(fn, 20, 2), r(fn, 22, 2)]).toEqual([1, 0xffff]);
  });

  it('let a driver of before virtio 1.0 write the address', () => {
    const fn = functionOf();
    w(fn, 25, 1, 0x77);
    expect(r(fn, 25, 1)).toBe(0x77);
    w(fn, 18, 1, 0);
    expect(r(fn, 25, 1)).toBe(0x0a);
  });

  it('tell why the pin was asserted, once', () => {
    const fn = functionOf({ vectors: 0 });
    const pins: number[] = [];
    Object.assign(fn, { wire: { interrupt: (rid: number): undefined => void pins.push(rid) } });
    w(fn, 18, 1, 7);
    fn.setLink(true);
    expect([pins, fn.config.get(6, 2) & 8]).toEqual([[0x20], 8]);
    fn.setLink(false);
    expect(pins).toEqual([0x20]); // it is still up
    expect([r(fn, 19, 1), r(fn, 19, 1), fn.config.get(6, 2) & 8]).toEqual([2, 0, 0]);
    fn.config.write(4, 2, 0x400); // INTx off: held back until it is on again
    fn.setLink(true);
    expect(pins).toEqual([0x20]);
    fn.config.write(4, 2, 0);
    expect(pins).toEqual([0x20, 0x20]);
  });
});

describe('a plain function', () => {
  it.each([
    ['transitional', {}, [0x1af4, 0x1000, 0x1af4, 1, 0], [0xffff_ffc1, 0xffff_f000, 0xffff_c00c]],
    ['modern', { disable_legacy: true }, [0x1af4, 0x1041, 0x1af4, 0x1100, 1], [0, 0xffff_f000, 0xffff_c00c]],
    ['legacy', { disable_modern: true }, [0x1af4, 0x1000, 0x1af4, 1, 0], [0xffff_ffc1, 0xffff_f000, 0]],
    ['without MSI-X', { vectors: 0 }, [0x1af4, 0x1000, 0x1af4, 1, 0], [0xffff_ffc1, 0, 0xffff_c00c]],
    ['with a page for each doorbell', { page_per_vq: true }, [0x1af4, 0x1000, 0x1af4, 1, 0], [0xffff_ffc1, 0xffff_f000, 0xffff_800c]],
  ] as const)('has QEMU\'s ids and BARs: %s', (_, over, ids, masks) => {
    const { config } = functionOf(over);
    expect([config.get(0, 2), config.get(2, 2), config.get(0x2c, 2), config.get(0x2e, 2), config.get(8, 1)]).toEqual(ids);
    expect([0, 1, 4].map((bar) => {
      config.write(0x10 + 4 * bar, 4, 0xffff_ffff);
      return config.get(0x10 + 4 * bar, 4);
    })).toEqual(masks);
  });

  it('has all doorbells in one port on request', () => {
    const fn = functionOf({ modern_pio_notify: true });
    fn.config.write(0x18, 4, 0xffff_ffff);
    expect(fn.config.get(0x18, 4)).toBe(0xffff_fffd);
    expect(functionOf({ modern_pio_notify: true, disable_modern: true }).config.get(0x18, 4)).toBe(0);
    const kicked: number[] = [];
    Object.assign(fn, { kick: (queue: number): undefined => void kicked.push(queue) });
    fn.writeBar(2, 0, 2, 1);
    expect(kicked).toEqual([1]);
  });

  it('has one interface at least, and the legacy one never behind the IOMMU', () => {
    expect(() => functionOf({ disable_legacy: true, disable_modern: true })).toThrow('without the legacy and the modern interface');
    expect(() => functionOf({ iommu_platform: true })).toThrow('VIRTIO_F_ACCESS_PLATFORM');
  });

  it('resets one queue when both sides can', () => {
    const fn = functionOf({ disable_legacy: true });
    const c = (at: number, size: 1 | 2 | 4, value: number): undefined => fn.writeBar(4, at, size, value);
    c(22, 2, 1);
    c(24, 2, 32);
    c(28, 2, 1);
    c(58, 2, 1);
    expect([fn.queues[1]!.enabled, fn.queues[1]!.size]).toEqual([true, 32]); // not negotiated
    c(8, 4, 1);
    c(12, 4, (1 << (32 - 32)) | (1 << (40 - 32)));
    c(58, 2, 1);
    expect([fn.queues[1]!.enabled, fn.queues[1]!.size, fn.readBar(4, 58, 2), fn.readBar(4, 28, 2)]).toEqual([false, 64, 0, 0]);
  });
});
