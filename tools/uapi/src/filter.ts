/** `linux/filter.h` and `linux/bpf_common.h` (Linux 6.1): classic BPF, as far as a filter of system calls needs it. */
import { defineStruct, u16, u32, u64, u8 } from './struct.ts';

// Instruction classes.
export const BPF_LD = 0x00;
export const BPF_JMP = 0x05;
export const BPF_RET = 0x06;

// Size, mode and operand.
export const BPF_W = 0x00;
export const BPF_ABS = 0x20;
export const BPF_K = 0x00;

// Jumps.
export const BPF_JEQ = 0x10;
export const BPF_JGE = 0x30;

/** Instructions a program may have. */
export const BPF_MAXINSNS = 4096;

/** `struct sock_filter`: one instruction; `jt` and `jf` count the instructions a jump leaves out. */
export const sock_filter = defineStruct('sock_filter', { code: u16, jt: u8, jf: u8, k: u32 });

/** `struct sock_fprog`: `filter` is the address of `len` instructions. */
export const sock_fprog = defineStruct('sock_fprog', { len: u16, filter: u64 });
