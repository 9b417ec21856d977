/** `dev_err` and friends. Mirrors `drivers/base/core.c __dev_printk` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from './header.ts';
import type { Kernel } from './kernel.ts';

/** Who looks after a device: its driver, else its bus, else its class. */
export function devDriverString(dev: Device): string {
  return dev.driver?.name ?? dev.bus?.name ?? dev.class?.name ?? '';
}

/** Write a line about a device: "ifcvf 0000:07:00.2: text". */
export function devPrintk(k: Pick<Kernel, '_printk'>, level: number, dev: Device, text: string): Atomic {
  return k._printk(level, `${devDriverString(dev)} ${dev.name}: ${text}`);
}
