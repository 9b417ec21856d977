/** Facts about a simulator's queues. Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim.c` (Linux 6.1). */

/** Largest queue, in descriptors. */
export const VDPASIM_QUEUE_MAX = 256;

/** Receive and transmit queues are of group 0, the control queue of group 1. */
export function groupOf(idx: number): number {
  return idx === 2 ? 1 : 0;
}
