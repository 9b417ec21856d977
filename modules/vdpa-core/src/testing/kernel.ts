/** A kernel with the vDPA bus, a fake parent and a user with the vdpa tool, for the tests of this package. */
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, FAKE_PARENT, fakeParent, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, FakeParent, FakeParentOptions } from '@vdpalab/testing';
import type { BusType, Device } from '@vdpalab/driver-core';
import type { KModule } from '@vdpalab/abi';
import type { VdpaDevice, VdpaDriver } from '../header.ts';

/** A booted kernel, with a parent loaded. */
export interface VdpaKernel extends BootedKernel {
  readonly parent: FakeParent;
  readonly bus: BusType;
  /** Log lines since the last call, with their level: `4: text`. */
  readonly dmesg: () => string[];
  /** Run as root, or as somebody else, with a socket of the family. */
  readonly tool: <T>(body: (tool: VdpaTool<Process>, proc: Process) => Promise<T>, as?: { caps: readonly number[] }) => Promise<T>;
  /** Unload the parent, and see what is left of everything. */
  readonly gone: () => Promise<string[]>;
}

/** Boot. */
export async function bootVdpa(options: FakeParentOptions = {}, boot: BootOptions = {}): Promise<VdpaKernel> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vhost-iotlb', 'vdpa-core'], boot);
  const { k } = kernel;
  const parent = fakeParent(options);
  await kernel.run(() => kernel.insmod(parent.module));
  kernel.log.splice(0);
  const bus = k.find_bus('vdpa');
  if (bus === null) throw new Error('no bus vdpa');
  return {
    ...kernel,
    parent, bus,
    dmesg: () => kernel.log.splice(0).map((line) => `${line.level}: ${line.text}`),
    tool: (body, as) => kernel.user(async (proc) => body(await VdpaTool.open(k, proc), proc), as),
    gone: async () => {
      await kernel.run(() => kernel.rmmod(FAKE_PARENT));
      return kernel.leftovers();
    },
  };
}

const OWNER: KModule = { name: 'toy', state: 'live' };

/** A bus driver that notes what it is asked. */
export function toyDriver(name: string, log: string[], more: Partial<VdpaDriver> = {}): VdpaDriver {
  return {
    name, owner: OWNER, model: 'vhost',
    probe: async (vdev: VdpaDevice) => void log.push(`${name} probe ${vdev.dev.name}`),
    remove: async (vdev: VdpaDevice) => void log.push(`${name} remove ${vdev.dev.name}`),
    ...more,
  };
}

/** A plain device to be a parent or to do DMA. */
export async function plainDevice(kernel: BootedKernel, name: string): Promise<Device> {
  const dev = kernel.k.device_initialize({ name });
  await kernel.k.device_add(dev);
  return dev;
}
