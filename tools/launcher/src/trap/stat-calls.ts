/**
 * stat of the lab's devices. A mount can only show them as regular files, or nobody could open them; who asks by path is told
 * what they are: character devices, with their numbers.
 */
import { readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import type { Stat } from '@vdpalab/fs';
import type { TrapRule } from '@vdpalab/libc';
import { EFAULT, S_IFBLK, S_IFCHR, __NR_lstat, __NR_newfstatat, __NR_stat, __NR_statx } from '@vdpalab/uapi';
import type { Answer, CallFamily, TrappedCall } from './call.ts';
import { CallError } from './call-error.ts';

/** A device of the lab by its path; `null` for everything else. */
export type FindDevice = (path: string) => Promise<Stat | null>;

const AT_FDCWD = -100;
const PATH_MAX = 4096;
/** Flags of a stat by path: AT_SYMLINK_NOFOLLOW and AT_NO_AUTOMOUNT make no difference to a device. AT_EMPTY_PATH is none. */
const BY_PATH = [0, 0x100, 0x800, 0x900];
/** `STATX_BASIC_STATS` */
const STATX_BASIC_STATS = 0x7ff;
const BLOCK = 4096;

export const statRules: readonly TrapRule[] = [
  { nr: __NR_stat }, { nr: __NR_lstat }, { nr: __NR_newfstatat, when: [[{ arg: 3, in: BY_PATH }]] }, { nr: __NR_statx, when: [[{ arg: 2, in: BY_PATH }]] },
];

/** Answers for devices alone. */
export class StatCalls implements CallFamily {
  readonly #find: FindDevice | null;

  /** @param find `null` where the lab's files are not mounted */
  constructor(find: FindDevice | null) {
    this.#find = find;
  }

  async answer(call: TrappedCall): Promise<Answer> {
    const isAt = call.nr === __NR_newfstatat || call.nr === __NR_statx;
    const path = pathOf(call, call.raw(isAt ? 1 : 0), isAt ? call.int(0) : AT_FDCWD);
    if (this.#find === null || path === null || !path.startsWith('/dev/')) return 'host';
    const stat = await this.#find(path);
    if (stat === null || stat.rdev === null) return 'host';
    if (call.nr === __NR_statx) call.memory.write(call.raw(4), statxBytes(stat));
    else call.memory.write(call.raw(isAt ? 2 : 1), statBytes(stat));
    return { value: 0 };
  }

  async close(): Promise<void> {}
}

/** @returns `null` for what is no path below a directory that is known */
function pathOf(call: TrappedCall, address: bigint, dir: number): string | null {
  let path: string;
  try {
    path = call.memory.string(address, PATH_MAX);
  } catch (error) {
    if (error instanceof CallError && error.errno === EFAULT) return null; // the host says so itself
    throw error;
  }
  if (path.startsWith('/')) return posix.normalize(path);
  try {
    return posix.resolve(readlinkSync(`/proc/${call.tid}/${dir === AT_FDCWD ? 'cwd' : `fd/${dir}`}`), path);
  } catch {
    return null;
  }
}

const modeOf = ({ kind, mode }: Stat): number => (kind === 'blk' ? S_IFBLK : S_IFCHR) | mode;

/** `struct stat` of x86-64. */
function statBytes(stat: Stat): Uint8Array {
  const bytes = new Uint8Array(144);
  const view = new DataView(bytes.buffer);
  const { major, minor } = stat.rdev ?? { major: 0, minor: 0 };
  view.setBigUint64(8, BigInt(stat.ino), true);
  view.setBigUint64(16, BigInt(stat.nlink), true);
  [modeOf(stat), stat.uid, stat.gid].forEach((word, i) => view.setUint32(24 + 4 * i, word, true));
  view.setBigUint64(40, BigInt((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)), true);
  view.setBigUint64(56, BigInt(BLOCK), true);
  for (const at of [72, 88, 104]) view.setBigInt64(at, BigInt(Math.trunc(stat.mtime)), true);
  return bytes;
}

/** `struct statx` */
function statxBytes(stat: Stat): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  const { major, minor } = stat.rdev ?? { major: 0, minor: 0 };
  view.setUint32(0, STATX_BASIC_STATS, true);
  view.setUint32(4, BLOCK, true);
  [stat.nlink, stat.uid, stat.gid].forEach((word, i) => view.setUint32(16 + 4 * i, word, true));
  view.setUint16(28, modeOf(stat), true);
  view.setBigUint64(32, BigInt(stat.ino), true);
  for (const at of [64, 96, 112]) view.setBigInt64(at, BigInt(Math.trunc(stat.mtime)), true);
  view.setUint32(128, major, true);
  view.setUint32(132, minor, true);
  return bytes;
}
