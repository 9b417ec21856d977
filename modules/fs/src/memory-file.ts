/** Regular files in memory: `fs/ramfs` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { O_APPEND } from '@vdpalab/uapi';
import { generic_file_llseek } from './seek.ts';
import type { Content } from './tree.ts';

/** Bytes a memory file may have. */
const SIZE_MAX = 0x7fff_ffff;

/**
 * @param initial contents; the file's own from now on
 * @param changed called after each write
 */
export function memoryContent(initial: Uint8Array, changed: () => void): Content {
  let buffer = initial;
  let size = initial.length;

  function reserve(end: number): void {
    if (end > SIZE_MAX) throw new KernelError('EFBIG', 'fs.ramfs.size', `${end} bytes, at most ${SIZE_MAX}`);
    if (end <= buffer.length) return;
    const grown = new Uint8Array(Math.max(end, buffer.length * 2));
    grown.set(buffer.subarray(0, size));
    buffer = grown;
  }

  return {
    size: () => size,
    truncate: () => {
      buffer = new Uint8Array(0);
      size = 0;
      changed();
    },
    ops: {
      read: async (_file, len, pos) => buffer.slice(Math.min(pos, size), Math.min(pos + len, size)),
      write: async (file, bytes, pos) => {
        const at = (file.flags & O_APPEND) === 0 ? pos : size;
        reserve(at + bytes.length);
        buffer.set(bytes, at);
        size = Math.max(size, at + bytes.length);
        if ((file.flags & O_APPEND) !== 0) file.pos = at; // the caller adds what was written
        changed();
        return bytes.length;
      },
      llseek: (file, offset, whence) => generic_file_llseek(file, offset, whence, size),
    },
  };
}
