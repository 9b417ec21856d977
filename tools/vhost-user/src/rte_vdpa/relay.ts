/** What a device has used in a ring of the driver's own, relayed to the guest's. @see DPDK lib/vhost/vdpa.c */
import {
  vring_desc, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, vring_used, vring_used_elem, VIRTIO_F_RING_PACKED, type VringDesc,
} from '@vdpalab/uapi';
import { has } from '../protocol/features.ts';
import { refuse } from '../refuse.ts';
import type { RteVhost, RteVhostVring } from '../vhost/library.ts';

const IDX = vring_used.offsets.idx;

/** What the relay asks the library. */
export type RelaySite = Pick<
  RteVhost, 'p' | 'hostVa' | 'memoryCut' | 'rte_vhost_get_vhost_vring' | 'rte_vhost_get_negotiated_features' | 'rte_vhost_log_write' | 'rte_vhost_log_used_vring'
>;

/**
 * Copy new used entries into the guest's ring, and log what was written for them: each writable buffer, and the ring.
 *
 * A buffer is logged whole, since a device may write more than the length it tells. A chain that the guest has broken meanwhile is
 * followed as far as it leads.
 *
 * @param mediated address of the used ring that the device writes, in the serving process
 * @returns entries relayed
 * @throws EOPNOTSUPP for packed rings
 */
export function rte_vdpa_relay_vring_used(vhost: RelaySite, vid: number, index: number, mediated: number): number {
  if (has(vhost.rte_vhost_get_negotiated_features(vid), VIRTIO_F_RING_PACKED)) throw refuse('relay.packed', `ring ${index}: a packed ring has no used ring to relay`, 'EOPNOTSUPP');
  const ring = vhost.rte_vhost_get_vhost_vring(vid, index);
  if (ring === null || vhost.memoryCut(vid)) return 0;
  const { mm } = vhost.p.proc;
  const used = vhost.hostVa(vid, ring.place.used, vring_used.size + ring.size * vring_used_elem.size);
  if (used === null) return 0;
  const to = mm.load(mediated + IDX, 2);
  // The guest may have written anything where its index is.
  const count = Math.min((to - mm.load(used + IDX, 2)) & 0xffff, ring.size);
  for (let n = count; n > 0; n--) {
    const at = vring_used.size + ((to - n) & (ring.size - 1)) * vring_used_elem.size;
    const entry = mm.read(mediated + at, vring_used_elem.size);
    mm.write(used + at, entry);
    logChain(vhost, vid, ring, vring_used_elem.decode(entry).id);
  }
  if (count === 0) return 0;
  mm.store(used + IDX, 2, to);
  vhost.rte_vhost_log_used_vring(vid, index);
  return count;
}

/** Log the writable buffers of one chain, direct or in a table. */
function logChain(vhost: RelaySite, vid: number, { place, size }: RteVhostVring, head: number): void {
  if (head >= size) return;
  let table = place.desc;
  let entries = size;
  let next = head;
  const first = descriptor(vhost, vid, table, head);
  if (first !== null && (first.flags & VRING_DESC_F_INDIRECT) !== 0) {
    table = Number(first.addr);
    entries = Math.floor(first.len / vring_desc.size);
    next = 0;
  }
  for (let left = Math.min(entries, size); left > 0 && next < entries; left--) {
    const desc = descriptor(vhost, vid, table, next);
    if (desc === null) return;
    if ((desc.flags & VRING_DESC_F_WRITE) !== 0) vhost.rte_vhost_log_write(vid, Number(desc.addr), desc.len);
    if ((desc.flags & VRING_DESC_F_NEXT) === 0) return;
    next = desc.next;
  }
}

/** @returns `null` where the guest has no memory */
function descriptor(vhost: RelaySite, vid: number, table: number, index: number): VringDesc | null {
  const va = vhost.hostVa(vid, table + index * vring_desc.size, vring_desc.size);
  return va === null ? null : vring_desc.decode(vhost.p.proc.mm.read(va, vring_desc.size));
}
