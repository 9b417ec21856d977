import { describe, expect, it } from 'vitest';
import { pciAlias, pciModalias } from './pci-alias.ts';

const ifcvf = { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a, class: 0, class_mask: 0 };

describe('PCI alias', () => {
  it('of an id is what modinfo shows of ifcvf', () => {
    expect(pciAlias(ifcvf)).toBe('pci:v00001AF4d00001041sv00008086sd0000001Abc*sc*i*');
  });

  it('leaves a star where anything matches', () => {
    const any = { ...ifcvf, device: null, subvendor: null, subdevice: null, class: 0x020000, class_mask: 0xffff00 };
    expect(pciAlias(any)).toBe('pci:v00001AF4d*sv*sd*bc02sc00i*');
  });

  it('of an id for driver_override only has another prefix', () => {
    expect(pciAlias({ ...ifcvf, vendor: null, device: null, subvendor: null, subdevice: null, override_only: true }))
      .toBe('vfio_pci:v*d*sv*sd*bc*sc*i*');
  });

  it('of a device names every field', () => {
    const dev = { vendor: 0x1af4, device: 0x1041, subsystem_vendor: 0x8086, subsystem_device: 0x1a, class: 0x020000 };
    expect(pciModalias(dev)).toBe('pci:v00001AF4d00001041sv00008086sd0000001Abc02sc00i00');
  });
});
