/** `linux/audit.h` (Linux 6.1): which machine a system call was made for. */

export const AUDIT_ARCH_X86_64 = 0xc000_003e;
