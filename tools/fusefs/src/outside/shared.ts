/** Memory files that a process has mapped shared, mapped here too. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { MAP_SHARED } from '@vdpalab/uapi';
import { F_SEAL_SHRINK, hostAvailable, mapInside, sealsOf } from '@vdpalab/libc';
import { sharedMemory } from '@vdpalab/machine';
import type { HostArea } from './areas.ts';

/** A mapping of another process's memory. */
export interface SharedMapping {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  /** Give it back. */
  readonly put: () => undefined;
}

/**
 * Map what a process has mapped.
 *
 * Only files that cannot get shorter: touching a page behind the end of one would end this process.
 *
 * @param va, size page-aligned, inside the area
 * @returns `null` for memory that is the process's own, and wherever it cannot be done
 */
export function mapShared(pid: number, area: HostArea, va: number, size: number): SharedMapping | null {
  if ((area.flags & MAP_SHARED) === 0 || !isMemoryFile(area.name) || !hostAvailable()) return null;
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/map_files/${area.range}`, 'r+');
  } catch {
    return null; // takes CAP_CHECKPOINT_RESTORE
  }
  try {
    const offset = area.pgoff * 4096 + (va - area.start);
    const fixed = area.name.startsWith('/dev/zero') || (sealsOf(fd) & F_SEAL_SHRINK) !== 0;
    if (!fixed || fstatSync(fd).size < offset + size) return null;
    const { buffer } = sharedMemory(size);
    const mapping = mapInside(buffer, 0, size, fd, offset);
    return { buffer, byteOffset: mapping.byteOffset, put: () => mapping.unmap() as undefined };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

/** A memfd, a file of /dev/shm, or anonymous memory that is shared. */
function isMemoryFile(name: string): boolean {
  return name.startsWith('/memfd:') || name.startsWith('/dev/shm/') || name.startsWith('/dev/zero');
}
