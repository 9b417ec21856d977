/** Files that are in no directory. Mirrors `fs/anon_inodes.c` (Linux 6.1). */
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';
import type { OpenFiles } from './open-file.ts';
import { processImpl } from './process.ts';

/** Make the anonymous files of one kernel. */
export function createAnonInodes(files: OpenFiles): Pick<FsSymbols, 'anon_inode_getfd'> {
  return {
    anon_inode_getfd: (given, name, ops, private_data, flags) => {
      const proc = processImpl(given);
      const fd = files.reserve(proc);
      const holds = [ops.owner ?? null];
      if (!files.hold(holds)) {
        files.unreserve(proc, fd);
        throw fail('ENOENT', 'anon.going', `anon_inode:${name}: its module is going`);
      }
      return files.installNow(proc, fd, files.create({ path: `anon_inode:${name}`, flags, ops, private_data, holds }, proc));
    },
  };
}
