/**
 * The `power` directory of a device. Mirrors `drivers/base/power/sysfs.c` (Linux 6.1) for devices without runtime power
 * management, which all devices here are: nothing is ever suspended.
 */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, AttributeGroup, Device } from './header.ts';
import { sysfs_streq } from './streq.ts';

/** The group of one device. */
export function powerGroup(): AttributeGroup<Device> {
  let async = false;
  let auto = true;
  const constant = (name: string, value: string): Attribute<Device> => ({ name, mode: 0o444, show: async () => `${value}\n` });

  async function noAutosuspend(dev: Device): Promise<never> {
    throw new KernelError('EIO', 'pm.autosuspend.unused', `${dev.name}: autosuspend is not used`);
  }

  function oneOf(dev: Device, file: string, text: string, yes: string, no: string): boolean {
    if (sysfs_streq(text, yes)) return true;
    if (sysfs_streq(text, no)) return false;
    throw new KernelError('EINVAL', `pm.${file}.word`, `${dev.name}: "${text}" is neither ${yes} nor ${no}`);
  }

  return {
    name: 'power',
    attrs: [
      {
        name: 'async', mode: 0o644,
        show: async () => (async ? 'enabled\n' : 'disabled\n'),
        store: async (dev, text) => {
          async = oneOf(dev, 'async', text, 'enabled', 'disabled');
        },
      },
      { name: 'autosuspend_delay_ms', mode: 0o644, show: noAutosuspend, store: noAutosuspend },
      {
        name: 'control', mode: 0o644,
        show: async () => (auto ? 'auto\n' : 'on\n'),
        store: async (dev, text) => {
          auto = oneOf(dev, 'control', text, 'auto', 'on');
        },
      },
      constant('runtime_active_kids', '0'),
      constant('runtime_active_time', '0'),
      { name: 'runtime_enabled', mode: 0o444, show: async () => (auto ? 'disabled\n' : 'disabled & forbidden\n') },
      constant('runtime_status', 'unsupported'),
      constant('runtime_suspended_time', '0'),
      { name: 'runtime_usage', mode: 0o444, show: async () => (auto ? '0\n' : '1\n') },
    ],
  };
}
