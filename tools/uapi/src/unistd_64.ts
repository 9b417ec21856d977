/** `asm/unistd_64.h` (Linux 6.1): numbers of system calls on x86-64. */

export const __NR_stat = 4;
export const __NR_lstat = 6;
export const __NR_ioctl = 16;
export const __NR_sendto = 44;
export const __NR_recvfrom = 45;
export const __NR_sendmsg = 46;
export const __NR_recvmsg = 47;
export const __NR_bind = 49;
export const __NR_getsockname = 51;
export const __NR_socket = 41;
export const __NR_setsockopt = 54;
export const __NR_syslog = 103;
export const __NR_init_module = 175;
export const __NR_delete_module = 176;
export const __NR_newfstatat = 262;
export const __NR_finit_module = 313;
export const __NR_seccomp = 317;
export const __NR_statx = 332;
export const __NR_pidfd_open = 434;
export const __NR_pidfd_getfd = 438;
