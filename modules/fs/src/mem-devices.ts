/** /dev/null and its kin. Mirrors `drivers/char/mem.c` (Linux 6.1). */
import type { Machine } from '@vdpalab/abi';
import { fail } from './fail.ts';
import type { FileOperations, FsSymbols } from './header.ts';

const MEM_MAJOR = 1;

const seekable: Pick<FileOperations, 'llseek'> = { llseek: async () => 0 };
const zeroes: FileOperations = {
  ...seekable,
  read: async (_file, len) => new Uint8Array(len),
  write: async (_file, bytes) => bytes.length,
};

/** Make the memory devices: number, node and driver. @param kmsg operations of /dev/kmsg */
export function createMemDevices(
  machine: Machine, kmsg: FileOperations, symbols: Pick<FsSymbols, 'alloc_chrdev_region' | 'cdev_add' | 'devtmpfs_create_node'>,
): void {
  const random: FileOperations = {
    ...seekable,
    read: async (_file, len) => Uint8Array.from({ length: len }, () => machine.sched.random() * 256),
    write: async (_file, bytes) => bytes.length,
  };
  const devices: readonly [minor: number, name: string, mode: number, ops: FileOperations][] = [
    [3, 'null', 0o666, { ...zeroes, read: async () => new Uint8Array(0) }],
    [5, 'zero', 0o666, zeroes],
    [7, 'full', 0o666, {
      ...zeroes,
      write: async (file) => {
        throw fail('ENOSPC', 'mem.full', `${file.path} is always full`);
      },
    }],
    [8, 'random', 0o666, random],
    [9, 'urandom', 0o666, random],
    [11, 'kmsg', 0o644, kmsg],
  ];
  symbols.alloc_chrdev_region('mem', MEM_MAJOR, 256);
  for (const [minor, name, mode, ops] of devices) {
    symbols.cdev_add(MEM_MAJOR, minor, ops, null, null);
    symbols.devtmpfs_create_node(name, MEM_MAJOR, minor, mode);
  }
}
