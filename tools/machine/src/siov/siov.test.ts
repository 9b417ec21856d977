import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, VIRTIO_CONFIG_S_ACKNOWLEDGE, virtio_pci_common_cfg } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { createMachine } from '../machine.ts';
import { createPciHost } from '../pci/create.ts';
import { SiovFunction } from './function.ts';
import { LEADER_VALID, PASID_VALID, REG_COUNT, REG_LEADER, REG_PASID, REG_VECTORS, REG_WINDOW, STATE_OFFSET, WINDOW_SIZE } from './layout.ts';

const STATUS = virtio_pci_common_cfg.offsetof('device_status');

function functionOf(adis: number): { fn: SiovFunction; leftovers: () => readonly unknown[] } {
  const hw = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{ at: '07:00.0', model: 'siov', adis, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:fe' }],
  });
  const fn = system.find('07:00.0');
  if (!(fn instanceof SiovFunction)) throw new Error('no such function');
  return { fn, leftovers: () => hw.leftovers() };
}

it('says how many interfaces it has, and gives each an address of its own', () => {
  const { fn } = functionOf(3);
  expect([REG_COUNT, REG_WINDOW, REG_VECTORS, REG_PASID, 0x50].map((at) => fn.readBar(0, at, 4))).toEqual([3, WINDOW_SIZE, 4, 0, 0]);
  const mac = (n: number): number[] => Array.from({ length: 6 }, (_, i) => fn.readBar(2, n * WINDOW_SIZE + 0x800 + i, 1));
  expect([mac(0), mac(2)]).toEqual([[0x52, 0x54, 0, 0, 0, 0xfe], [0x52, 0x54, 0, 0, 1, 0]]);
  expect(fn.readBar(2, 3 * WINDOW_SIZE, 4)).toBe(0); // beyond the last
  fn.writeBar(2, 3 * WINDOW_SIZE + STATUS, 1, 1);
  fn.writeBar(0, REG_PASID + 12, 4, (PASID_VALID | 1) >>> 0);
});

it('lets an interface DMA once it has a PASID and the function is bus master; another PASID resets it', () => {
  const { fn } = functionOf(2);
  const [adi] = fn.adis;
  const pasid = (value: number): void => void fn.writeBar(0, REG_PASID, 4, value);
  const status = (value?: number): number => {
    if (value !== undefined) fn.writeBar(2, STATUS, 1, value);
    return fn.readBar(2, STATUS, 1);
  };
  fn.config.write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  expect([adi!.pasid, adi!.busMaster]).toEqual([null, false]);
  expect(status(VIRTIO_CONFIG_S_ACKNOWLEDGE)).toBe(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  pasid((PASID_VALID | 7) >>> 0);
  expect([fn.readBar(0, REG_PASID, 4), adi!.busMaster, adi!.dma.pasid, status()]).toEqual([(PASID_VALID | 7) >>> 0, true, 7, 0]);
  status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  pasid((PASID_VALID | 7) >>> 0); // the same: nothing happens
  expect(status()).toBe(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  fn.config.write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  expect(adi!.busMaster).toBe(false);
  fn.config.write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  pasid(0);
  expect([adi!.pasid, adi!.busMaster, status(), fn.adis[1]!.pasid]).toEqual([null, false, 0, null]);
});

it('keeps ring state where it can be read and set, and forgets everything at a reset', () => {
  const { fn } = functionOf(1);
  fn.writeBar(0, REG_PASID, 4, (PASID_VALID | 0xfffff) >>> 0);
  fn.writeBar(2, STATE_OFFSET + 4, 4, 513);
  expect([fn.readBar(2, STATE_OFFSET, 2), fn.readBar(2, STATE_OFFSET + 4, 2)]).toEqual([0, 513]);
  fn.reset();
  expect([fn.readBar(2, STATE_OFFSET + 4, 2), fn.readBar(0, REG_PASID, 4)]).toEqual([0, 0]);
  fn.remove();
  expect(fn.adis[0]!.port).toBe(null);
});

it('lets interfaces follow one that follows none, and be by themselves again', () => {
  const { fn } = functionOf(3);
  const lead = (follower: number, leader: number | null): void => void fn.writeBar(0, REG_LEADER + 4 * follower, 4, leader === null ? 0 : (LEADER_VALID | leader) >>> 0);
  const leaders = (): number[] => [0, 1, 2].map((n) => fn.readBar(0, REG_LEADER + 4 * n, 4) & ~LEADER_VALID);
  lead(1, 0);
  const two = fn.readBar(0, REG_LEADER + 4, 4);
  for (const [follower, leader] of [[0, 0], [0, 2], [2, 1], [2, 3], [3, 0]] as const) lead(follower, leader); // itself, a leader, a follower, nobody
  expect([two, leaders(), fn.adis.map((adi) => adi.leader?.index ?? null)]).toEqual([LEADER_VALID, [0, 0, 0], [null, 0, null]]);
  lead(2, 0);
  expect(fn.adis[2]!.leader).toBe(fn.adis[0]);
  lead(1, null);
  lead(1, 2);
  expect(fn.adis.map((adi) => adi.leader?.index ?? null)).toEqual([null, null, 0]);
  fn.reset();
  expect(fn.adis.map((adi) => adi.leader)).toEqual([null, null, null]);
});
