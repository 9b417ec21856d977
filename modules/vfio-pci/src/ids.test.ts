import { KernelError } from '@vdpalab/abi';
import type { PciDeviceId, PciDriver } from '@vdpalab/pci';
import { expect, test } from 'vitest';
import { fillIds, parseId } from './ids.ts';

test('an id has at least two fields, in hexadecimal, and ends at what is no number', () => {
  expect(parseId('8086:1515')).toEqual([0x8086, 0x1515, 0xffff_ffff, 0xffff_ffff, 0, 0]);
  expect(parseId('0x1af4:1041:1af4:1:20000:ffffff')).toEqual([0x1af4, 0x1041, 0x1af4, 1, 0x2_0000, 0xff_ffff]);
  expect(parseId('8086:15zz:1')).toEqual([0x8086, 0x15, 0xffff_ffff, 0xffff_ffff, 0, 0]);
  expect([parseId('8086'), parseId(''), parseId('x:1')]).toEqual([null, null, null]);
});

test('each is told, with what went wrong', async () => {
  const log: string[] = [];
  const given: PciDeviceId[] = [];
  await fillIds({
    _printk: (level, text) => void log.push(`${level}: ${text}`) as undefined,
    pci_add_dynid: async (_, id) => {
      if (id.vendor === 1) throw new KernelError('EEXIST', 'test.twice', 'known');
      given.push(id);
    },
  }, {} as PciDriver, '8086:1515,,1:2,zz'); // the driver is only handed on
  expect(given).toEqual([{ vendor: 0x8086, device: 0x1515, subvendor: null, subdevice: null, class: 0, class_mask: 0 }]);
  expect(log).toEqual([
    '6: vfio_pci: add [8086:1515[ffffffff:ffffffff]] class 0x000000/00000000',
    '4: vfio_pci: failed to add dynamic id [0001:0002[ffffffff:ffffffff]] class 0x000000/00000000 (-17)', '4: vfio_pci: invalid id string "zz"',
  ]);
});
