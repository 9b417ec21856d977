/** Intel IFC virtual function, a vDPA parent. Mirrors `drivers/vdpa/ifcvf` (Linux 6.1). */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { PciDeviceId, PciDev, PciDriver } from '@vdpalab/pci';
import { pciAlias, VIRTIO_ID_BLOCK, VIRTIO_ID_NET } from '@vdpalab/uapi';
import type { VdpaMgmtDev } from '@vdpalab/vdpa-core';
import { IFCVF_LM_BAR, IfcvfHw } from './hardware.ts';
import { IfcvfIrqs } from './irq.ts';
import { managementOf } from './management.ts';

const id = (device: number, subdevice: number): PciDeviceId =>
  ({ vendor: 0x1af4, device, subvendor: 0x8086, subdevice, class: 0, class_mask: 0 });

/** N3000 (modern), then transitional network and block functions. */
const ids: readonly PciDeviceId[] = [id(0x1041, 0x001a), id(0x1000, 0x0001), id(0x1001, 0x0002)];

/** All of a 64-bit mask that a number holds; addresses here are below 2^53. */
const DMA_BIT_MASK_64: Parameters<IommuSymbols['dma_set_mask_and_coherent']>[1] = Number.MAX_SAFE_INTEGER;

/** BARs the driver maps. */
const BARS = (1 << 0) | (1 << 2) | (1 << IFCVF_LM_BAR);

export default defineModule({
  name: 'ifcvf',
  license: 'GPL v2',
  alias: ids.map(pciAlias),
  imports: [
    '__pci_register_driver', 'pci_unregister_driver', 'pcim_enable_device', 'pcim_iomap_regions', 'pcim_iomap_table', 'pci_set_master',
    'pci_find_capability', 'pci_find_next_capability', 'pci_read_config_byte', 'pci_read_config_dword', 'pci_resource_start',
    'pci_resource_len', 'pci_get_drvdata', 'pci_set_drvdata', 'pci_alloc_irq_vectors', 'pci_free_irq_vectors', 'pci_irq_vector',
    'pci_name', 'request_irq', 'free_irq', 'dma_set_mask_and_coherent', 'dev_err', 'dev_info', 'devm_add_action', 'cpu_relax',
    'put_device',
    // In the order of the real module's symbol table, which a load without them shows.
    '_vdpa_register_device', '__vdpa_alloc_device', 'vdpa_mgmtdev_unregister', '_vdpa_unregister_device', 'vdpa_mgmtdev_register',
  ],

  async module_init(k, { THIS_MODULE }) {
    /** Name the step in the log, as the driver does, and pass the errno on. */
    async function step<T>(pdev: PciDev, failure: string, body: () => Promise<T> | T): Promise<T> {
      try {
        return await body();
      } catch (error) {
        k.dev_err(pdev.dev, failure);
        throw error;
      }
    }

    const driver: PciDriver = {
      name: 'ifcvf',
      owner: THIS_MODULE,
      id_table: ids,
      async probe(pdev) {
        await step(pdev, 'Failed to enable device', () => k.pcim_enable_device(pdev));
        await step(pdev, 'Failed to request MMIO region', () => k.pcim_iomap_regions(pdev, BARS, 'ifcvf'));
        await step(pdev, 'No usable DMA configuration', () => k.dma_set_mask_and_coherent(pdev.dev, DMA_BIT_MASK_64));
        k.pci_set_master(pdev);
        const hw = await step(pdev, 'Failed to init IFCVF hw', () => new IfcvfHw(k, pdev, k.pcim_iomap_table(pdev)));
        if (hw.type !== VIRTIO_ID_NET && hw.type !== VIRTIO_ID_BLOCK) {
          k.dev_err(pdev.dev, `VIRTIO ID ${hw.type} not supported`);
          throw new KernelError('EOPNOTSUPP', 'ifcvf.probe.type', `${pdev.dev.name}: virtio id ${hw.type}`);
        }
        const irqs = new IfcvfIrqs(k, hw);
        k.devm_add_action(pdev.dev, 'ifcvf interrupts', () => irqs.free()); // when a bus driver went without a reset
        const mdev = managementOf(k, hw, irqs);
        await step(pdev, 'Failed to initialize the management interfaces', () => k.vdpa_mgmtdev_register(mdev));
        k.pci_set_drvdata(pdev, mdev);
      },
      remove: (pdev) => k.vdpa_mgmtdev_unregister(k.pci_get_drvdata(pdev) as VdpaMgmtDev), // set by probe
    };

    await k.__pci_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.pci_unregister_driver(driver) };
  },
});
