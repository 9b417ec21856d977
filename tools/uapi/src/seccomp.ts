/** `linux/seccomp.h` (Linux 6.1): filters of system calls, and the notifications they send to user space. */
import { _IOW, _IOWR } from './ioctl.ts';
import { array, defineStruct, s32, s64, u16, u32, u64 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Operations of seccomp(2).
export const SECCOMP_SET_MODE_FILTER = 1;
export const SECCOMP_GET_ACTION_AVAIL = 2;
export const SECCOMP_GET_NOTIF_SIZES = 3;

// Flags of SECCOMP_SET_MODE_FILTER.
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5;

// What a filter returns.
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000;
export const SECCOMP_RET_ALLOW = 0x7fff_0000;

// seccomp_notif_resp.flags.
export const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1 << 0;

// seccomp_notif_addfd.flags.
export const SECCOMP_ADDFD_FLAG_SETFD = 1 << 0;
export const SECCOMP_ADDFD_FLAG_SEND = 1 << 1;

/** `struct seccomp_data`: what a filter sees of a call. */
export const seccomp_data = defineStruct('seccomp_data', {
  nr: s32,
  arch: u32,
  instruction_pointer: u64,
  args: array(u64, 6),
});

/** `struct seccomp_notif_sizes` */
export const seccomp_notif_sizes = defineStruct('seccomp_notif_sizes', { seccomp_notif: u16, seccomp_notif_resp: u16, seccomp_data: u16 });
export type SeccompNotifSizes = ValueOf<typeof seccomp_notif_sizes>;

/** `struct seccomp_notif`: a call that waits for its answer; `pid` is the calling thread. */
export const seccomp_notif = defineStruct('seccomp_notif', { id: u64, pid: u32, flags: u32, data: seccomp_data });
export type SeccompNotif = ValueOf<typeof seccomp_notif>;

/** `struct seccomp_notif_resp`: `error` is 0 or a negative errno. */
export const seccomp_notif_resp = defineStruct('seccomp_notif_resp', { id: u64, val: s64, error: s32, flags: u32 });

/** `struct seccomp_notif_addfd` */
export const seccomp_notif_addfd = defineStruct('seccomp_notif_addfd', { id: u64, flags: u32, srcfd: u32, newfd: u32, newfd_flags: u32 });

// ioctls of a listener.
export const SECCOMP_IOC_MAGIC = 0x21;
export const SECCOMP_IOCTL_NOTIF_RECV = _IOWR(SECCOMP_IOC_MAGIC, 0, seccomp_notif.size);
export const SECCOMP_IOCTL_NOTIF_SEND = _IOWR(SECCOMP_IOC_MAGIC, 1, seccomp_notif_resp.size);
export const SECCOMP_IOCTL_NOTIF_ID_VALID = _IOW(SECCOMP_IOC_MAGIC, 2, u64.size);
export const SECCOMP_IOCTL_NOTIF_ADDFD = _IOW(SECCOMP_IOC_MAGIC, 3, seccomp_notif_addfd.size);
