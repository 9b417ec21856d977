/** The driver takes a function, and gives it up. Mirrors `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { BusNotifier } from '@vdpalab/driver-core';
import type { PciDev } from '@vdpalab/pci';
import { PCI_EXT_CAP_ID_SRIOV } from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { refuse } from './refuse.ts';

const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** @throws EINVAL for a bridge; EBUSY for a physical function with virtual ones on @see `vfio_pci_core_register_device` */
export async function registerDevice(v: VfioPci, find: (pdev: PciDev) => VfioPci | null): Promise<void> {
  const { k, pdev } = v;
  if (pdev.hdr_type !== 0) refuse('EINVAL', 'register.bridge', `${v.name} is a bridge`);
  if (k.pci_num_vf(pdev) > 0) {
    k.dev_warn(pdev.dev, 'Cannot bind to PF with SR-IOV enabled');
    refuse('EBUSY', 'register.vfs', `${v.name}: ${k.pci_num_vf(pdev)} virtual functions are on`);
  }
  k.vfio_assign_device_set(v.vdev, resetKey(v));
  v.pf = pdev.physfn === null ? null : find(pdev.physfn);
  if (!pdev.is_virtfn && hasSriov(v)) {
    v.token = { uuid: NIL_UUID, users: 0 };
    v.vfNotifier = captureVfs(v);
    k.bus_register_notifier(pdev.dev.bus!, v.vfNotifier); // a PCI function is on a bus
  }
  try {
    await k.vfio_register_group_dev(v.vdev);
  } catch (error) {
    forgetVfs(v);
    throw error;
  }
}

/** Virtual functions go to the physical one's driver, unless somebody binds another. @see `vfio_pci_bus_notifier` */
function captureVfs({ k, pdev }: VfioPci): BusNotifier {
  return async (action, dev) => {
    const vf = k.to_pci_dev(dev);
    if (vf.physfn !== pdev) return;
    const driver = pdev.dev.driver;
    if (action === 'ADD_DEVICE' && driver !== null) {
      k.dev_info(pdev.dev, `Captured SR-IOV VF ${dev.name} driver_override`);
      dev.driver_override = driver.name;
    } else if (action === 'BOUND_DRIVER' && dev.driver !== null && dev.driver !== driver) {
      k.dev_warn(pdev.dev, `VF ${dev.name} bound to driver ${dev.driver.name} while PF bound to driver ${driver?.name}`);
    }
  };
}

function forgetVfs(v: VfioPci): void {
  if (v.vfNotifier !== null) v.k.bus_unregister_notifier(v.pdev.dev.bus!, v.vfNotifier);
  v.vfNotifier = null;
}

/** Functions behind one bridge are reset together; one on the root bus stays alone. */
function resetKey(v: VfioPci): unknown {
  try {
    return v.k.pci_probe_reset_bus(v.pdev)[0] ?? v.vdev;
  } catch {
    return v.vdev;
  }
}



/** Whether it is a physical function. */
function hasSriov({ k, pdev }: VfioPci): boolean {
  return k.pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_SRIOV) !== 0;
}

/** @see `vfio_pci_core_unregister_device` */
export async function unregisterDevice(v: VfioPci): Promise<void> {
  await sriovOff(v);
  await v.k.vfio_unregister_group_dev(v.vdev);
  forgetVfs(v);
  v.token = null;
}

async function sriovOff({ k, pdev }: VfioPci): Promise<void> {
  if (k.pci_num_vf(pdev) > 0) await k.pci_disable_sriov(pdev);
}

/** @returns virtual functions that are on. @throws EBUSY while some are; what enabling throws @see `vfio_pci_core_sriov_configure` */
export async function sriovConfigure(v: VfioPci, numVfs: number): Promise<number> {
  const { k, pdev } = v;
  if (numVfs === 0) {
    await sriovOff(v);
    return 0;
  }
  await k.pci_enable_sriov(pdev, numVfs);
  return numVfs;
}
