/** A virtio driver that finds its queues, kicks the first, and lets go: what a transport is put through. */
import { isKernelError } from '@vdpalab/abi';
import type { ThisModule } from '@vdpalab/abi';
import type { Loadable } from '../kernel/boot.ts';

/** Symbols as the driver calls them; their full types are in headers above this package. */
interface VirtioKernel {
  readonly register_virtio_driver: (drv: object) => Promise<void>;
  readonly unregister_virtio_driver: (drv: object) => Promise<void>;
  readonly virtio_find_vqs: (vdev: object, vqs: readonly object[]) => Promise<(object | null)[]>;
  readonly virtio_del_vqs: (vdev: object) => Promise<void>;
  readonly virtio_reset_device: (vdev: object) => Promise<void>;
  readonly virtio_device_ready: (vdev: object) => Promise<void>;
  readonly virtqueue_notify: (vq: object) => boolean;
}

/** Make one. @param id virtio id; @param queues how many it asks for */
export function toyVirtioDriver(id: number, queues: number): Loadable {
  async function module_init(k: VirtioKernel, { THIS_MODULE }: ThisModule): Promise<object> {
    const driver = {
      name: 'virtio_toy',
      owner: THIS_MODULE,
      id_table: [{ device: id, vendor: null }],
      feature_table: [],
      async probe(vdev: object): Promise<void> {
        const requests = Array.from({ length: queues }, (_, q) => ({ name: `toy${q}`, callback: (): undefined => undefined }));
        const [first] = await k.virtio_find_vqs(vdev, requests);
        try {
          await k.virtio_device_ready(vdev);
        } catch (error) {
          await k.virtio_del_vqs(vdev);
          throw error;
        }
        if (first !== undefined && first !== null) k.virtqueue_notify(first);
      },
      async remove(vdev: object): Promise<void> {
        for (const step of [k.virtio_reset_device, k.virtio_del_vqs]) { // remove cannot fail
          try {
            await step(vdev);
          } catch (error) {
            if (!isKernelError(error)) throw error;
          }
        }
      },
    };
    await k.register_virtio_driver(driver);
    return { ksymtab: {}, module_exit: () => k.unregister_virtio_driver(driver) };
  }

  return {
    name: 'virtio_toy', license: 'GPL v2', description: 'virtio driver for tests', author: undefined, version: undefined, builtin: false,
    alias: [], softdep: [], params: {}, weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {},
    imports: [
      'register_virtio_driver', 'unregister_virtio_driver', 'virtio_find_vqs', 'virtio_del_vqs', 'virtio_reset_device',
      'virtio_device_ready', 'virtqueue_notify',
    ],
    module_init,
  };
}
