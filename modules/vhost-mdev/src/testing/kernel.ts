/** A kernel with vhost_mdev, VFIO, an IOMMU and a fake parent, for the tests of this package. */
import type { LogLine } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { createMachine } from '@vdpalab/machine';
import { bootBuiltins, FAKE_PARENT, fakeParent, VdpaTool, VhostFile } from '@vdpalab/testing';
import type { BootedKernel, FakeDevice, FakeParent, FakeParentOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import type {} from '@vdpalab/vdpa-core';

/** All that is needed, in the order of loading. */
const MODULES = [
  'sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vhost-iotlb', 'vdpa-core', 'vhost', 'vfio', 'mdev-core', 'iommu-type1', 'vhost-mdev',
] as const;

/** A booted kernel, with a parent loaded. */
export interface MdevKernel extends BootedKernel {
  readonly parent: FakeParent;
  /** Texts of warnings and worse, since the last call. */
  readonly warnings: () => string[];
  /** Run with a device `vdpa0`. */
  readonly withDevice: <T>(body: (proc: Process, tool: VdpaTool<Process>) => Promise<T>) => Promise<T>;
  /** Unload the parent, and see what is left of everything. */
  readonly gone: () => Promise<string[]>;
}

/** Boot, on a machine with an IOMMU. */
export async function bootMdev(options: FakeParentOptions = {}): Promise<MdevKernel> {
  const lines: LogLine[] = [];
  const { machine } = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: (line) => void lines.push(line) });
  const kernel = await bootBuiltins(MODULES, { machine });
  const parent = fakeParent({ mapping: 'platform', ngroups: 1, nas: 1, bus: 'platform', ...options });
  await kernel.run(() => kernel.insmod(parent.module));
  const { k } = kernel;
  lines.splice(0);
  return {
    ...kernel,
    parent,
    warnings: () => lines.splice(0).filter(({ level }) => level <= 4).map(({ text }) => text),
    withDevice: (body) => kernel.user(async (proc) => {
      const tool = await VdpaTool.open(k, proc);
      const added = await tool.add('vdpa0', parent.handle);
      if (added !== 'ok') throw new Error(`vdpa dev add: ${added}`);
      try {
        return await body(proc, tool);
      } finally {
        await tool.del('vdpa0');
      }
    }),
    gone: async () => {
      await kernel.run(() => kernel.rmmod(FAKE_PARENT));
      return kernel.leftovers();
    },
  };
}

/** The one device of the parent. */
export function theDevice(parent: FakeParent): FakeDevice {
  const [device] = parent.devices.values();
  if (device === undefined) throw new Error('the parent has no device');
  return device;
}

/** A device that is open, with the group and the container it is in. */
export interface OpenDevice {
  readonly file: VhostFile<Process>;
  readonly close: () => Promise<void>;
}

/** Container, group, IOMMU, device. @throws KernelError what VFIO_GROUP_GET_DEVICE_FD throws; all is closed then */
export async function openDevice({ k }: MdevKernel, proc: Process, name = 'vdpa0'): Promise<OpenDevice> {
  const group = k.iommu_group_get(k.all_devices().find((dev) => dev.name === name) as never); // the test has made it
  const container = await VhostFile.open(k, proc, '/dev/vfio/vfio');
  const groupFile = await VhostFile.open(k, proc, `/dev/vfio/${group?.id}`);
  const close = async (): Promise<void> => {
    await groupFile.close();
    await container.close();
  };
  await groupFile.set(uapi.VFIO_GROUP_SET_CONTAINER, 4, container.fd);
  await container.raw(uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1v2_IOMMU);
  proc.mm.write(groupFile.scratch, Uint8Array.from(`${name}\0`, (c) => c.charCodeAt(0)));
  try {
    const file = await VhostFile.of(k, proc, await k.ksys_ioctl(proc, groupFile.fd, uapi.VFIO_GROUP_GET_DEVICE_FD, groupFile.scratch));
    return {
      file,
      async close() {
        await file.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
