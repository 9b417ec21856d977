/** Reading, writing, seeking and commanding. Mirrors `fs/read_write.c`, `fs/ioctl.c` and `fs/file.c` (Linux 6.1). */
import { foldError, isKernelError } from '@vdpalab/abi';
import { O_APPEND, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols, Process } from './header.ts';
import type { OpenFile, OpenFiles } from './open-file.ts';
import { processImpl } from './process.ts';

/** Most bytes one call moves. */
const MAX_RW_COUNT = 0x7fff_f000;

type IoSymbols = Pick<FsSymbols,
  | 'ksys_close' | 'ksys_read' | 'ksys_write' | 'ksys_pread' | 'ksys_pwrite' | 'ksys_lseek' | 'ksys_ioctl' | 'ksys_fsync' | 'ksys_dup'>;

function checkLength(file: OpenFile, len: number): number {
  if (!Number.isSafeInteger(len) || len < 0) throw fail('EINVAL', 'io.length', `${file.path}: length ${len}`);
  return Math.min(len, MAX_RW_COUNT);
}

function checkPosition(file: OpenFile, pos: number): void {
  if (!Number.isSafeInteger(pos) || pos < 0) throw fail('EINVAL', 'io.position', `${file.path}: position ${pos}`);
  if (file.stream) throw fail('ESPIPE', 'io.stream', `${file.path} has no positions`);
}

async function readAt(file: OpenFile, len: number, pos: number, proc: Process): Promise<Uint8Array> {
  if (!file.readable) throw fail('EBADF', 'read.mode', `${file.path} is not open for reading`);
  if (file.ops.read === undefined) throw fail('EINVAL', 'read.no-op', `${file.path} cannot be read`);
  const want = checkLength(file, len);
  const bytes = await file.ops.read(file, want, pos, proc);
  if (bytes.length > want) throw new Error(`${file.path}: read gave ${bytes.length} bytes for ${want}`);
  return bytes;
}

async function writeAt(file: OpenFile, bytes: Uint8Array, pos: number, proc: Process): Promise<number> {
  if (!file.writable) throw fail('EBADF', 'write.mode', `${file.path} is not open for writing`);
  if (file.ops.write === undefined) throw fail('EINVAL', 'write.no-op', `${file.path} cannot be written`);
  return file.ops.write(file, bytes.subarray(0, MAX_RW_COUNT), pos, proc);
}

/** Make the calls on open files of one kernel. */
export function createIo(files: OpenFiles): IoSymbols {
  return {
    ksys_read: (proc, fd, len) => files.using(proc, fd, async (file) => {
      const bytes = await readAt(file, len, file.stream ? 0 : file.pos, proc);
      if (!file.stream) file.pos += bytes.length;
      return bytes;
    }),
    ksys_write: (proc, fd, bytes) => files.using(proc, fd, async (file) => {
      const written = await writeAt(file, bytes, file.stream ? 0 : file.pos, proc);
      if (!file.stream) file.pos += written;
      return written;
    }),
    ksys_pread: (proc, fd, len, pos) => files.using(proc, fd, async (file) => {
      checkPosition(file, pos);
      return readAt(file, len, pos, proc);
    }),
    ksys_pwrite: (proc, fd, bytes, pos) => files.using(proc, fd, async (file) => {
      checkPosition(file, pos);
      const before = file.pos;
      const written = await writeAt(file, bytes, pos, proc);
      if ((file.flags & O_APPEND) !== 0) file.pos = before; // an appending write moved it
      return written;
    }),
    ksys_lseek: (proc, fd, offset, whence) => files.using(proc, fd, async (file) => {
      if (!Number.isSafeInteger(whence) || whence < 0 || whence > 4) throw fail('EINVAL', 'lseek.whence', `${file.path}: whence ${whence}`);
      if (file.stream || file.ops.llseek === undefined) throw fail('ESPIPE', 'lseek.no-op', `${file.path} cannot seek`);
      file.pos = await file.ops.llseek(file, offset, whence);
      return file.pos;
    }),
    ksys_fsync: (proc, fd) => files.using(proc, fd, async (file) => {
      if (file.ops.fsync === undefined) throw fail('EINVAL', 'fsync.no-op', `${file.path} has no storage`);
      await file.ops.fsync(file, proc);
    }),
    ksys_ioctl: (proc, fd, cmd, arg) => files.using(proc, fd, async (file) => {
      const text = `${file.path}: no ioctl 0x${(cmd >>> 0).toString(16)}`;
      if (file.ops.unlocked_ioctl === undefined) throw fail('ENOTTY', 'ioctl.no-op', text);
      try {
        return await file.ops.unlocked_ioctl(file, cmd >>> 0, arg, proc);
      } catch (error) {
        if (isKernelError(error) && error.errno === 'ENOIOCTLCMD') throw foldError('ENOTTY', 'fs.ioctl.unknown', text, error);
        throw error;
      }
    }),
    ksys_close: async (given, fd) => {
      const proc = processImpl(given);
      const file = files.peek(proc, fd);
      proc.files.delete(fd);
      await files.fput(file);
    },
    ksys_dup: async (given, fd, newFd) => {
      const proc = processImpl(given);
      const file = files.peek(proc, fd);
      if (newFd === fd) return fd;
      if (newFd === undefined) {
        const target = files.reserve(proc);
        files.get_file(file);
        return files.install(proc, target, file);
      }
      const limit = proc.rlimits.get(RLIMIT_NOFILE) ?? Infinity;
      if (!Number.isSafeInteger(newFd) || newFd < 0 || newFd >= limit) {
        throw fail('EBADF', 'dup.target', `descriptor ${newFd}: 0 to ${limit - 1}`);
      }
      if (proc.reserved.has(newFd)) throw fail('EBUSY', 'dup.race', `descriptor ${newFd} is being opened`);
      const old = proc.files.get(newFd);
      files.get_file(file);
      proc.files.set(newFd, file);
      if (old !== undefined) await files.fput(old);
      return newFd;
    },
  };
}
