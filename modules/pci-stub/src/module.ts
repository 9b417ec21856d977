/** Takes functions away from other drivers. Mirrors `drivers/pci/pci-stub.c` (Linux 6.1). */
import { defineModule, isKernelError, param } from '@vdpalab/abi';
import type { PciDriver } from '@vdpalab/pci';
import { ERRNO } from '@vdpalab/uapi';
import { parseId } from './ids.ts';

const KERN_WARNING = 4;
const KERN_INFO = 6;

export default defineModule({
  name: 'pci_stub',
  license: 'GPL',
  author: 'Chris Wright <chrisw@sous-sol.org>',
  params: {
    ids: param.string(1024, '', { desc: 'Initial PCI IDs to add to the stub driver, format is "vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]" and multiple comma separated entries can be specified' }),
  },
  imports: ['_printk', 'dev_info', '__pci_register_driver', 'pci_unregister_driver', 'pci_add_dynid'],

  async module_init(k, { THIS_MODULE, params, undo }) {
    const driver: PciDriver = {
      name: 'pci-stub',
      owner: THIS_MODULE,
      id_table: [], // only what it is told, by the parameter or in sysfs
      driver_managed_dma: true,
      probe: async ({ dev }) => void k.dev_info(dev, 'claimed by stub'),
    };
    await k.__pci_register_driver(driver);
    undo.push('driver pci-stub', () => k.pci_unregister_driver(driver));
    for (const text of params.ids.split(',').filter((part) => part !== '')) {
      const id = parseId(text);
      if (id === null) {
        k._printk(KERN_WARNING, `pci-stub: invalid ID string "${text}"`);
        continue;
      }
      k._printk(KERN_INFO, `pci-stub: add ${id.text}`);
      try {
        await k.pci_add_dynid(driver, id);
      } catch (error) {
        if (!isKernelError(error)) throw error;
        k._printk(KERN_WARNING, `pci-stub: failed to add dynamic ID (${-ERRNO[error.errno]})`);
      }
    }
    return { ksymtab: {} };
  },
});
