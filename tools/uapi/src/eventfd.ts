/** `eventfd2()` flags: `include/linux/eventfd.h` (Linux 6.1) for the kernel, `sys/eventfd.h` for programs. */
import { O_CLOEXEC, O_NONBLOCK } from './fcntl.ts';

export const EFD_SEMAPHORE = 1 << 0;
export const EFD_CLOEXEC = O_CLOEXEC;
export const EFD_NONBLOCK = O_NONBLOCK;

/** The largest count an eventfd holds; one more makes a write wait. */
export const EVENTFD_COUNT_MAX = 0xffff_ffff_ffff_fffen;
