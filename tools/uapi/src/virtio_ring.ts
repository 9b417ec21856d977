/** `linux/virtio_ring.h` (Linux 6.1): split and packed virtqueues. */
import { defineStruct, u16, u32, u64 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Split and packed descriptors: flags, as masks.
export const VRING_DESC_F_NEXT = 1;
export const VRING_DESC_F_WRITE = 2;
export const VRING_DESC_F_INDIRECT = 4;

// Packed descriptors: further flags, as bit numbers.
export const VRING_PACKED_DESC_F_AVAIL = 7;
export const VRING_PACKED_DESC_F_USED = 15;

// Split ring: hints in used->flags and avail->flags.
export const VRING_USED_F_NO_NOTIFY = 1;
export const VRING_AVAIL_F_NO_INTERRUPT = 1;

// Packed ring: values of the event suppression flags, and the bit number of the wrap counter in off_wrap.
export const VRING_PACKED_EVENT_FLAG_ENABLE = 0x0;
export const VRING_PACKED_EVENT_FLAG_DISABLE = 0x1;
export const VRING_PACKED_EVENT_FLAG_DESC = 0x2;
export const VRING_PACKED_EVENT_F_WRAP_CTR = 15;

// Feature bit numbers.
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
export const VIRTIO_RING_F_EVENT_IDX = 29;

// Alignment of the three areas of a split ring, in bytes.
export const VRING_AVAIL_ALIGN_SIZE = 2;
export const VRING_USED_ALIGN_SIZE = 4;
export const VRING_DESC_ALIGN_SIZE = 16;

// Struct layouts. The rings behind vring_avail and vring_used have as many elements as the queue.

/** `struct vring_desc`: one descriptor of a split ring. */
export const vring_desc = defineStruct('vring_desc', {
  addr: u64,
  len: u32,
  flags: u16,
  next: u16,
});
/** A `struct vring_desc` as a plain object. */
export type VringDesc = ValueOf<typeof vring_desc>;

/** `struct vring_avail`: head of the available ring; `ring` and `used_event` (u16 each) follow. */
export const vring_avail = defineStruct('vring_avail', {
  flags: u16,
  idx: u16,
});
/** A `struct vring_avail` as a plain object. */
export type VringAvail = ValueOf<typeof vring_avail>;

/** `struct vring_used_elem`: one element of the used ring. */
export const vring_used_elem = defineStruct('vring_used_elem', {
  id: u32,
  len: u32,
});
/** A `struct vring_used_elem` as a plain object. */
export type VringUsedElem = ValueOf<typeof vring_used_elem>;

/** `struct vring_used`: head of the used ring; `ring` and `avail_event` (u16) follow. */
export const vring_used = defineStruct('vring_used', {
  flags: u16,
  idx: u16,
}, { align: 4 });
/** A `struct vring_used` as a plain object. */
export type VringUsed = ValueOf<typeof vring_used>;

/** `struct vring_packed_desc`: one descriptor of a packed ring. */
export const vring_packed_desc = defineStruct('vring_packed_desc', {
  addr: u64,
  len: u32,
  id: u16,
  flags: u16,
});
/** A `struct vring_packed_desc` as a plain object. */
export type VringPackedDesc = ValueOf<typeof vring_packed_desc>;

/** `struct vring_packed_desc_event`: event suppression area of a packed ring. */
export const vring_packed_desc_event = defineStruct('vring_packed_desc_event', {
  off_wrap: u16,
  flags: u16,
});
/** A `struct vring_packed_desc_event` as a plain object. */
export type VringPackedDescEvent = ValueOf<typeof vring_packed_desc_event>;

/** Bytes of a split ring's descriptor table of `num` descriptors. */
export function vring_desc_table_size(num: number): number {
  return num * vring_desc.size;
}

/** Bytes of an available ring: header, `num` u16 entries, used_event. */
export function vring_avail_size(num: number): number {
  return vring_avail.size + 2 * num + 2;
}

/** Bytes of a used ring: header, `num` 8-byte elements, avail_event. */
export function vring_used_size(num: number): number {
  return vring_used.size + vring_used_elem.size * num + 2;
}

/**
 * Bytes of a whole split ring laid out by the legacy rule.
 *
 * @param num descriptors, a power of two
 * @param align where the used ring starts, in bytes, a power of two
 */
export function vring_size(num: number, align: number): number {
  const driver = vring_desc_table_size(num) + vring_avail_size(num);
  return Math.ceil(driver / align) * align + vring_used_size(num);
}

/**
 * Whether the other side wants to hear of the step from `old` to `new_idx`.
 *
 * All three are u16 indices that wrap.
 */
export function vring_need_event(event_idx: number, new_idx: number, old: number): boolean {
  return ((new_idx - event_idx - 1) & 0xffff) < ((new_idx - old) & 0xffff);
}
