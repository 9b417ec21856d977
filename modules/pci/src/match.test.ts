import { describe, expect, it } from 'vitest';
import type { PciDeviceId } from './header.ts';
import { matchDevice, matchOneDevice, pciDeviceIdAny } from './match.ts';
import { parseNewId, removesId } from './new-id.ts';

const n3000 = { vendor: 0x1af4, device: 0x1041, subsystem_vendor: 0x8086, subsystem_device: 0x1a, class: 0x020000 };
const id: PciDeviceId = { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a, class: 0, class_mask: 0 };
const drv = { name: 'ifcvf', id_table: [id], dynids: [] };

describe('an id', () => {
  it('takes the function whose four ids it names', () => {
    expect(matchOneDevice(id, n3000)).toBe(true);
    expect(matchOneDevice(id, { ...n3000, subsystem_device: 0x1b })).toBe(false);
  });

  it('takes anything where it names nothing', () => {
    expect(matchOneDevice(pciDeviceIdAny, n3000)).toBe(true);
    expect(matchOneDevice({ ...id, subvendor: null, subdevice: null }, { ...n3000, subsystem_vendor: 1 })).toBe(true);
  });

  it('compares the class under its mask', () => {
    const net = { ...pciDeviceIdAny, class: 0x020000, class_mask: 0xff0000 };
    expect(matchOneDevice(net, { ...n3000, class: 0x028000 })).toBe(true);
    expect(matchOneDevice(net, { ...n3000, class: 0x018000 })).toBe(false);
  });
});

describe('a driver', () => {
  it('takes a function by its table, and by ids added later first', () => {
    const dynid = { ...id, subdevice: null };
    expect(matchDevice(drv, n3000, null)).toBe(id);
    expect(matchDevice({ ...drv, dynids: [dynid] }, n3000, null)).toBe(dynid);
    expect(matchDevice({ ...drv, id_table: [] }, n3000, null)).toBeNull();
  });

  it('takes what driver_override gives it, whatever its table says, and nothing that is given to another', () => {
    expect(matchDevice({ ...drv, id_table: [] }, n3000, 'ifcvf')).toBe(pciDeviceIdAny);
    expect(matchDevice(drv, n3000, 'ifcvf')).toBe(id);
    expect(matchDevice(drv, n3000, 'vfio-pci')).toBeNull();
  });

  it('takes by an id for driver_override only what is overridden', () => {
    const vfio = { name: 'vfio-pci', id_table: [{ ...pciDeviceIdAny, override_only: true }], dynids: [] };
    expect(matchDevice(vfio, n3000, null)).toBeNull();
    expect(matchDevice(vfio, n3000, 'vfio-pci')).toBe(vfio.id_table[0]);
  });

  it('does not look beyond the first id of its table that may not be used', () => {
    const vfio = { name: 'vfio-pci', id_table: [{ ...id, override_only: true }, id], dynids: [] };
    expect(matchDevice(vfio, n3000, null)).toBe(id);
  });
});

describe('new_id text', () => {
  it('has two to seven hexadecimal fields', () => {
    expect(parseNewId('1af4 1041\n')).toEqual({
      fields: 2, driver_data: 0,
      id: { vendor: 0x1af4, device: 0x1041, subvendor: null, subdevice: null, class: 0, class_mask: 0 },
    });
    expect(parseNewId('0x1af4 0x1041 8086 1a 020000 ffff00 7')).toEqual({
      fields: 7, driver_data: 7,
      id: { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a, class: 0x020000, class_mask: 0xffff00 },
    });
  });

  it('stops at what is no number', () => {
    expect(parseNewId('junk').fields).toBe(0);
    expect(parseNewId('').fields).toBe(0);
    expect(parseNewId('1af4').fields).toBe(1);
    expect(parseNewId('1af4 zz 1').fields).toBe(1);
  });

  it('of all ones means any', () => {
    expect(parseNewId('1af4 ffffffff').id.device).toBeNull();
  });
});

describe('remove_id', () => {
  it('means the ids that agree where it says something', () => {
    const added = parseNewId('1af4 1041 8086 1a').id;
    expect(removesId(parseNewId('1af4 1041').id, added)).toBe(true);
    expect(removesId(parseNewId('1af4 1041 8086 1a').id, added)).toBe(true);
    expect(removesId(parseNewId('1af4 1041 8086 1b').id, added)).toBe(false);
    expect(removesId(parseNewId('1af4 1042').id, added)).toBe(false);
  });
});

describe('ids of the three IFCVF functions', () => {
  it('are told apart from a plain virtio function', () => {
    const table: PciDeviceId[] = [
      id,
      { ...id, device: 0x1000, subdevice: 0x0001 },
      { ...id, device: 0x1001, subdevice: 0x0002 },
    ];
    const ifcvf = { name: 'ifcvf', id_table: table, dynids: [] };
    expect(matchDevice(ifcvf, n3000, null)).toBe(table[0]);
    expect(matchDevice(ifcvf, { ...n3000, device: 0x1000, subsystem_device: 1 }, null)).toBe(table[1]);
    expect(matchDevice(ifcvf, { ...n3000, device: 0x1001, subsystem_device: 2 }, null)).toBe(table[2]);
    expect(matchDevice(ifcvf, { ...n3000, subsystem_vendor: 0x1af4, subsystem_device: 0x1100 }, null)).toBeNull();
  });
});
