/** Where a seek goes. Mirrors `generic_file_llseek` and `seq_lseek` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '@vdpalab/uapi';
import type { File } from './header.ts';

/**
 * Seek in a file of known size, which is all data.
 *
 * @throws EINVAL when the result is negative; ENXIO for SEEK_DATA and SEEK_HOLE from beyond the end
 */
export async function generic_file_llseek(file: File, offset: number, whence: number, size: number): Promise<number> {
  if (whence === SEEK_DATA || whence === SEEK_HOLE) {
    if (offset < 0 || offset >= size) throw new KernelError('ENXIO', 'fs.lseek.end', `${file.path}: offset ${offset} of ${size}`);
    return whence === SEEK_DATA ? offset : size;
  }
  const bases: Readonly<Record<number, number>> = { [SEEK_SET]: 0, [SEEK_CUR]: file.pos, [SEEK_END]: size };
  return target(file, bases[whence], offset, whence);
}

/** Seek in a text made on the fly: its end is not known. @throws EINVAL as above, and for SEEK_END */
export async function seq_lseek(file: File, offset: number, whence: number): Promise<number> {
  const bases: Readonly<Record<number, number>> = { [SEEK_SET]: 0, [SEEK_CUR]: file.pos };
  return target(file, bases[whence], offset, whence);
}

function target(file: File, base: number | undefined, offset: number, whence: number): number {
  if (base === undefined) throw new KernelError('EINVAL', 'fs.lseek.whence', `${file.path}: whence ${whence}`);
  const pos = base + offset;
  if (!Number.isSafeInteger(pos) || pos < 0) throw new KernelError('EINVAL', 'fs.lseek.offset', `${file.path}: offset ${pos}`);
  return pos;
}
