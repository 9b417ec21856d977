/** An interface in use: its PASID, its IOMMU group, its interrupts, its vDPA device. */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { Ida } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { IrqSymbols } from '@vdpalab/irq';
import type { MdevDevice } from '@vdpalab/mdev-core';
import type { PciDev } from '@vdpalab/pci';
import { adiOps } from './ops.ts';
import type { AdiCallbacks } from './ops.ts';
import { ADI_QUEUES } from './registers.ts';
import type { AdiRegisters } from './registers.ts';

/** PASIDs have 20 bits; 0 is for DMA without one. */
const PASID_MAX = 0xf_ffff;
/** All of a 64-bit mask that a number holds. */
const DMA_BIT_MASK_64: Parameters<IommuSymbols['dma_set_mask_and_coherent']>[1] = Number.MAX_SAFE_INTEGER;

/** What bringing an interface up takes. */
export type InterfaceKernel = Pick<KernelSymbols & IommuSymbols & IrqSymbols, '__vdpa_alloc_device' | 'vdpa_register_device' | 'vdpa_unregister_device' | 'vdpa_put_device'
  | 'ida_alloc_max' | 'ida_free' | 'iommu_probe_device' | 'iommu_release_device' | 'dma_set_mask_and_coherent' | 'pci_irq_vector'
  | 'pci_resource_start' | 'request_irq' | 'free_irq'>;

/** What an interface belongs to. */
export interface InterfaceSite {
  readonly pdev: PciDev;
  readonly rid: number;
  readonly pasids: Ida;
  /** Vectors of each interface. */
  readonly vectors: number;
}

/**
 * Make a vDPA device of an interface. What fails leaves nothing behind.
 *
 * @returns gives all back, in reverse
 * @throws ENOSPC when there is no PASID left; the errno of the step that failed
 */
export async function bringUp(k: InterfaceKernel, { pdev, rid, pasids, vectors }: InterfaceSite, registers: AdiRegisters, mdev: MdevDevice): Promise<UndoStack> {
  const undo = new UndoStack();
  return await withUndo(undo, async () => {
    const { dev } = mdev;
    const pasid = k.ida_alloc_max(pasids, PASID_MAX - 1) + 1;
    undo.push(`PASID ${pasid}`, () => void k.ida_free(pasids, pasid - 1));
    registers.setPasid(pasid);
    undo.push('interface', () => void registers.setPasid(null));
    k.iommu_probe_device(dev, rid, null, pasid);
    undo.push('iommu group', () => void k.iommu_release_device(dev));
    k.dma_set_mask_and_coherent(dev, DMA_BIT_MASK_64);

    const callbacks: AdiCallbacks = { queues: Array.from({ length: ADI_QUEUES }, () => null), config: null };
    const irqs: number[] = [];
    const take = async (vector: number, suffix: string, handler: () => Atomic): Promise<void> => {
      const irq = k.pci_irq_vector(pdev, registers.index * vectors + vector);
      await k.request_irq(irq, () => {
        handler();
        return 'IRQ_HANDLED';
      }, 0, `siov_adi[${mdev.uuid}]-${suffix}`, registers);
      undo.push(`irq ${irq}`, () => k.free_irq(irq, registers));
      irqs.push(irq);
    };
    for (let qid = 0; qid < ADI_QUEUES; qid++) await take(qid, `${qid}`, () => callbacks.queues[qid]?.callback());
    await take(ADI_QUEUES, 'config', () => callbacks.config?.callback());

    const site = { name: mdev.uuid, registers, callbacks, irqs: irqs.slice(0, ADI_QUEUES), bar: k.pci_resource_start(pdev, 2), queueMax: registers.queueSize(0) };
    const vdev = await k.__vdpa_alloc_device({ parent: dev, dma_dev: dev, config: adiOps(site), ngroups: 1, nas: 1, models: ['virtio', 'vfio', 'vhost'], priv: registers });
    try {
      await k.vdpa_register_device(vdev, ADI_QUEUES);
    } catch (error) {
      k.vdpa_put_device(vdev);
      throw error;
    }
    undo.push('vDPA device', () => k.vdpa_unregister_device(vdev));
    return undo;
  });
}
