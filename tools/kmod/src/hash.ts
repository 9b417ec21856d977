/** The hashes that decide orders: of depmod's tables, and of names in a sysfs directory. */
import { strcmp } from './names.ts';

/** Paul Hsieh's SuperFastHash over bytes, seeded with the length: what depmod's tables use. @returns 32 bits, unsigned */
export function superFastHash(text: string): number {
  const bytes = new TextEncoder().encode(text);
  const u16 = (i: number): number => (bytes[i] as number) | ((bytes[i + 1] as number) << 8); // callers stay in range
  let hash = bytes.length | 0;
  const rest = bytes.length & 3;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    hash = (hash + u16(i)) | 0;
    hash = (hash << 16) ^ ((u16(i + 2) << 11) ^ hash);
    hash = (hash + (hash >>> 11)) | 0;
  }
  if (rest === 3) {
    hash = (hash + u16(i)) | 0;
    hash ^= hash << 16;
    hash ^= ((bytes[i + 2] as number) << 24 >> 24) << 18; // a signed char
    hash = (hash + (hash >>> 11)) | 0;
  } else if (rest === 2) {
    hash = (hash + u16(i)) | 0;
    hash ^= hash << 11;
    hash = (hash + (hash >>> 17)) | 0;
  } else if (rest === 1) {
    hash = (hash + ((bytes[i] as number) << 24 >> 24)) | 0;
    hash ^= hash << 10;
    hash = (hash + (hash >>> 1)) | 0;
  }
  hash ^= hash << 3;
  hash = (hash + (hash >>> 5)) | 0;
  hash ^= hash << 4;
  hash = (hash + (hash >>> 17)) | 0;
  hash ^= hash << 25;
  hash = (hash + (hash >>> 6)) | 0;
  return hash >>> 0;
}

/**
 * Keys in the order a kmod hash table is walked: by bucket, and by `strcmp` inside one.
 *
 * @param buckets a power of two
 */
export function hashOrder<T>(items: readonly T[], key: (item: T) => string, buckets: number): T[] {
  return items
    .map((item) => ({ item, key: key(item), bucket: superFastHash(key(item)) & (buckets - 1) }))
    .sort((a, b) => a.bucket - b.bucket || strcmp(a.key, b.key))
    .map((entry) => entry.item);
}

/** `kernfs_name_hash` (Linux 6.1, `fs/kernfs/dir.c`): names of one sysfs directory are read in its order. */
export function kernfsHash(name: string): number {
  let hash = 0n;
  const mask = 0xffff_ffff_ffff_ffffn;
  for (const byte of new TextEncoder().encode(name)) {
    const c = BigInt(byte);
    hash = ((hash + (c << 4n) + (c >> 4n)) * 11n) & mask;
  }
  const folded = Number(((hash * 0x61c8_8646_80b5_83ebn) & mask) >> 32n) & 0x7fff_ffff;
  if (folded < 2) return folded + 2;
  return folded === 0x7fff_ffff ? 0x7fff_fffe : folded;
}

/** Names in the order `readdir` of a sysfs directory gives them. */
export function sysfsOrder(names: readonly string[]): string[] {
  return [...names].sort((a, b) => kernfsHash(a) - kernfsHash(b) || strcmp(a, b));
}
