/** Reading and writing a disk through pages of memory. Mirrors `block/fops.c` (Linux 6.1), as if every file were O_SYNC. */
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import { type Disk, SECTOR_SIZE } from './disk.ts';
import type { BioVec } from './header.ts';

/** What transfers take. */
export type TransferSymbols = Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>;

const PAGE_SIZE = 4096;

/** Sectors that one request moves. */
function requestSectors({ limits }: Disk['queue']): number {
  return Math.min(limits.max_sectors, (limits.max_segments * Math.min(limits.max_segment_size, PAGE_SIZE)) / SECTOR_SIZE);
}

/** Pieces of a request, none longer than a page or than the device takes. */
function pieces(pa: number, bytes: number, max: number): BioVec[] {
  const out: BioVec[] = [];
  for (let at = 0; at < bytes;) {
    const len = Math.min(bytes - at, max, PAGE_SIZE - (at % PAGE_SIZE));
    out.push({ pa: pa + at, len });
    at += len;
  }
  return out;
}

/** Move whole blocks. @param body with the memory, before a write or after a read */
async function blocks(k: TransferSymbols, disk: Disk, op: 'READ' | 'WRITE', start: number, bytes: number, body: (memory: Uint8Array, at: number) => void): Promise<void> {
  const most = requestSectors(disk.queue) * SECTOR_SIZE;
  for (let at = 0; at < bytes; at += most) {
    const size = Math.min(most, bytes - at);
    const run: PageRun = k.alloc_pages(Math.ceil(size / PAGE_SIZE));
    try {
      const memory = k.phys_view(run.pa, size);
      if (op === 'WRITE') body(memory, at);
      const bio = { op, sector: (start + at) / SECTOR_SIZE, nr_sectors: size / SECTOR_SIZE, bvecs: pieces(run.pa, size, disk.queue.limits.max_segment_size) };
      await disk.queue.submit(bio, disk.disk_name);
      disk.account(op, bio.nr_sectors);
      if (op === 'READ') body(memory, at);
    } finally {
      k.free_pages(run);
    }
  }
}

/** @returns `[pos, pos + len)`, which lies on the disk. @throws EIO */
export async function readDisk(k: TransferSymbols, disk: Disk, pos: number, len: number): Promise<Uint8Array> {
  const block = disk.queue.limits.logical_block_size;
  const start = pos - (pos % block);
  const whole = new Uint8Array(Math.ceil((pos + len) / block) * block - start);
  await blocks(k, disk, 'READ', start, whole.length, (memory, at) => whole.set(memory, at));
  return whole.subarray(pos - start, pos - start + len);
}

/** Write what lies on the disk; blocks that are covered in part are read first. @throws EIO */
export async function writeDisk(k: TransferSymbols, disk: Disk, pos: number, bytes: Uint8Array): Promise<void> {
  const block = disk.queue.limits.logical_block_size;
  const start = pos - (pos % block);
  const end = Math.ceil((pos + bytes.length) / block) * block;
  let whole = bytes;
  if (start !== pos || end !== pos + bytes.length) {
    whole = new Uint8Array(end - start);
    whole.set(await readDisk(k, disk, start, block));
    if (end - start > block) whole.set(await readDisk(k, disk, end - block, block), end - start - block);
    whole.set(bytes, pos - start);
  }
  await blocks(k, disk, 'WRITE', start, whole.length, (memory, at) => memory.set(whole.subarray(at, at + memory.length)));
}
