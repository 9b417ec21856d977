/** Files whose text is made when they are read. Mirrors `fs/seq_file.c` and `fs/proc/inode.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Process } from './header.ts';
import { seq_lseek } from './seek.ts';
import { decodeText, encodeText } from './text.ts';
import type { Content } from './tree.ts';

/** Makes contents of procfs files. */
export type ProcFileMaker = (
  show: (proc: Process) => string, store?: (text: string, proc: Process) => Promise<void>,
) => Content;

/** A procfs file: its text is made at the first read and again at each read from offset 0. */
export const procContent: ProcFileMaker = (show, store) => ({
  size: () => 0,
  truncate: () => {},
  ops: {
    read: async (file, len, pos, proc) => {
      if (pos === 0 || file.private_data === null) file.private_data = encodeText(show(proc));
      return (file.private_data as Uint8Array).slice(pos, pos + len); // set above, at the first read
    },
    write: async (file, bytes, _pos, proc) => {
      // Root may open any file for writing; that nobody takes the text shows here.
      if (store === undefined) throw new KernelError('EIO', 'fs.proc.no-write', `${file.path} cannot be written`);
      await store(decodeText(bytes), proc);
      return bytes.length;
    },
    llseek: seq_lseek,
  },
});
