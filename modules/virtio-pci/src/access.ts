/** What the two interfaces of a function have in common. Mirrors `drivers/virtio/virtio_pci_common.h` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { VirtioConfigOps, VqRequest } from '@vdpalab/virtio';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';

/** A queue wanted: its name is given. */
export interface NamedRequest extends VqRequest {
  readonly name: string;
}

/** One function through its modern or its legacy interface. */
export interface Access {
  readonly legacy: boolean;
  readonly id: { readonly device: number; readonly vendor: number };
  /** Config ops that need no vectors. */
  readonly config: Omit<VirtioConfigOps, 'find_vqs' | 'del_vqs' | 'bus_name'>;
  /**
   * Make a queue and hand it to the device, not yet enabled.
   *
   * @param vector VIRTIO_MSI_NO_VECTOR for none
   * @throws ENOENT when the queue is absent or in use; EINVAL for a size that is no power of two; ENOMEM; EBUSY when the
   * device does not take the vector; nothing is left then
   */
  readonly setup_vq: (vdev: VirtioDevice, index: number, request: NamedRequest, vector: number) => Virtqueue;
  /** Queues that were set up may run. */
  readonly activate: (vqs: readonly Virtqueue[]) => Atomic;
  /** @param msix whether vectors were in use */
  readonly del_vq: (vq: Virtqueue, msix: boolean) => Atomic;
  /** @returns the vector the device took */
  readonly config_vector: (vector: number) => number;
  /** Reading clears it. */
  readonly isr: () => number;
  /** Unmap, and give the BARs back. */
  readonly remove: () => Atomic;
}
