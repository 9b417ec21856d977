/** `linux/fs.h` (Linux 6.1): where lseek() counts from, and what block devices are asked. */
import { _IO, _IOR } from './ioctl.ts';

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

// Sizes and commands of block devices.
export const BLKROSET = _IO(0x12, 93);
export const BLKROGET = _IO(0x12, 94);
export const BLKRRPART = _IO(0x12, 95);
export const BLKGETSIZE = _IO(0x12, 96);
export const BLKFLSBUF = _IO(0x12, 97);
export const BLKRAGET = _IO(0x12, 99);
export const BLKSSZGET = _IO(0x12, 104);
export const BLKBSZGET = _IOR(0x12, 112, 8);
export const BLKGETSIZE64 = _IOR(0x12, 114, 8);
export const BLKDISCARD = _IO(0x12, 119);
export const BLKIOMIN = _IO(0x12, 120);
export const BLKIOOPT = _IO(0x12, 121);
export const BLKALIGNOFF = _IO(0x12, 122);
export const BLKPBSZGET = _IO(0x12, 123);
export const BLKZEROOUT = _IO(0x12, 127);
export const BLKGETDISKSEQ = _IOR(0x12, 128, 8);
