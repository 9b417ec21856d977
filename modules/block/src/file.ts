/** The file behind a disk's node in /dev. Mirrors `block/{fops,ioctl}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import type { File, FileOperations, FsSymbols, Process } from '@vdpalab/fs';
import {
  BLKALIGNOFF, BLKBSZGET, BLKDISCARD, BLKFLSBUF, BLKGETDISKSEQ, BLKGETSIZE, BLKGETSIZE64, BLKIOMIN, BLKIOOPT, BLKPBSZGET, BLKRAGET,
  BLKROGET, BLKROSET, BLKSSZGET, BLKZEROOUT, CAP_SYS_ADMIN, O_ACCMODE, O_DIRECT, O_DSYNC, O_RDONLY, SEEK_CUR, SEEK_END, SEEK_SET, put_user,
} from '@vdpalab/uapi';
import { type Disk, SECTOR_SIZE } from './disk.ts';
import { readDisk, type TransferSymbols, writeDisk } from './transfer.ts';

/** What files take. */
export type FileSymbols = TransferSymbols & Pick<FsSymbols, 'capable'>;

/** Sectors read ahead. */
const READ_AHEAD = 256;

const refuse = (errno: ErrnoName, rule: string, text: string): KernelError => new KernelError(errno, `block.${rule}`, text);

/** @throws EIO; nothing is done where the device keeps nothing back */
export async function flush(disk: Disk): Promise<void> {
  if (!disk.queue.write_cache) return;
  await disk.queue.submit({ op: 'FLUSH', sector: 0, nr_sectors: 0, bvecs: [] }, disk.disk_name);
  disk.account('FLUSH', 0);
}

/** `blkdev_dio_unaligned`. @throws EINVAL for a part of a block, past the page cache */
function aligned({ disk_name: name, queue }: Disk, file: File, pos: number, len: number): undefined {
  const block = queue.limits.logical_block_size;
  if ((file.flags & O_DIRECT) === 0 || (pos % block === 0 && len % block === 0)) return;
  throw refuse('EINVAL', 'direct.alignment', `${name}: ${len} bytes at ${pos}, of blocks of ${block}`);
}

async function read(k: FileSymbols, disk: Disk, file: File, wanted: number, pos: number): Promise<Uint8Array> {
  if (pos >= disk.size) return new Uint8Array(0);
  const len = Math.min(wanted, disk.size - pos);
  aligned(disk, file, pos, len);
  return await readDisk(k, disk, pos, len);
}

async function write(k: FileSymbols, disk: Disk, file: File, bytes: Uint8Array, pos: number): Promise<number> {
  if (disk.ro) throw refuse('EPERM', 'write.read-only', `${disk.disk_name} is read-only`);
  if (bytes.length === 0) return 0;
  if (pos >= disk.size) throw refuse('ENOSPC', 'write.end', `${disk.disk_name}: position ${pos} of ${disk.size} bytes`);
  const len = Math.min(bytes.length, disk.size - pos);
  aligned(disk, file, pos, len);
  await writeDisk(k, disk, pos, bytes.subarray(0, len));
  if ((file.flags & O_DSYNC) !== 0) await flush(disk);
  return len;
}

function seek(disk: Disk, file: File, offset: number, whence: number): number {
  const base = { [SEEK_SET]: 0, [SEEK_CUR]: file.pos, [SEEK_END]: disk.size }[whence];
  if (base === undefined) throw refuse('EINVAL', 'lseek.whence', `${disk.disk_name}: whence ${whence}`);
  const pos = base + offset;
  if (pos < 0 || pos > disk.size) throw refuse('EINVAL', 'lseek.range', `${disk.disk_name}: position ${pos} of ${disk.size} bytes`);
  return pos;
}

