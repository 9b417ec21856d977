import {
  VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MTU, VIRTIO_NET_S_ANNOUNCE, VIRTIO_PCI_COMMON_DF,
  VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_GF, VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_HOST_FEATURES, VIRTIO_PCI_ISR,
} from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { createMachine } from '../machine.ts';
import { createPciHost } from '../pci/create.ts';
import type { VirtioNetConfig } from './plain-config.ts';
import type { VirtioNetFunction } from './plain-net.ts';

const AT = '00:04.0';
const STATUS_AT = 6;

function functionOf(over: Partial<VirtioNetConfig> = {}): VirtioNetFunction {
  const hw = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const { functions } = createPciHost(hw, { root_ports: [], functions: [{ at: AT, model: 'virtio-net', queue_pairs: 1, queue_size: 64, ...over }] });
  return functions.get(AT) as VirtioNetFunction;
}

/** Features of the modern interface, both halves. */
function offered(fn: VirtioNetFunction): bigint {
  return [0, 1].map((half) => {
    fn.common.write(VIRTIO_PCI_COMMON_DFSELECT, 4, half);
    return BigInt(fn.common.read(VIRTIO_PCI_COMMON_DF, 4)) << BigInt(32 * half);
  }).reduce((a, b) => a | b);
}

function negotiate(fn: VirtioNetFunction, bits: readonly number[]): undefined {
  for (const half of [0, 1]) {
    fn.common.write(VIRTIO_PCI_COMMON_GFSELECT, 4, half);
    fn.common.write(VIRTIO_PCI_COMMON_GF, 4, bits.filter((bit) => bit >> 5 === half).reduce((word, bit) => (word | (1 << (bit & 31))) >>> 0, 0));
  }
}

describe('a plain network function', () => {
  it('offers what QEMU\'s offers, and an MTU where it has one', () => {
    const has = (fn: VirtioNetFunction, bit: number): boolean => ((offered(fn) >> BigInt(bit)) & 1n) === 1n;
    // Of a transitional `virtio-net-pci` of QEMU 7.2 that is plugged into nothing.
    expect(offered(functionOf())).toBe(0x101_30bf_8024n);
    expect([has(functionOf(), VIRTIO_NET_F_MTU), has(functionOf({ mtu: 9000 }), VIRTIO_NET_F_MTU)]).toEqual([false, true]);
  });

  it('says in the legacy registers alone that chains may be cut anywhere', () => {
    const fn = functionOf();
    expect((offered(fn) >> BigInt(VIRTIO_F_ANY_LAYOUT)) & 1n).toBe(0n);
    expect((fn.readBar(0, VIRTIO_PCI_HOST_FEATURES, 4) >>> VIRTIO_F_ANY_LAYOUT) & 1).toBe(1);
  });

  it('asks a driver that can to announce itself, until a reset', () => {
    const fn = functionOf();
    const status = (): number => fn.net.read(STATUS_AT, 2);
    const isr = (): number => fn.readBar(0, VIRTIO_PCI_ISR, 1);
    negotiate(fn, [VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_RX]);
    fn.announceSelf();
    expect(status() & VIRTIO_NET_S_ANNOUNCE).toBe(0);
    negotiate(fn, [VIRTIO_F_VERSION_1, VIRTIO_NET_F_GUEST_ANNOUNCE]);
    fn.common.write(0x14, 1, 0xf);
    isr();
    fn.announceSelf();
    expect([status() & VIRTIO_NET_S_ANNOUNCE, isr() & 2]).toEqual([VIRTIO_NET_S_ANNOUNCE, 2]);
    expect([fn.net.announced(), fn.net.announced()]).toEqual([true, false]);
    fn.announceSelf();
    fn.common.write(0x14, 1, 0);
    expect(status() & VIRTIO_NET_S_ANNOUNCE).toBe(0);
  });
});
