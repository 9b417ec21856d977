/** Block device numbers. Mirrors `block/genhd.c` and `block/bdev.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { Cdev, Chrdevs } from './chrdev.ts';
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';

/** `register_blkdev`: free majors are handed out downwards from here. */
const HIGHEST_DYNAMIC = 254;
const BLKDEV_MAJOR_MAX = 512;

/** Block devices of one kernel. */
export interface Blkdevs extends Pick<Chrdevs, 'find' | 'regions' | 'leftovers'> {
  readonly symbols: Pick<FsSymbols, 'register_blkdev' | 'unregister_blkdev' | 'bdev_add' | 'bdev_del'>;
}

/** Make the block devices of one kernel. @param own majors that are always there */
export function createBlkdevs(own: readonly (readonly [major: number, name: string])[]): Blkdevs {
  const names = new Map(own);
  const devices = new Map<string, Cdev>();
  const key = (major: number, minor: number): string => `${major}:${minor}`;

  function freeMajor(name: string): number {
    for (let major = HIGHEST_DYNAMIC; major > 0; major--) if (!names.has(major)) return major;
    throw fail('EBUSY', 'blkdev.majors', `${name}: no dynamic major number is free`);
  }

  return {
    symbols: {
      register_blkdev(wanted, name) {
        if (!(wanted >= 0 && wanted < BLKDEV_MAJOR_MAX)) throw fail('EINVAL', 'blkdev.major', `${name}: major ${wanted}, 0 to ${BLKDEV_MAJOR_MAX - 1}`);
        const taken = names.get(wanted);
        if (taken !== undefined) throw fail('EBUSY', 'blkdev.major', `${name}: major ${wanted} is ${taken}'s`);
        const major = wanted === 0 ? freeMajor(name) : wanted;
        names.set(major, name);
        return major;
      },
      unregister_blkdev: (major): Atomic => {
        if (!names.delete(major)) throw new Error(`unregister_blkdev: major ${major} is nobody's`);
      },
      bdev_add: (major, minor, ops, owner, private_data): Atomic => {
        if (devices.has(key(major, minor))) throw new Error(`bdev_add ${key(major, minor)}: added already`);
        devices.set(key(major, minor), { ops, owner, private_data });
      },
      bdev_del: (major, minor): Atomic => {
        if (!devices.delete(key(major, minor))) throw new Error(`bdev_del ${key(major, minor)}: not there`);
      },
    },
    find(major, minor) {
      const device = devices.get(key(major, minor));
      if (device === undefined) throw fail('ENXIO', 'blkdev.nobody', `block device ${key(major, minor)}: no driver answers`);
      return device;
    },
    regions: () => [...names].sort(([a], [b]) => a - b),
    leftovers: () => [
      ...[...names].filter(([major]) => !own.some(([mine]) => mine === major)).map(([major, name]) => `block major ${major} ${name}`),
      ...[...devices.keys()].map((device) => `block device ${device}`),
    ],
  };
}
