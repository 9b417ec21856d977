/** vDPA devices of assignable interfaces: a PCI function is a parent of mediated devices, which have one or more of its interfaces and a PASID each. */
import { defineModule } from '@vdpalab/abi';
import type { UndoStack } from '@vdpalab/abi';
import type { MdevDriver, MdevParent, MdevType } from '@vdpalab/mdev-core';
import type { PciDev, PciDeviceId, PciDriver } from '@vdpalab/pci';
import { pciAlias } from '@vdpalab/uapi';
import { adiFiles, AdiPool } from './pool.ts';
import { AdiRegisters, REG_COUNT, REG_VECTORS, REG_WINDOW } from './registers.ts';
import { bringUp } from './vdev.ts';

const ids: readonly PciDeviceId[] = [{ vendor: 0x8086, device: 0x51a0, subvendor: 0x8086, subdevice: 0x51a0, class: 0, class_mask: 0 }];
/** BARs 0 and 2. */
const BARS = 0b101;

/** A function that is bound. */
interface Siov {
  readonly pdev: PciDev;
  readonly parent: MdevParent;
  readonly vectors: number;
  readonly pool: AdiPool;
}

interface SiovType extends MdevType {
  readonly siov: Siov;
  /** Interfaces of a device. */
  readonly interfaces: number;
}

export default defineModule({
  name: 'siov_adi',
  license: 'GPL v2',
  description: 'vDPA devices of assignable interfaces, made as mediated devices',
  alias: ids.map(pciAlias),
  imports: [
    '__pci_register_driver', 'pci_unregister_driver', 'pcim_enable_device', 'pcim_iomap_regions', 'pcim_iomap_table', 'pci_set_master',
    'pci_alloc_irq_vectors', 'pci_free_irq_vectors', 'pci_irq_vector', 'pci_resource_start', 'pci_get_drvdata', 'pci_set_drvdata', 'request_irq', 'free_irq',
    'dma_set_mask_and_coherent', 'iommu_probe_device', 'iommu_release_device', 'ida_init', 'ida_alloc_max', 'ida_free', 'devm_add_action',
    'dev_get_drvdata', 'dev_set_drvdata', 'cpu_relax', 'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent',
    '__vdpa_alloc_device', 'vdpa_register_device', 'vdpa_unregister_device', 'vdpa_put_device',
  ],

  async module_init(k, { THIS_MODULE, undo }) {
    const pasids = k.ida_init();

    const mdevDriver: MdevDriver = {
      device_api: 'vhost-vdpa',
      driver: { name: 'siov_adi_vdpa', owner: THIS_MODULE },
      async probe(mdev) {
        const { siov: { pdev, vectors, pool }, interfaces } = mdev.type as SiovType; // of our types
        const taken = pool.take(interfaces, mdev.uuid);
        try {
          k.dev_set_drvdata(mdev.dev, await bringUp(k, { pdev, rid: pdev.dev.dma!.rid, pasids, vectors }, taken, mdev)); // a PCI function does DMA
        } catch (error) {
          pool.giveBack(mdev.uuid);
          throw error;
        }
      },
      async remove(mdev) {
        try {
          await (k.dev_get_drvdata(mdev.dev) as UndoStack).run(); // set by probe
        } finally {
          (mdev.type as SiovType).siov.pool.giveBack(mdev.uuid);
        }
      },
      get_available(type) {
        const { siov: { pool }, interfaces } = type as SiovType; // of our types
        return pool.room(interfaces);
      },
      show_description(type) {
        const { interfaces } = type as SiovType; // of our types
        return `virtio network device of ${interfaces === 1 ? 'one queue pair' : 'two queue pairs'}, DMA with a PASID of its own\n`;
      },
    };

    const pciDriver: PciDriver = {
      name: 'siov_adi',
      owner: THIS_MODULE,
      id_table: ids,
      dev_groups: [adiFiles((dev) => (k.dev_get_drvdata(dev) as Siov).pool)], // set by probe
      async probe(pdev) {
        k.pcim_enable_device(pdev);
        k.pcim_iomap_regions(pdev, BARS, 'siov_adi');
        k.pci_set_master(pdev);
        const table = k.pcim_iomap_table(pdev);
        const [control, windows] = [table[0]!, table[2]!]; // pcim_iomap_regions has mapped them
        const [count, window, vectors] = [REG_COUNT, REG_WINDOW, REG_VECTORS].map((at) => control.read32(at)) as [number, number, number];
        await k.pci_alloc_irq_vectors(pdev, count * vectors, count * vectors);
        k.devm_add_action(pdev.dev, 'siov_adi vectors', () => k.pci_free_irq_vectors(pdev));
        const interfaces = Array.from({ length: count }, (_, index) => new AdiRegisters(k, control, windows, window, index));
        const parent: MdevParent = { dev: null, mdev_driver: null, ops: null, types: [] };
        const siov: Siov = { pdev, vectors, parent, pool: new AdiPool(pdev.dev.name, interfaces) };
        const types: readonly SiovType[] = [
          { sysfs_name: 'net', pretty_name: 'Assignable network interface', parent: null, siov, interfaces: 1 },
          { sysfs_name: 'vdev2', pretty_name: 'Network device of two interfaces', parent: null, siov, interfaces: 2 },
        ];
        await k.mdev_register_parent(parent, pdev.dev, mdevDriver, types, types.length);
        k.pci_set_drvdata(pdev, siov);
      },
      remove: (pdev) => k.mdev_unregister_parent((k.pci_get_drvdata(pdev) as Siov).parent), // set by probe
    };

    await k.mdev_register_driver(mdevDriver);
    undo.push('driver siov_adi_vdpa', () => k.mdev_unregister_driver(mdevDriver));
    await k.__pci_register_driver(pciDriver);
    undo.push('driver siov_adi', () => k.pci_unregister_driver(pciDriver));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});
