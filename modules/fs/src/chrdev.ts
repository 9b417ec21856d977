/** Character devices. Mirrors `fs/char_dev.c` (Linux 6.1). */
import type { Atomic, KModule } from '@vdpalab/abi';
import { CHAR_MAJORS } from './builtin-majors.ts';
import { fail } from './fail.ts';
import type { FileOperations, FsSymbols } from './header.ts';

/** `find_dynamic_major`: free majors are handed out downwards, first in the low range. */
const DYNAMIC = [{ from: 254, to: 234 }, { from: 511, to: 384 }] as const;
const MINORS = 1 << 20;

/** A device number that answers opens. */
export interface Cdev {
  readonly ops: FileOperations;
  readonly owner: KModule | null;
  readonly private_data: unknown;
}

interface Region {
  /** Several where drivers share a major, each with minors of its own. */
  readonly names: readonly string[];
  readonly count: number;
}

/** Character devices of one kernel. */
export interface Chrdevs {
  readonly symbols: Pick<FsSymbols, 'alloc_chrdev_region' | 'unregister_chrdev_region' | 'cdev_add' | 'cdev_del'>;
  /** @throws ENXIO when nobody answers */
  readonly find: (major: number, minor: number) => Cdev;
  /** Regions by major, ascending, as /proc/devices lists them. */
  readonly regions: () => readonly (readonly [major: number, name: string])[];
  /** From now on, what there is counts as left over. */
  readonly settle: () => void;
  readonly leftovers: () => readonly string[];
}

/** Make the character devices of one kernel. */
export function createChrdevs(): Chrdevs {
  const regions = new Map<number, Region>();
  const cdevs = new Map<string, Cdev>();
  const own = new Set<string>();
  for (const [major, name] of CHAR_MAJORS) regions.set(major, { names: [...regions.get(major)?.names ?? [], name], count: MINORS });

  function freeMajor(): number {
    for (const { from, to } of DYNAMIC) {
      for (let major = from; major >= to; major--) if (!regions.has(major)) return major;
    }
    throw fail('EBUSY', 'chrdev.majors', 'no dynamic major number is free');
  }

  const key = (major: number, minor: number): string => `${major}:${minor}`;

  return {
    symbols: {
      alloc_chrdev_region: (name, baseMajor, count) => {
        if (!Number.isSafeInteger(count) || count < 1 || count > MINORS) {
          throw fail('EINVAL', 'chrdev.minors', `${name}: ${count} minors, 1 to ${MINORS}`);
        }
        if (!(baseMajor >= 0 && baseMajor <= 511)) throw fail('EINVAL', 'chrdev.major', `${name}: major ${baseMajor}, 0 to 511`);
        const taken = regions.get(baseMajor);
        if (taken !== undefined) throw fail('EBUSY', 'chrdev.major', `${name}: major ${baseMajor} is ${taken.names.join("'s and ")}'s`);
        const major = baseMajor === 0 ? freeMajor() : baseMajor;
        regions.set(major, { names: [name], count });
        return major;
      },
      unregister_chrdev_region: (major): Atomic => {
        if (!regions.delete(major)) throw new Error(`unregister_chrdev_region: major ${major} is nobody's`);
      },
      cdev_add: (major, minor, ops, owner, private_data): Atomic => {
        const region = regions.get(major);
        if (region === undefined || minor < 0 || minor >= region.count) throw new Error(`cdev_add ${key(major, minor)}: not in a region`);
        if (cdevs.has(key(major, minor))) throw new Error(`cdev_add ${key(major, minor)}: added already`);
        cdevs.set(key(major, minor), { ops, owner, private_data });
      },
      cdev_del: (major, minor): Atomic => {
        if (!cdevs.delete(key(major, minor))) throw new Error(`cdev_del ${key(major, minor)}: not there`);
      },
    },
    find: (major, minor) => {
      const cdev = cdevs.get(key(major, minor));
      if (cdev === undefined) throw fail('ENXIO', 'chrdev.nobody', `device ${key(major, minor)}: no driver answers`);
      return cdev;
    },
    regions: () => [...regions].sort(([a], [b]) => a - b).flatMap(([major, { names }]) => names.map((name) => [major, name] as const)),
    settle: () => {
      for (const major of regions.keys()) own.add(`${major}`);
      for (const cdev of cdevs.keys()) own.add(cdev);
    },
    leftovers: () => [
      ...[...regions].filter(([major]) => !own.has(`${major}`)).map(([major, { names }]) => `chrdev region ${major} ${names.join(', ')}`),
      ...[...cdevs.keys()].filter((cdev) => !own.has(cdev)).map((cdev) => `cdev ${cdev}`),
    ],
  };
}