/** `blk_ioctl_discard`, `blk_ioctl_zeroout`: a range of bytes in the caller's memory. */
async function clear(disk: Disk, file: File, op: 'DISCARD' | 'WRITE_ZEROES', arg: number, proc: Process): Promise<void> {
  const { disk_name: name, queue } = disk;
  if ((file.flags & O_ACCMODE) === O_RDONLY) throw refuse('EBADF', 'ioctl.read-only', `${name} is open for reading`);
  const view = new DataView(proc.mm.read(arg, 16).slice().buffer);
  const [start, len] = [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))];
  const most = op === 'DISCARD' ? queue.discard_max_sectors : queue.limits.max_write_zeroes_sectors;
  if (most === 0) throw refuse('EOPNOTSUPP', 'ioctl.clear', `${name}: the device knows no ${op}`);
  if (start % SECTOR_SIZE !== 0 || len % SECTOR_SIZE !== 0 || start + len > disk.size) throw refuse('EINVAL', 'ioctl.range', `${name}: ${len} bytes at ${start} of ${disk.size}`);
  for (let sector = start / SECTOR_SIZE; sector < (start + len) / SECTOR_SIZE;) {
    const nr_sectors = Math.min(most, (start + len) / SECTOR_SIZE - sector);
    await queue.submit({ op, sector, nr_sectors, bvecs: [] }, name);
    disk.account(op === 'DISCARD' ? 'DISCARD' : 'WRITE', nr_sectors);
    sector += nr_sectors;
  }
}

async function ioctl(k: FileSymbols, disk: Disk, file: File, cmd: number, arg: number, proc: Process): Promise<number> {
  const { limits } = disk.queue;
  const put = (size: 2 | 4 | 8, value: number): number => {
    put_user(proc.mm, arg, size, value);
    return 0;
  };
  switch (cmd) {
    case BLKGETSIZE64: return put(8, disk.size);
    case BLKGETSIZE: return put(8, disk.capacity);
    case BLKSSZGET: return put(4, limits.logical_block_size);
    case BLKPBSZGET: return put(4, limits.physical_block_size);
    case BLKBSZGET: return put(4, 4096);
    case BLKIOMIN: return put(4, limits.io_min);
    case BLKIOOPT: return put(4, limits.io_opt);
    case BLKALIGNOFF: return put(4, limits.alignment_offset);
    case BLKRAGET: return put(8, READ_AHEAD);
    case BLKROGET: return put(4, disk.ro ? 1 : 0);
    case BLKGETDISKSEQ: return put(8, disk.diskseq);
    case BLKROSET: {
      if (!k.capable(CAP_SYS_ADMIN)) throw refuse('EACCES', 'ioctl.admin', `${disk.disk_name}: CAP_SYS_ADMIN is missing`);
      const [wanted = 0] = proc.mm.read(arg, 4);
      disk.ro = wanted !== 0;
      return 0;
    }
    case BLKFLSBUF:
      if (!k.capable(CAP_SYS_ADMIN)) throw refuse('EACCES', 'ioctl.admin', `${disk.disk_name}: CAP_SYS_ADMIN is missing`);
      return 0; // nothing is kept here
    case BLKDISCARD:
    case BLKZEROOUT:
      await clear(disk, file, cmd === BLKDISCARD ? 'DISCARD' : 'WRITE_ZEROES', arg, proc);
      return 0;
    default:
      throw refuse('ENOTTY', 'ioctl.unknown', `${disk.disk_name}: no ioctl 0x${cmd.toString(16)}`);
  }
}

/** The operations of a disk's file. */
export function diskFile(k: FileSymbols, disk: Disk): FileOperations {
  return {
    async open() {
      disk.openers++;
    },
    async release() {
      disk.openers--;
    },
    read: (file, len, pos) => read(k, disk, file, len, pos),
    write: (file, bytes, pos) => write(k, disk, file, bytes, pos),
    llseek: async (file, offset, whence) => seek(disk, file, offset, whence),
    fsync: () => flush(disk),
    unlocked_ioctl: (file, cmd, arg, proc) => ioctl(k, disk, file, cmd, arg, proc),
  };
}
