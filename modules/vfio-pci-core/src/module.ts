/** What VFIO drivers of PCI functions share. Mirrors `drivers/vfio/pci` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { PciDev } from '@vdpalab/pci';
import type { VfioDevice } from '@vdpalab/vfio';
import { VfioPci } from './device.ts';
import { closeDevice, disable, enable, finishEnable } from './enable.ts';
import { feature } from './feature.ts';
import { ioctl } from './ioctl.ts';
import { mapRegion } from './mmap.ts';
import { imports } from './module-data.ts';
import { readRegion, writeRegion } from './rdwr.ts';
import { registerDevice, sriovConfigure, unregisterDevice } from './register.ts';
import { addRegion, request } from './request.ts';
import { matches } from './token.ts';

export default defineModule({
  name: 'vfio_pci_core',
  license: 'GPL v2',
  description: 'core driver for VFIO based PCI devices',
  author: 'Alex Williamson <alex.williamson@redhat.com>',
  imports,
  exportsGpl: [
    'vfio_pci_core_close_device', 'vfio_pci_core_disable', 'vfio_pci_core_enable', 'vfio_pci_core_finish_enable', 'vfio_pci_core_init_dev',
    'vfio_pci_core_ioctl', 'vfio_pci_core_ioctl_feature', 'vfio_pci_core_match', 'vfio_pci_core_mmap', 'vfio_pci_core_read',
    'vfio_pci_core_register_dev_region', 'vfio_pci_core_register_device', 'vfio_pci_core_release_dev', 'vfio_pci_core_request',
    'vfio_pci_core_set_params', 'vfio_pci_core_sriov_configure', 'vfio_pci_core_unregister_device', 'vfio_pci_core_write',
  ],

  module_init(k) {
    const devices = new Map<VfioDevice, VfioPci>();
    let noIntxMask = false;
    const of = (vdev: VfioDevice): VfioPci => {
      const found = devices.get(vdev);
      if (found === undefined) throw new Error(`${vdev.dev.name}: not made by vfio_pci_core_init_dev`);
      return found;
    };
    const find = (pdev: PciDev): VfioPci | null => [...devices.values()].find((v) => v.pdev === pdev) ?? null;
    return {
      ksymtab: {
        vfio_pci_core_set_params(nointxmask) {
          noIntxMask = nointxmask; // there is no VGA to switch off, and no D3 to stay out of
        },
        async vfio_pci_core_init_dev(vdev) {
          devices.set(vdev, new VfioPci(k, vdev));
        },
        vfio_pci_core_release_dev(vdev) {
          devices.delete(vdev);
        },
        vfio_pci_core_register_device: (vdev) => registerDevice(of(vdev), find),
        vfio_pci_core_unregister_device: (vdev) => unregisterDevice(of(vdev)),
        vfio_pci_core_enable: (vdev) => enable(of(vdev), noIntxMask),
        vfio_pci_core_finish_enable: (vdev) => void finishEnable(of(vdev)),
        vfio_pci_core_disable: (vdev) => disable(of(vdev)),
        vfio_pci_core_close_device: (vdev) => closeDevice(of(vdev)),
        vfio_pci_core_ioctl: (vdev, cmd, arg, proc) => ioctl(of(vdev), cmd, arg, proc, find),
        vfio_pci_core_ioctl_feature: (vdev, flags, arg, argsz, proc) => feature(of(vdev), flags, arg, argsz, proc),
        vfio_pci_core_read: (vdev, len, pos, proc) => readRegion(of(vdev), len, pos, proc),
        vfio_pci_core_write: (vdev, bytes, pos, proc) => writeRegion(of(vdev), bytes, pos, proc),
        vfio_pci_core_mmap: (vdev, vma) => mapRegion(of(vdev), vma),
        vfio_pci_core_request: (vdev, count) => request(of(vdev), count),
        vfio_pci_core_match: (vdev, name) => matches(of(vdev), name),
        vfio_pci_core_register_dev_region: (vdev, region) => addRegion(of(vdev), region),
        vfio_pci_core_sriov_configure: (vdev, numVfs) => sriovConfigure(of(vdev), numVfs),
      },
    };
  },
});
