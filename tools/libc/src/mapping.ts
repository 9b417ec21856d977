/** Memory that processes share: memfds, and mapping files into a WebAssembly memory or beside it. */
import { fstatSync, ftruncateSync } from 'node:fs';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { addressOf, checked, host, HostError, lastErrno, libc } from './host.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
/** `F_SEAL_SHRINK`: the file cannot get shorter, so a mapping of it never faults. */
export const F_SEAL_SHRINK = 2;
const MAP_FAILED = -1;
/** Most bytes of an ArrayBuffer over foreign memory; one more ends the process. */
const VIEW_MAX = 0x1_0000_0000;

/** mmap(2) for reading and writing. @returns address @throws HostError what it says */
export function mmap(at: bigint, length: number, flags: number, fd: number, offset: number): bigint {
  const got = libc('intptr_t mmap(uintptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)')(at, length, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (Number(got) === MAP_FAILED) throw new HostError('mmap', lastErrno(), `${length} bytes`);
  return BigInt(got);
}

/** A memory file of this size, which can be sealed. @param size bytes */
export function memfd(name: string, size: number): number {
  const fd = checked('memfd_create', libc('int memfd_create(const char *name, unsigned int flags)')(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ftruncateSync(fd, size);
  return fd;
}

/** Forbid changes of a memory file for good. @param seals F_SEAL_* */
export function addSeals(fd: number, seals: number): void {
  checked('fcntl', libc('int fcntl(int fd, int cmd, int arg)')(fd, F_ADD_SEALS, seals));
}

/** Seals of a memory file; 0 for other files. */
export function sealsOf(fd: number): number {
  const seals = Number(libc('int fcntl(int fd, int cmd, int arg)')(fd, F_GET_SEALS, 0));
  return seals < 0 ? 0 : seals;
}

/** Bytes of a file, and of one of its pages. */
export function fileShape(fd: number): { readonly size: number; readonly page: number } {
  const { size, blksize } = fstatSync(fd);
  return { size, page: Math.max(blksize, 4096) };
}

/** A file's bytes as memory of this process. */
export interface Mapping {
  readonly buffer: ArrayBufferLike;
  /** Bytes from the buffer's start. */
  readonly byteOffset: number;
  /** Of the first byte, in this process. */
  readonly address: bigint;
  /** Give it back; nothing may look at the bytes afterwards. */
  readonly unmap: () => void;
}

/**
 * Put a file's bytes in place of a WebAssembly memory's own, shared with whoever else maps the file.
 *
 * The memory stays a memory: typed arrays over it and `memory.copy` see the file. Unmapping puts zeros there, so a view
 * that was kept reads zeros, and does no harm.
 *
 * @param buffer of a shared WebAssembly memory that cannot grow
 * @param at bytes from its start, page-aligned
 * @param offset bytes from the file's start, page-aligned
 * @throws HostError what mmap says
 */
export function mapInside(buffer: ArrayBufferLike, at: number, length: number, fd: number, offset: number): Mapping {
  if (at < 0 || at + length > buffer.byteLength) throw new RangeError(`mapping of ${length} bytes at ${at} of ${buffer.byteLength}`);
  const address = addressOf(new Uint8Array(buffer, at, 1));
  mmap(address, length, MAP_SHARED | MAP_FIXED, fd, offset);
  return {
    buffer, address,
    byteOffset: at,
    unmap: () => void mmap(address, length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0),
  };
}

/**
 * Map a file anywhere. A view that is used after `unmap` ends the process: {@link mapInside} is the safe one.
 *
 * @param length bytes, at most 4 GiB
 */
export function mapBeside(length: number, fd: number, offset: number): Mapping {
  if (length > VIEW_MAX) throw new RangeError(`mapping of ${length} bytes, at most ${VIEW_MAX}`);
  const address = mmap(0n, length, MAP_SHARED, fd, offset);
  return {
    buffer: host().view(address, length), address,
    byteOffset: 0,
    unmap: () => void checked('munmap', libc('int munmap(uintptr_t addr, size_t length)')(address, length)),
  };
}
