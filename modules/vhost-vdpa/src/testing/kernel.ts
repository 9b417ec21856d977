/** A kernel with vhost_vdpa, a fake parent and whoever uses them, for the tests of this package. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, FAKE_PARENT, fakeParent, VdpaTool, VhostFile } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, FakeDevice, FakeParent, FakeParentOptions } from '@vdpalab/testing';
import type {} from '@vdpalab/vdpa-core';

/** All that is needed below vhost_vdpa, in the order of loading. */
export const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vhost-iotlb', 'irqbypass', 'vdpa-core', 'vhost'] as const;

/** A booted kernel, with a parent loaded. */
export interface VhostKernel extends BootedKernel {
  readonly parent: FakeParent;
  /** Log lines since the last call, with their level: `4: text`. */
  readonly dmesg: () => string[];
  /** Unload the parent, and see what is left of everything. */
  readonly gone: () => Promise<string[]>;
  /** Run as a process that has a device `vdpa0` with vhost_vdpa on it and its file open; all is taken away afterwards. */
  readonly withFile: <T>(body: (f: VhostFile<Process>, proc: Process, device: FakeDevice) => Promise<T>) => Promise<T>;
}

/** Boot, with vhost_vdpa and a fake parent loaded. */
export async function bootVhost(options: FakeParentOptions = {}, boot: BootOptions = {}): Promise<VhostKernel> {
  const kernel = await bootBuiltins([...BELOW, 'vhost-vdpa'], boot);
  const parent = fakeParent(options);
  await kernel.run(() => kernel.insmod(parent.module));
  const { k } = kernel;
  kernel.log.splice(0);
  return {
    ...kernel,
    parent,
    gone: async () => {
      await kernel.run(() => kernel.rmmod(FAKE_PARENT));
      return kernel.leftovers();
    },
    dmesg: () => kernel.log.splice(0).map((line) => `${line.level}: ${line.text}`),
    withFile: (body) => kernel.user(async (proc) => {
      const tool = await VdpaTool.open(k, proc);
      const added = await tool.add('vdpa0', parent.handle);
      if (added !== 'ok') throw new Error(`vdpa dev add: ${added}`);
      try {
        const file = await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
        try {
          return await body(file, proc, theDevice(parent));
        } finally {
          await file.close();
        }
      } finally {
        await tool.del('vdpa0');
      }
    }),
  };
}

/** The one device of a parent. */
export function theDevice(parent: FakeParent): FakeDevice {
  const [device, ...others] = parent.devices.values();
  if (device === undefined || others.length > 0) throw new Error(`the parent has ${parent.devices.size} devices`);
  return device;
}

/** Eventfds of a process, by descriptor. */
export async function eventfdCount(k: KernelSymbols, proc: Process, fd: number): Promise<bigint> {
  const ctx = k.eventfd_ctx_fdget(proc, fd);
  const { count } = ctx;
  k.eventfd_ctx_put(ctx);
  return count;
}
