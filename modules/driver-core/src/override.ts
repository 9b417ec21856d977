/** `driver_override`. Mirrors `drivers/base/driver.c driver_set_override` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Attribute, Device } from './header.ts';

/** PAGE_SIZE less what show adds: the newline. */
const OVERRIDE_MAX = 4095;

/**
 * Set the name of the only driver that may take the device.
 *
 * @param text as written: up to the first newline it is the name; nothing before it clears
 * @throws EINVAL for 4095 characters or more
 */
export function driverSetOverride(dev: Device, text: string): Atomic {
  if (text.length >= OVERRIDE_MAX) {
    throw new KernelError('EINVAL', 'driver.override.length', `${dev.name}: driver_override of ${text.length} bytes, at most ${OVERRIDE_MAX - 1}`);
  }
  const [name = ''] = text.split(/[\0\n]/, 1);
  dev.driver_override = name === '' ? null : name;
}

/** The attribute of devices on buses that let the core handle it. */
export const overrideAttribute: Attribute<Device> = {
  name: 'driver_override',
  mode: 0o644,
  show: async (dev) => `${dev.driver_override ?? '(null)'}\n`,
  store: async (dev, text) => driverSetOverride(dev, text),
};
