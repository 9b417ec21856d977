/** What an N3000 function counts. */
import { newNetCounters } from '../virtio/counters.ts';
import type { NetCounters } from '../virtio/counters.ts';

/** Totals since the function was plugged in; resets do not clear them. */
export interface N3000Counters extends NetCounters {
  /** Pages marked in the dirty log. */
  dirtyMarked: number;
  /** Pages that could not be marked: beyond the log's end, or refused by the IOMMU. */
  dirtyMissed: number;
}

/** Counters at zero. */
export function newN3000Counters(): N3000Counters {
  return { ...newNetCounters(), dirtyMarked: 0, dirtyMissed: 0 };
}
