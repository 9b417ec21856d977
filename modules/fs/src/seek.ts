/** Where a seek goes. Mirrors `generic_file_llseek` and `seq_lseek` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { SEEK_CUR, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import type { File } from './header.ts';

/**
 * Seek in a file of known size.
 *
 * @throws EINVAL when the result is negative, or `whence` is none of SEEK_SET, SEEK_CUR, SEEK_END
 */
export async function generic_file_llseek(file: File, offset: number, whence: number, size: number): Promise<number> {
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
