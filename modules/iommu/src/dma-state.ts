/** What the DMA API keeps of a device. */
import type { IommuTable } from '@vdpalab/abi';
import type { Device, DeviceDma } from '@vdpalab/driver-core';
import type { DmaMapOps } from './header.ts';
import type { IovaSpace } from './iova.ts';

/** One live mapping. */
export interface DmaMapping {
  /** Bus address of the first byte. */
  readonly dma: number;
  /** Bytes. */
  readonly size: number;
  readonly coherent: boolean;
  /** Addresses it took; `null` when bus addresses are physical. */
  readonly iova: DmaIova | null;
}

/** A range of a DMA domain. */
export interface DmaIova {
  readonly space: IovaSpace;
  readonly table: IommuTable;
  readonly firstPage: number;
  readonly pages: number;
}

/** Requester id of a device that is not behind the platform's IOMMU. */
const NO_REQUESTER = -1;

/** A device that may DMA: `struct device`'s `dma_mask`, `dma_ops` and the debug entries of `kernel/dma/debug.c`. */
export class DmaState implements DeviceDma {
  readonly rid: number;
  readonly pasid: number | null;
  /** `dma_ops`; null for the platform's. */
  readonly ops: DmaMapOps | null;
  /** Largest address the device reaches; 32 bits until the driver says otherwise. */
  mask = 0xffff_ffff;
  /** By bus address; without an IOMMU one address may be mapped several times. */
  readonly mappings = new Map<number, DmaMapping | DmaMapping[]>();

  constructor(rid: number, pasid: number | null, ops: DmaMapOps | null = null) {
    this.rid = rid;
    this.pasid = pasid;
    this.ops = ops;
  }

  /** Remember a mapping. */
  add(mapping: DmaMapping): undefined {
    const before = this.mappings.get(mapping.dma);
    if (before === undefined) this.mappings.set(mapping.dma, mapping);
    else if (Array.isArray(before)) before.push(mapping);
    else this.mappings.set(mapping.dma, [before, mapping]);
  }

  /** Forget the mapping of that address, size and kind. @returns `null` when there is none */
  take(dma: number, size: number, coherent: boolean): DmaMapping | null {
    const found = this.mappings.get(dma);
    if (found === undefined) return null;
    if (!Array.isArray(found)) {
      if (found.size !== size || found.coherent !== coherent) return null;
      this.mappings.delete(dma);
      return found;
    }
    const at = found.findIndex((one) => one.size === size && one.coherent === coherent);
    if (at < 0) return null;
    const [one] = found.splice(at, 1);
    if (found.length === 0) this.mappings.delete(dma);
    return one!;
  }

  /** All mappings, by bus address in order of first use. */
  list(): DmaMapping[] {
    return [...this.mappings.values()].flat();
  }
}

/** The devices of one kernel that may DMA. */
export class DmaDevices {
  private readonly devices = new Set<Device>();

  /** Let a device DMA as this requester. */
  add(dev: Device, rid: number, pasid: number | null): undefined {
    return this.put(dev, new DmaState(rid, pasid));
  }

  /** Let a device that no requester id stands for DMA by its own means; null: not any more. */
  setOps(dev: Device, ops: DmaMapOps | null): undefined {
    return ops === null ? this.remove(dev) : this.put(dev, new DmaState(NO_REQUESTER, null, ops));
  }

  remove(dev: Device): undefined {
    dev.dma = null;
    this.devices.delete(dev);
  }

  private put(dev: Device, state: DmaState): undefined {
    if (dev.dma !== null) throw new Error(`${dev.name}: probed twice by the iommu`);
    dev.dma = state;
    this.devices.add(dev);
  }

  /** Devices with live mappings. */
  leftovers(): string[] {
    const held: string[] = [];
    for (const { name, dma } of this.devices) {
      const count = dma instanceof DmaState ? dma.list().length : 0;
      if (count > 0) held.push(`${name}: ${count} DMA mappings`);
    }
    return held;
  }
}
