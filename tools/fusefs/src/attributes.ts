/** The lab's nodes as the host's kernel is told of them. */
import type { Node, Stat } from '@vdpalab/fs';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '@vdpalab/uapi';
import { newEncodeDev } from './reply.ts';
import type { Attr } from './reply.ts';

/**
 * How device nodes are shown: as regular files, which take ioctls; or as what they are, which can be looked at but not
 * opened, since the host's kernel would look for a driver of its own.
 */
export type DeviceNodes = 'file' | 'device';

const TYPES: Readonly<Record<Stat['kind'], number>> = { dir: S_IFDIR, file: S_IFREG, link: S_IFLNK, chr: S_IFCHR, blk: S_IFBLK, fifo: S_IFIFO, sock: S_IFSOCK };

/** Makes attributes. */
export class Attributes {
  readonly #types: Readonly<Record<Stat['kind'], number>>;

  constructor(devices: DeviceNodes) {
    this.#types = devices === 'device' ? TYPES : { ...TYPES, chr: S_IFREG, blk: S_IFREG };
  }

  /** @param stat what the lab tells */
  of(node: Node, stat: Stat): Attr {
    return {
      ino: stat.ino,
      size: stat.size,
      nlink: node.removed ? 0 : stat.nlink,
      mode: this.#types[stat.kind] | stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      rdev: stat.rdev === null ? 0 : newEncodeDev(stat.rdev.major, stat.rdev.minor),
      mtime: stat.mtime,
    };
  }

  /** DT_* of a directory's entry. */
  direntType(kind: Node['kind']): number {
    return this.#types[kind] >> 12;
  }
}
