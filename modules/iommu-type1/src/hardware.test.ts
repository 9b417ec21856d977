/** A function that VFIO takes, behind an IOMMU that cannot do all it should; and the backend asked for what VFIO never asks. */
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/iommu';
import { mirrorMachine } from '@vdpalab/machine';
import { bootBuiltins, covers, echo, errnoOf, errnoOfSync } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { VFIO_SPAPR_TCE_IOMMU, VFIO_TYPE1v2_IOMMU } from '@vdpalab/uapi';
import type { VfioIommuDriverOps } from '@vdpalab/vfio';
import { expect, test } from 'vitest';
import type1 from './module.ts';
import { Client } from './testing/kernel.ts';

const BDF = '0000:07:00.0';
const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'irqbypass', 'vfio', 'vfio-virqfd', 'vfio-pci-core', 'vfio-pci'];

/** A kernel with vfio-pci and this module, whose IOMMU lacks a capability; the backend as it registered itself. */
async function bootWithout(capability: string | null, params: Record<string, unknown> = {}): Promise<{ kernel: BootedKernel; backend: VfioIommuDriverOps }> {
  const registered: VfioIommuDriverOps[] = [];
  const kernel = await bootBuiltins(BELOW, {
    machine: mirrorMachine(1, { at: '07:00.0', model: 'virtio-net', queue_pairs: 1, queue_size: 256, mtu: 1500, link: 'sw0' }),
    wrap(symbol, value) {
      const call = value as (...args: unknown[]) => unknown;
      if (symbol === 'device_iommu_capable') return (dev: unknown, cap: string) => cap !== capability && call(dev, cap);
      if (symbol !== 'vfio_register_iommu_driver') return value;
      return (ops: VfioIommuDriverOps) => {
        registered.push(ops);
        return call(ops);
      };
    },
  });
  await kernel.run(() => kernel.insmod(type1, params));
  return { kernel, backend: registered.at(-1)! }; // its init has registered it
}

/** Have vfio-pci take the function. */
const bind = ({ k, user }: BootedKernel): Promise<string> => user((proc) => errnoOf(async () => {
  await echo(k, proc, `/sys/bus/pci/devices/${BDF}/driver_override`, 'vfio-pci');
  await echo(k, proc, '/sys/bus/pci/drivers/vfio-pci/bind', BDF);
}));

const groupOf = ({ k }: BootedKernel): number => k.iommu_groups().find(({ devices }) => devices.some(({ name }) => name === BDF))?.id ?? -1;

test.each([[{}, 'EPERM'], [{ allow_unsafe_interrupts: true }, 'ok']])('a function that could send any interrupt is given to user space only when the parameter says so: %o', async (params, answer) => {
  covers('2.12.13');
  const { kernel } = await bootWithout('IOMMU_CAP_INTR_REMAP', params);
  expect(await bind(kernel)).toBe('ok');
  const before = kernel.leftovers();
  await kernel.user(async (proc) => {
    const c = await Client.open(kernel.k, proc);
    await c.join(groupOf(kernel));
    expect(await errnoOf(() => c.setIommu())).toBe(answer);
    await c.close();
  });
  expect(kernel.leftovers()).toEqual(before);
});

test('a function whose DMA leaves caches behind is none for VFIO', async () => {
  const { kernel } = await bootWithout('IOMMU_CAP_CACHE_COHERENCY');
  const before = kernel.leftovers();
  expect(await bind(kernel)).toBe('EINVAL');
  expect(kernel.leftovers()).toEqual(before);
});

test('a container takes a group once, of the types it knows, and has a domain only with hardware', async () => {
  const { kernel, backend } = await bootWithout(null);
  expect(await errnoOf(() => backend.open(VFIO_SPAPR_TCE_IOMMU))).toBe('EINVAL');
  await kernel.run(async () => {
    const data = await backend.open(VFIO_TYPE1v2_IOMMU);
    const group = kernel.k.iommu_group_alloc('toy');
    await backend.attach_group(data, group, 'VFIO_EMULATED_IOMMU');
    expect(await errnoOf(() => backend.attach_group(data, group, 'VFIO_EMULATED_IOMMU'))).toBe('EINVAL');
    expect(errnoOfSync(() => backend.group_iommu_domain?.(data, group))).toBe('ENODEV');
    await backend.detach_group(data, group);
    await backend.release(data);
    kernel.k.iommu_group_put(group);
  });
});
