/** The order in which a directory lists its names, by file system (Linux 6.1). */
import { encodeText } from './text.ts';

const GOLDEN_RATIO_64 = 0x61c8_8646_80b5_83ebn;
const MASK_64 = 0xffff_ffff_ffff_ffffn;

/**
 * Hash of a name in sysfs, by which its directory is sorted.
 *
 * @see `kernfs_name_hash` in fs/kernfs/dir.c, `partial_name_hash` and `end_name_hash` in include/linux/stringhash.h
 */
export function kernfsNameHash(name: string): number {
  // 64 bits in two halves: directories are listed often, and big integers are slow.
  let [high, low] = [0, 0];
  for (const c of encodeText(name)) {
    const product = (low + (c << 4) + (c >> 4)) * 11;
    low = product >>> 0;
    high = (high * 11 + Math.floor(product / 2 ** 32)) >>> 0;
  }
  const h = (BigInt(high) << 32n) | BigInt(low);
  const hash = Number(((h * GOLDEN_RATIO_64) & MASK_64) >> 32n) & 0x7fff_ffff;
  // 0, 1 and the largest stand for `.`, `..` and the end of the listing.
  if (hash < 2) return hash + 2;
  return hash === 0x7fff_ffff ? 0x7fff_fffe : hash;
}

/** sysfs: by hash, and by name where hashes are equal (`kernfs_sd_compare`). */
export function inKernfsOrder(names: Iterable<string>): string[] {
  const hashed = [...names].map((name) => ({ name, hash: kernfsNameHash(name) }));
  hashed.sort((a, b) => a.hash - b.hash || (a.name < b.name ? -1 : 1));
  return hashed.map(({ name }) => name);
}

/** procfs: shorter names first, then by name (`proc_match` in fs/proc/generic.c); processes after all others, by pid. */
export function inProcOrder(names: Iterable<string>): string[] {
  const isPid = (name: string): boolean => /^\d+$/.test(name);
  return [...names].sort((a, b) => {
    if (isPid(a) !== isPid(b)) return isPid(a) ? 1 : -1;
    if (isPid(a)) return Number(a) - Number(b);
    return a.length - b.length || (a < b ? -1 : 1);
  });
}

/** tmpfs, ramfs and devtmpfs: newest first (`dcache_readdir` in fs/libfs.c). */
export function newestFirst(names: Iterable<string>): string[] {
  return [...names].reverse();
}
