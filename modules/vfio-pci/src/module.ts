/** VFIO driver of any PCI function. Mirrors `drivers/vfio/pci/vfio_pci.c` (Linux 6.1). */
import { defineModule, KernelError, param } from '@vdpalab/abi';
import type { PciDriver } from '@vdpalab/pci';
import type { VfioDevice } from '@vdpalab/vfio';
import { fillIds } from './ids.ts';
import { deviceOps } from './ops.ts';

const KERN_WARNING = 4;

export default defineModule({
  name: 'vfio_pci',
  license: 'GPL v2',
  description: 'VFIO PCI - User Level meta-driver',
  author: 'Alex Williamson <alex.williamson@redhat.com>',
  alias: ['vfio_pci:v*d*sv*sd*bc*sc*i*'],
  params: {
    ids: param.string(1024, '', { desc: 'Initial PCI IDs to add to the vfio driver, format is "vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]" and multiple comma separated entries can be specified' }),
    nointxmask: param.bool(false, { perm: 0o644, desc: 'Disable support for PCI 2.3 style INTx masking.  If this resolves problems for specific devices, report lspci -vvvxxx to linux-pci@vger.kernel.org so the device can be fixed automatically via the broken_intx_masking flag.' }),
    disable_vga: param.bool(false, { perm: 0o444, desc: 'Disable VGA resource access through vfio-pci' }),
    disable_idle_d3: param.bool(false, { perm: 0o644, desc: 'Disable using the PCI D3 low power state for idle, unused devices' }),
    enable_sriov: param.bool(false, { perm: 0o644, desc: 'Enable support for SR-IOV configuration.  Enabling SR-IOV on a PF typically requires support of the userspace PF driver, enabling VFs without such support may result in non-functional VFs or PF.' }),
    disable_denylist: param.bool(false, { perm: 0o444, desc: 'Disable use of device denylist. Disabling the denylist allows binding to devices with known errata that may lead to exploitable stability or security issues when accessed by untrusted users.' }),
  },
  imports: [
    // In the order of the real module's symbol table, which a load without them shows.
    '_vfio_alloc_device', 'vfio_pci_core_close_device', 'vfio_pci_core_enable', 'vfio_pci_core_finish_enable',
    'vfio_pci_core_init_dev', 'vfio_pci_core_ioctl', 'vfio_pci_core_ioctl_feature', 'vfio_pci_core_match', 'vfio_pci_core_mmap',
    'vfio_pci_core_read', 'vfio_pci_core_register_device', 'vfio_pci_core_release_dev', 'vfio_pci_core_request', 'vfio_pci_core_set_params',
    'vfio_pci_core_sriov_configure', 'vfio_pci_core_unregister_device', 'vfio_pci_core_write',
    '_printk', '__pci_register_driver', 'pci_unregister_driver', 'pci_add_dynid', 'pci_get_drvdata', 'pci_set_drvdata', 'put_device',
  ],

  async module_init(k, { THIS_MODULE, params, undo }) {
    const ops = deviceOps(k);
    const driver: PciDriver = {
      name: 'vfio-pci',
      owner: THIS_MODULE,
      // Nothing by itself: ids are given, or a function is named to it.
      id_table: [{ vendor: null, device: null, subvendor: null, subdevice: null, class: 0, class_mask: 0, override_only: true }],
      driver_managed_dma: true,
      async probe(pdev) {
        const vdev = await k._vfio_alloc_device(pdev.dev, ops, null);
        try {
          k.pci_set_drvdata(pdev, vdev);
          await k.vfio_pci_core_register_device(vdev);
        } catch (error) {
          k.put_device(vdev.device);
          throw error;
        }
      },
      async remove(pdev) {
        const vdev = k.pci_get_drvdata(pdev) as VfioDevice; // set by probe
        await k.vfio_pci_core_unregister_device(vdev);
        k.put_device(vdev.device);
      },
      async sriov_configure(pdev, numVfs) {
        if (!params.enable_sriov) throw new KernelError('ENOENT', 'vfio_pci.sriov.off', `${pdev.dev.name}: the parameter enable_sriov is off`);
        return await k.vfio_pci_core_sriov_configure(k.pci_get_drvdata(pdev) as VfioDevice, numVfs); // set by probe
      },
    };

    k.vfio_pci_core_set_params(params.nointxmask, params.disable_vga, params.disable_idle_d3);
    await k.__pci_register_driver(driver);
    undo.push('driver vfio-pci', () => k.pci_unregister_driver(driver));
    await fillIds(k, driver, params.ids);
    if (params.disable_denylist) k._printk(KERN_WARNING, 'vfio_pci: device denylist disabled.');
    return { ksymtab: {} };
  },
});
