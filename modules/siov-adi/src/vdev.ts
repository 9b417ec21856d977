/** A virtual device in use: interfaces that work as one, their PASID, their IOMMU group, their interrupts, the vDPA device. */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { Ida } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { IrqSymbols } from '@vdpalab/irq';
import type { MdevDevice } from '@vdpalab/mdev-core';
import type { PciDev } from '@vdpalab/pci';
import { vdevOps } from './ops.ts';
import type { VdevSite } from './ops.ts';
import { AdiQueues } from './queues.ts';
import type { AdiRegisters } from './registers.ts';

/** PASIDs have 20 bits; 0 is for DMA without one. */
const PASID_MAX = 0xf_ffff;
/** All of a 64-bit mask that a number holds. */
const DMA_BIT_MASK_64: Parameters<IommuSymbols['dma_set_mask_and_coherent']>[1] = Number.MAX_SAFE_INTEGER;

/** What bringing a device up takes. */
export type VdevKernel = Pick<KernelSymbols & IommuSymbols & IrqSymbols, '__vdpa_alloc_device' | 'vdpa_register_device' | 'vdpa_unregister_device' | 'vdpa_put_device'
  | 'ida_alloc_max' | 'ida_free' | 'iommu_probe_device' | 'iommu_release_device' | 'dma_set_mask_and_coherent' | 'pci_irq_vector'
  | 'pci_resource_start' | 'request_irq' | 'free_irq'>;

/** What interfaces belong to. */
export interface InterfaceSite {
  readonly pdev: PciDev;
  readonly rid: number;
  readonly pasids: Ida;
  /** Vectors of each interface. */
  readonly vectors: number;
}

/**
 * Make a vDPA device of interfaces. What fails leaves nothing behind.
 *
 * @returns gives all back, in reverse
 * @throws ENOSPC when there is no PASID left; the errno of the step that failed
 */
export async function bringUp(k: VdevKernel, { pdev, rid, pasids, vectors }: InterfaceSite, interfaces: VdevSite['interfaces'], mdev: MdevDevice): Promise<UndoStack> {
  const undo = new UndoStack();
  return await withUndo(undo, async () => {
    const { dev } = mdev;
    const [leader, ...followers] = interfaces;
    const pasid = k.ida_alloc_max(pasids, PASID_MAX - 1) + 1;
    undo.push(`PASID ${pasid}`, () => void k.ida_free(pasids, pasid - 1));
    for (const registers of interfaces) {
      registers.setPasid(pasid);
      undo.push(`interface ${registers.index}`, () => void registers.setPasid(null));
    }
    for (const registers of followers) {
      registers.setLeader(leader.index);
      undo.push(`interface ${registers.index} following`, () => void registers.setLeader(null));
    }
    k.iommu_probe_device(dev, rid, null, pasid);
    undo.push('iommu group', () => void k.iommu_release_device(dev));
    k.dma_set_mask_and_coherent(dev, DMA_BIT_MASK_64);

    const queues = new AdiQueues(interfaces);
    const config: VdevSite['config'] = { callback: null };
    const configVector = vectors - 1;
    const take = async ({ index }: AdiRegisters, vector: number, suffix: string, handler: () => Atomic): Promise<number> => {
      const irq = k.pci_irq_vector(pdev, index * vectors + vector);
      await k.request_irq(irq, () => {
        handler();
        return 'IRQ_HANDLED';
      }, 0, `siov_adi[${mdev.uuid}]-${suffix}`, mdev);
      undo.push(`irq ${irq}`, () => k.free_irq(irq, mdev));
      return irq;
    };
    for (const [n, queue] of queues.all.entries()) queue.irq = await take(queue.registers, queue.qid, `${n}`, () => queue.callback?.callback());
    await take(leader, configVector, 'config', () => config.callback?.callback());

    const site = { name: mdev.uuid, interfaces, queues, config, configVector, bar: k.pci_resource_start(pdev, 2), queueMax: leader.queueSize(0) };
    const vdev = await k.__vdpa_alloc_device({ parent: dev, dma_dev: dev, config: vdevOps(site), ngroups: 1, nas: 1, models: ['virtio', 'vfio', 'vhost'], priv: interfaces });
    try {
      await k.vdpa_register_device(vdev, queues.all.length);
    } catch (error) {
      k.vdpa_put_device(vdev);
      throw error;
    }
    undo.push('vDPA device', () => k.vdpa_unregister_device(vdev));
    return undo;
  });
}
