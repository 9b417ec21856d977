/** `asm-generic/resource.h` (Linux 6.1): resource limits. */
import { defineStruct, u64 } from './struct.ts';
import type { ValueOf } from './struct.ts';

export const RLIMIT_CPU = 0;
export const RLIMIT_FSIZE = 1;
export const RLIMIT_DATA = 2;
export const RLIMIT_STACK = 3;
export const RLIMIT_CORE = 4;
export const RLIMIT_RSS = 5;
export const RLIMIT_NPROC = 6;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_MEMLOCK = 8;
export const RLIMIT_AS = 9;
export const RLIMIT_LOCKS = 10;
export const RLIMIT_SIGPENDING = 11;
export const RLIMIT_MSGQUEUE = 12;
export const RLIMIT_NICE = 13;
export const RLIMIT_RTPRIO = 14;
export const RLIMIT_RTTIME = 15;
export const RLIM_NLIMITS = 16;

/** No limit. */
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/** `struct rlimit64`: a soft and a hard limit, as prlimit64() takes them. */
export const rlimit64 = defineStruct('rlimit64', {
  rlim_cur: u64,
  rlim_max: u64,
});
/** A `struct rlimit64` as a plain object. */
export type Rlimit64 = ValueOf<typeof rlimit64>;
