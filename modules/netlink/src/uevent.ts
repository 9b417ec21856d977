/** Uevents as datagrams of NETLINK_KOBJECT_UEVENT. Mirrors `alloc_uevent_skb` in `lib/kobject_uevent.c` (Linux 6.1). */
import type { Uevent } from '@vdpalab/driver-core';
import { utf8Encode } from '@vdpalab/uapi';

/** The group of the kernel's own uevents; udev's repeated ones have 2. */
export const UEVENT_GROUP = 1;

/** `add@/devices/vdpa0`, then the environment; each string ends in a zero. */
export function ueventBytes({ action, devpath, env }: Uevent): Uint8Array<ArrayBuffer> {
  return utf8Encode([`${action}@${devpath}`, ...env].map((line) => `${line}\0`).join(''));
}
