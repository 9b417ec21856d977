/** One function and its virtio device. Mirrors `virtio_pci_probe` and `virtio_pci_remove` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { PciDev, PciSymbols } from '@vdpalab/pci';
import { VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_SR_IOV } from '@vdpalab/uapi';
import type { VirtioConfigOps, VirtioSymbols } from '@vdpalab/virtio';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import type { Access } from './access.ts';
import { legacyAccess } from './legacy.ts';
import type { LegacySymbols } from './legacy.ts';
import { modernAccess } from './modern.ts';
import type { ModernSymbols } from './modern.ts';
import { VpQueues } from './queues.ts';
import type { QueueSymbols } from './queues.ts';

/** What a function takes. */
export type DeviceSymbols =
  & ModernSymbols & LegacySymbols & QueueSymbols
  & Pick<PciSymbols,
    | 'pci_enable_device' | 'pci_disable_device' | 'pci_set_master' | 'pci_name' | 'pci_device_is_present' | 'pci_vfs_assigned'
    | 'pci_enable_sriov' | 'pci_disable_sriov'>
  & Pick<VirtioSymbols, 'register_virtio_device' | 'unregister_virtio_device' | 'virtio_break_device'>;

/** `struct virtio_pci_device` */
export interface VirtioPciDevice {
  readonly access: Access;
  readonly vdev: VirtioDevice;
}

/** The body, or the other one when it is refused for one of these reasons. */
function either(first: () => Access, second: () => Access, reasons: readonly string[]): Access {
  try {
    return first();
  } catch (error) {
    if (!isKernelError(error) || !reasons.includes(error.errno)) throw error;
    return second();
  }
}

/** Modern where it can be, unless told otherwise. @throws ENODEV when it is neither */
function takeFunction(k: DeviceSymbols, pdev: PciDev, forceLegacy: boolean): Access {
  const modern = (): Access => modernAccess(k, pdev);
  const legacy = (): Access => legacyAccess(k, pdev);
  // Without I/O ports BAR 0 cannot be mapped: then the modern interface is worth a try.
  return forceLegacy ? either(legacy, modern, ['ENODEV', 'ENOMEM']) : either(modern, legacy, ['ENODEV']);
}

function configOps(k: DeviceSymbols, pdev: PciDev, access: Access): VirtioConfigOps {
  const queues = new VpQueues(k, pdev, access);
  return {
    ...access.config,
    find_vqs: (vdev, requests) => queues.find(vdev, requests),
    del_vqs: () => queues.delete(),
    bus_name: () => k.pci_name(pdev),
  };
}

/**
 * Take a function, and make its virtio device.
 *
 * @throws ENODEV for what is no virtio function; EINVAL ENOMEM EBUSY; nothing is held then
 */
export async function probe(k: DeviceSymbols, pdev: PciDev, forceLegacy: boolean): Promise<VirtioPciDevice> {
  k.pci_enable_device(pdev);
  let access: Access | null = null;
  try {
    access = takeFunction(k, pdev, forceLegacy);
    k.pci_set_master(pdev);
    const vdev = await k.register_virtio_device({
      parent: pdev.dev, id: access.id, config: configOps(k, pdev, access), transport: pdev, release: () => undefined,
    });
    return { access, vdev };
  } catch (error) {
    access?.remove();
    k.pci_disable_device(pdev);
    throw error;
  }
}

/** Let a function go; one that no longer answers has its queues broken first, so that nobody waits for it. */
export async function remove(k: DeviceSymbols, pdev: PciDev, { access, vdev }: VirtioPciDevice): Promise<void> {
  if (!k.pci_device_is_present(pdev)) k.virtio_break_device(vdev);
  await k.pci_disable_sriov(pdev);
  await k.unregister_virtio_device(vdev);
  access.remove();
  k.pci_disable_device(pdev);
}

/**
 * `virtio_pci_sriov_configure`
 *
 * @returns functions enabled
 * @throws EBUSY before the driver runs; EINVAL without VIRTIO_F_SR_IOV; EPERM while virtual functions are assigned
 */
export async function sriovConfigure(k: DeviceSymbols, pdev: PciDev, { vdev }: VirtioPciDevice, count: number): Promise<number> {
  const name = k.pci_name(pdev);
  const status = await vdev.config.get_status(vdev);
  if ((status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) {
    throw new KernelError('EBUSY', 'virtio_pci.sriov.status', `${name}: status ${status} without DRIVER_OK`);
  }
  if (!k.virtio_has_feature(vdev, VIRTIO_F_SR_IOV)) throw new KernelError('EINVAL', 'virtio_pci.sriov.feature', `${name}: no VIRTIO_F_SR_IOV`);
  const assigned = k.pci_vfs_assigned(pdev);
  if (assigned > 0) throw new KernelError('EPERM', 'virtio_pci.sriov.assigned', `${name}: ${assigned} virtual functions are assigned`);
  if (count === 0) await k.pci_disable_sriov(pdev);
  else await k.pci_enable_sriov(pdev, count);
  return count;
}
