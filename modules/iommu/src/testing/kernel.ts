/** A machine with an IOMMU, its kernel up to this module, and devices that DMA. */
import type { LogLine } from '@vdpalab/abi';
import type { Device, DeviceInit } from '@vdpalab/driver-core';
import { createMachine } from '@vdpalab/machine';
import type { HwMachine, MachineOptions } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import type {} from '../header.ts';

/** A booted kernel, its machine and what was seen of it. */
export interface IommuKernel extends BootedKernel {
  readonly hw: HwMachine;
  /** Log lines since the last call. */
  readonly dmesg: () => string[];
  /** Add a device that DMAs as `rid`. */
  readonly device: (name: string, rid: number, peer?: Device | null, pasid?: number, init?: Partial<DeviceInit>) => Promise<Device>;
  /** Take it away again. */
  readonly remove: (dev: Device) => Promise<void>;
}

/** Boot. */
export async function bootIommu(
  machine: Partial<MachineOptions> = {}, options: Pick<BootOptions, 'wrap'> = {},
): Promise<IommuKernel> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0',
    consoleSink: (line): undefined => void log.push(line), ...machine,
  });
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu'], { machine: hw.machine, ...options });
  const { k } = kernel;
  return {
    ...kernel, hw,
    dmesg: () => log.splice(0).map(({ text }) => text),
    device: (name, rid, peer = null, pasid, init = {}) => kernel.run(async () => {
      const dev = k.device_initialize({ name, ...init });
      await k.device_add(dev);
      try {
        k.iommu_probe_device(dev, rid, peer, pasid);
      } catch (error) {
        await k.device_unregister(dev);
        throw error;
      }
      return dev;
    }),
    remove: (dev) => kernel.run(async () => {
      k.iommu_release_device(dev);
      await k.device_unregister(dev);
    }),
  };
}
