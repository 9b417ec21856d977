/** A transport that remembers what it is asked, and a kernel with the virtio bus, for the tests of this package. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import type { VirtioConfigOps, VirtioDriver } from '../header.ts';

/** A device of no hardware. */
export interface FakeDevice {
  /** What was called, in order: `set_status 1`. */
  readonly log: string[];
  status: number;
  /** What the device offers. */
  offered: bigint;
  /** Status bits the device refuses. */
  refuses: number;
  /** Calls that throw. */
  readonly failing: Set<string>;
  readonly config: VirtioConfigOps;
}

export function fakeDevice(offered: bigint): FakeDevice {
  const note = (call: string, args = ''): Atomic => {
    device.log.push(args === '' ? call : `${call} ${args}`);
    if (device.failing.has(call)) throw new KernelError('EIO', 'test.injected', `${call} fails`);
    return undefined;
  };
  const device: FakeDevice = {
    log: [], status: 0, offered, refuses: 0, failing: new Set(),
    config: {
      get: async () => new Uint8Array(0),
      set: async () => undefined,
      get_status: async () => device.status,
      async set_status(_, status) {
        note('set_status', `${status}`);
        device.status = status & ~device.refuses;
      },
      async reset() {
        note('reset');
        device.status = 0;
      },
      async find_vqs(vdev, requests) {
        note('find_vqs', requests.map((r) => r.name ?? '-').join());
        return requests.map(({ name }, index) => (name === null ? null : { name, index, vdev, broken: false } as unknown as Virtqueue));
      },
      del_vqs: async () => note('del_vqs'),
      async get_features() {
        note('get_features');
        return device.offered;
      },
      finalize_features: async (vdev) => note('finalize_features', `0x${vdev.features.toString(16)}`),
    },
  };
  return device;
}

/** Sched, driver core and the virtio bus. */
export function bootVirtio(options: BootOptions = {}): Promise<BootedKernel> {
  return bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'virtio-ring', 'virtio'], options);
}

/** Something to be a child of. */
export async function parentDevice(k: KernelSymbols): Promise<Device> {
  const parent = k.device_initialize({ name: 'parent' });
  await k.device_add(parent);
  return parent;
}

/** A driver that logs, with hooks. */
export function fakeDriver(log: string[], hooks: Partial<VirtioDriver> = {}): VirtioDriver {
  return {
    name: 'fake', owner: { name: 'fake', state: 'live' }, id_table: [{ device: 1, vendor: null }], feature_table: [],
    ...hooks,
    async probe(vdev: VirtioDevice) {
      log.push('probe');
      await hooks.probe?.(vdev);
    },
    async remove(vdev: VirtioDevice) {
      log.push('remove');
      await vdev.config.reset(vdev);
    },
  };
}
