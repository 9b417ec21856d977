/** Why a ring refuses: what the other side wrote into it, or too much of one's own. */
import type { RuleRows } from '../rule.ts';

export const ringRules = {
  'virtio_ring.add.broken': ['The queue is broken: its device did what it may not.', 'Reset the device, and find the queue again.', 'drivers/virtio/virtio_ring.c virtqueue_add_split'],
  'virtio_ring.add.full': ['The ring has fewer free descriptors than the chain needs.', 'Take used buffers first: virtqueue_get_buf.', 'drivers/virtio/virtio_ring.c virtqueue_add_split'],
  'virtio_ring.add.ring': ['The ring\'s memory refused the descriptors.', 'Reset the device, and find the queue again.', 'drivers/virtio/virtio_ring.c virtqueue_add_split'],
  'vring.chain-length': ['A chain has at most as many segments as the device takes.', 'Make shorter chains.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.desc-loop': ['A chain visits more descriptors than the ring has: it is a loop.', 'End chains with a descriptor without NEXT.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.head-range': ['A head is an index below the size of the ring.', 'Write indices of descriptors into the available ring.', 'drivers/vhost/vringh.c __vringh_get_head'],
  'vring.index-jump': ['The available index moves by at most the size of the ring.', 'Add one for each chain.', 'drivers/vhost/vhost.c vhost_get_vq_desc'],
  'vring.indirect-length': ['An indirect table is a multiple of 16 bytes, and not empty.', 'Give it whole descriptors.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.nested-indirect': ['An indirect table has no indirect tables.', 'Flatten it.', 'drivers/vhost/vringh.c move_to_indirect'],
  'vring.indirect-chained': ['An indirect descriptor of a packed ring stands alone.', 'Do not set NEXT with INDIRECT, and do not chain to one.', 'virtio 1.2, section 2.8.7'],
  'vring.next-unavailable': ['A chain in a packed ring ends before what is not available.', 'Write all descriptors of a chain before the flags of its first.', 'virtio 1.2, section 2.8.6'],
  'vring.next-range': ['next is an index below the size of the table.', 'Point to a descriptor of the same table.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.permission': ['The mapping does not allow this access.', 'Map the memory with VHOST_ACCESS_RW.', 'drivers/vhost/vringh.c iotlb_translate'],
  'vring.readable-after-writable': ['In a chain what the device reads stands before what it writes.', 'Put readable descriptors first.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.ring-access': ['A ring\'s own memory is not mapped, or not writable.', 'Map the rings before starting the device.', 'drivers/vhost/vringh.c vringh_get_head'],
  'vring.unexpected-readable': ['The device expects writable descriptors only.', 'Mark the descriptor WRITE.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.unexpected-writable': ['The device expects readable descriptors only.', 'Clear WRITE.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vring.unmapped': ['The address of a descriptor is not mapped.', 'Map the memory first: VHOST_IOTLB_UPDATE.', 'drivers/vhost/vringh.c iotlb_translate'],
  'vringh.init.address': ['The address of a ring is above what is modelled.', 'Give an address below 2^53.', '-'],
  'vringh.init.num': ['A ring\'s size is a power of two up to 65535.', 'Take one.', 'drivers/vhost/vringh.c vringh_init_kern'],
  'vringh.permission': ['The mapping does not allow this access.', 'Map the memory with VHOST_ACCESS_RW.', 'drivers/vhost/vringh.c iotlb_translate'],
  'vringh.unexpected-readable': ['The caller expects no readable descriptor.', 'Mark the descriptor WRITE.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vringh.unexpected-writable': ['The caller expects no writable descriptor.', 'Clear WRITE.', 'drivers/vhost/vringh.c __vringh_iov'],
  'vringh.unmapped': ['The address of a descriptor is not mapped.', 'Map the memory first: VHOST_IOTLB_UPDATE.', 'drivers/vhost/vringh.c iotlb_translate'],
} as const satisfies RuleRows;
