/** Capabilities behind info structs. Mirrors `vfio_info_cap_*` in `drivers/vfio/vfio_main.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { vfio_info_cap_header } from '@vdpalab/uapi';
import type { VfioInfoCap } from './header.ts';

const { size: HEADER } = vfio_info_cap_header;
const NEXT = vfio_info_cap_header.offsetof('next');

/** Offsets of the capabilities, in order. */
function offsets({ buf }: VfioInfoCap): number[] {
  const all: number[] = [];
  const view = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
  for (let at = 0; buf.length > 0; at = view.getUint32(at + NEXT, true)) {
    all.push(at);
    if (view.getUint32(at + NEXT, true) === 0) break;
  }
  return all;
}

/** Append room for a capability, which may leave the next one unaligned. @param size bytes, header included. @returns its offset @see `vfio_info_cap_add` */
export function capAdd(caps: VfioInfoCap, size: number, id: number, version: number): number {
  const last = offsets(caps).at(-1);
  const at = caps.buf.length;
  const buf = new Uint8Array(at + size);
  buf.set(caps.buf);
  buf.set(vfio_info_cap_header.encode({ id, version }), at);
  if (last !== undefined) new DataView(buf.buffer).setUint32(last + NEXT, at, true);
  caps.buf = buf;
  return at;
}

/** @see `vfio_info_cap_shift` */
export function capShift(caps: VfioInfoCap, offset: number): Atomic {
  const view = new DataView(caps.buf.buffer, caps.buf.byteOffset, caps.buf.byteLength);
  for (const at of offsets(caps)) {
    const next = view.getUint32(at + NEXT, true);
    if (next !== 0) view.setUint32(at + NEXT, next + offset, true);
  }
}

/** @see `vfio_info_add_capability` */
export function addCapability(caps: VfioInfoCap, cap: Uint8Array): Atomic {
  const { id, version } = vfio_info_cap_header.decode(cap);
  const at = capAdd(caps, cap.length, id, version);
  caps.buf.set(cap.subarray(HEADER), at + HEADER);
}
