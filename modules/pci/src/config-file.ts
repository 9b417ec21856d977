/** The sysfs file `config`. Mirrors `drivers/pci/pci-sysfs.c` (Linux 6.1), `pci_read_config`, `pci_write_config`. */
import type { BinAttribute, Device } from '@vdpalab/driver-core';
import { CAP_SYS_ADMIN, PCI_STD_HEADER_SIZEOF } from '@vdpalab/uapi';
import type { PciFunction } from './function.ts';
import type { PciWorld } from './world.ts';

/** Everybody reads the header, CAP_SYS_ADMIN all of it. */
export function configAttribute(world: PciWorld): BinAttribute<Device> {
  const of = (dev: Device): PciFunction => world.functions.of(dev);
  return {
    name: 'config', mode: 0o644,
    size: (dev) => of(dev).cfgSize,
    async read(dev, pos, len) {
      const fn = of(dev);
      const end = world.k.capable(CAP_SYS_ADMIN) ? fn.cfgSize : PCI_STD_HEADER_SIZEOF;
      const bytes = new Uint8Array(Math.max(0, Math.min(len, end - pos)));
      for (const { at, size } of cycles(pos, bytes.length)) {
        const value = fn.config.read(at, size);
        for (let i = 0; i < size; i++) bytes[at - pos + i] = value >>> (8 * i);
      }
      return bytes;
    },
    async write(dev, pos, bytes) {
      const fn = of(dev);
      const count = Math.max(0, Math.min(bytes.length, fn.cfgSize - pos));
      for (const { at, size } of cycles(pos, count)) {
        let value = 0;
        for (let i = 0; i < size; i++) value += bytes[at - pos + i]! * 2 ** (8 * i);
        fn.config.write(at, size, value);
      }
      return count;
    },
  };
}

/** The configuration cycles that cover a range: as wide as alignment lets them be. */
export function cycles(pos: number, count: number): { at: number; size: 1 | 2 | 4 }[] {
  const all: { at: number; size: 1 | 2 | 4 }[] = [];
  for (let at = pos; at < pos + count; at += all.at(-1)!.size) {
    const left = pos + count - at;
    if (at % 4 === 0 && left >= 4) all.push({ at, size: 4 });
    else if (at % 2 === 0 && left >= 2) all.push({ at, size: 2 });
    else all.push({ at, size: 1 });
  }
  return all;
}
