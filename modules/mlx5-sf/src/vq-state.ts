/** Where a queue is in its rings, as the bus and as the device says it. */
import type { VdpaVqState } from '@vdpalab/vdpa-core';

/** The two indices of a queue's object, u16; those of a packed ring have the wrap counter in bit 15. */
export interface Indices {
  readonly avail: number;
  readonly used: number;
}

export function indicesOf(state: VdpaVqState): Indices {
  if (state.kind === 'split') return { avail: state.avail_index, used: state.avail_index };
  return { avail: (state.last_avail_counter << 15) | state.last_avail_idx, used: (state.last_used_counter << 15) | state.last_used_idx };
}

/** At a standstill: the device's available index cannot be relied on then, and the used one is the same. */
export function stateOf(used: number, packed: boolean): VdpaVqState {
  if (!packed) return { kind: 'split', avail_index: used };
  const [counter, idx] = [used >>> 15 === 1 ? 1 : 0, used & 0x7fff] as const;
  return { kind: 'packed', last_avail_counter: counter, last_avail_idx: idx, last_used_counter: counter, last_used_idx: idx };
}
