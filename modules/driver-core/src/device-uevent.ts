/** Uevents of devices, and their `uevent` file. Mirrors `dev_uevent*` in `drivers/base/core.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { AttributeOps } from '@vdpalab/fs';
import { ERRNO } from '@vdpalab/uapi';
import type { Device, Uevent } from './header.ts';
import { KERN } from './kernel.ts';
import { devPrintk } from './printk.ts';
import { devpath } from './state.ts';
import type { Core } from './state.ts';
import { synthUevent } from './uevent.ts';

/** Mode of a /dev node when nobody says otherwise; then it is not announced either. */
export const DEVNODE_MODE = 0o600;

/** Name below /dev of a device with a device number. */
export function devnodeName(dev: Device): string {
  return dev.devnode?.name ?? dev.name.replaceAll('!', '/');
}

/** Bus, else class: a device in neither sends no uevents. */
function subsystem(dev: Device): string | null {
  return dev.bus?.name ?? dev.class?.name ?? null;
}

/** Lines a device adds to its uevents. */
function keys(dev: Device): string[] {
  const lines: string[] = [];
  if (dev.devt !== null) {
    lines.push(`MAJOR=${dev.devt.major}`, `MINOR=${dev.devt.minor}`, `DEVNAME=${devnodeName(dev)}`);
    const mode = dev.devnode?.mode ?? 0;
    if (mode !== 0 && mode !== DEVNODE_MODE) lines.push(`DEVMODE=0${(mode & 0o777).toString(8)}`);
  }
  if (dev.driver !== null) lines.push(`DRIVER=${dev.driver.name}`);
  lines.push(...(dev.bus?.uevent?.(dev) ?? []), ...(dev.class?.dev_uevent?.(dev) ?? []), ...(dev.uevent?.(dev) ?? []));
  return lines;
}

/** Send a uevent of a device, unless it belongs to no subsystem or is not in sysfs. */
export function deviceUevent(core: Core, dev: Device, action: Uevent['action'], env: readonly string[] = []): Atomic {
  const name = subsystem(dev);
  if (name === null || dev.sd === null) return;
  return core.uevents.send(devpath(core, dev.sd), name, action, env, keys(dev));
}

/** The `uevent` file: shows the device's lines, takes an action word. */
export function deviceUeventFile(core: Core, dev: Device): AttributeOps {
  return {
    show: async () => (subsystem(dev) === null ? '' : keys(dev).map((line) => `${line}\n`).join('')),
    store: async (text) => {
      try {
        synthUevent(core.k, dev.sd === null ? dev.name : devpath(core, dev.sd), text, (action, env) => deviceUevent(core, dev, action, env));
      } catch (error) {
        if (isKernelError(error)) {
          devPrintk(core.k, KERN.err, dev, `uevent: failed to send synthetic uevent: ${-ERRNO[error.errno]}`);
        }
        throw error;
      }
    },
  };
}
