/** What stands between one requester and memory. */
import type { IommuAttachment } from '@vdpalab/abi';

/** A device's side of the IOMMU, which caches translations. */
export interface DeviceTlb {
  /** Forget every cached translation, before the change that made it stale returns. */
  readonly invalidate: () => undefined;
}

/** The attachment of a requester id and PASID. */
export interface IommuEntry {
  readonly rid: number;
  readonly pasid: number | null;
  /** `null` while nothing is attached: every DMA faults. */
  to: IommuAttachment | null;
  tlb: DeviceTlb | null;
}
