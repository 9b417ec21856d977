/** Speed and width of a function's link, in sysfs. Mirrors `drivers/pci/{pci-sysfs,pci,probe}.c` (Linux 6.1). */
import type { Attribute, Device } from '@vdpalab/driver-core';
import { PCI_EXP_LNKCAP, PCI_EXP_LNKCAP2, PCI_EXP_LNKSTA } from '@vdpalab/uapi';
import type { PciFunction } from './function.ts';
import type { PciWorld } from './world.ts';

/** By the value of the speed field, and of the highest bit of the vector in LNKCAP2. */
const SPEEDS = ['Unknown', '2.5 GT/s PCIe', '5.0 GT/s PCIe', '8.0 GT/s PCIe', '16.0 GT/s PCIe', '32.0 GT/s PCIe', '64.0 GT/s PCIe'];
const SPEED = 0x0f;
const WIDTH = 0x3f;
const WIDTH_SHIFT = 4;

/** Shown for PCI Express functions. */
export function linkAttributes({ functions }: Pick<PciWorld, 'functions'>): Attribute<Device>[] {
  const text = (name: string, show: (fn: PciFunction) => string): Attribute<Device> => ({
    name, mode: 0o444,
    is_visible: (dev) => functions.of(dev).pcieCap !== 0,
    show: async (dev) => `${show(functions.of(dev))}\n`,
  });
  return [
    text('current_link_speed', ({ config, pcieCap }) => SPEEDS[config.read(pcieCap + PCI_EXP_LNKSTA, 2) & SPEED] ?? 'Unknown'),
    text('current_link_width', ({ config, pcieCap }) => String((config.read(pcieCap + PCI_EXP_LNKSTA, 2) >> WIDTH_SHIFT) & WIDTH)),
    text('max_link_speed', (fn) => SPEEDS[highestSpeed(fn)] ?? 'Unknown'),
    text('max_link_width', ({ config, pcieCap }) => String((config.read(pcieCap + PCI_EXP_LNKCAP, 4) >>> WIDTH_SHIFT) & WIDTH)),
  ];
}

/** @see `pcie_get_speed_cap` */
function highestSpeed({ config, pcieCap }: PciFunction): number {
  const vector = (config.read(pcieCap + PCI_EXP_LNKCAP2, 4) >>> 1) & 0x7f;
  return vector === 0 ? config.read(pcieCap + PCI_EXP_LNKCAP, 4) & SPEED : 32 - Math.clz32(vector);
}
