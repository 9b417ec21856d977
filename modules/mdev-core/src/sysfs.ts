/** Directories of a parent in sysfs. Mirrors `drivers/vfio/mdev/mdev_sysfs.c` (Linux 6.1). */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Attribute, Device } from '@vdpalab/driver-core';
import type { DirNode, Node } from '@vdpalab/fs';
import type { MdevType, TextGroup } from './header.ts';
import { uuidOf } from './text.ts';

/** What the directories need. */
export type SysfsKernel = Pick<KernelSymbols, 'kernfs_create_dir' | 'kernfs_create_file' | 'kernfs_create_link' | 'kernfs_remove' | 'kernfs_drain'>;

/** A type as sysfs shows it. */
export interface ShownType {
  readonly type: MdevType;
  /** `create` left out. */
  readonly attrs: readonly Attribute<MdevType>[];
}

/** Who looks after a device, for the names of its types: its driver, else its bus, else its class. */
export function driverString(dev: Device): string {
  return dev.driver?.name ?? dev.bus?.name ?? dev.class?.name ?? '';
}

/**
 * Attribute files of one object, below `dir`. What fails leaves nothing behind.
 *
 * @returns the nodes that were made, to be removed
 * @throws EEXIST
 */
export function createGroups<T>(k: SysfsKernel, dir: DirNode, groups: readonly TextGroup<T>[], of: T): Node[] {
  const made: Node[] = [];
  try {
    for (const { name, attrs } of groups) {
      const into = name === undefined ? dir : k.kernfs_create_dir(dir, name);
      if (into !== dir) made.push(into);
      for (const attr of attrs ?? []) {
        if (attr.is_visible?.(of) === false) continue;
        const file = createAttribute(k, into, attr, of);
        if (into === dir) made.push(file); // others go with their directory
      }
    }
  } catch (error) {
    for (const node of made) k.kernfs_remove(node);
    throw error;
  }
  return made;
}

/** Take nodes away, and wait for those who are inside their files. */
export async function removeNodes(k: SysfsKernel, nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) k.kernfs_remove(node);
  for (const node of nodes) await k.kernfs_drain(node);
}

function createAttribute<T>(k: SysfsKernel, dir: DirNode, { name, mode, show, store }: Attribute<T>, of: T): Node {
  return k.kernfs_create_file(dir, name, mode, {
    ...(show === undefined ? {} : { show: () => show(of) }),
    ...(store === undefined ? {} : { store: (text: string) => store(of, text) }),
  });
}

/** `mdev_supported_types` of a parent. */
export class TypeDirectories {
  readonly #k: SysfsKernel;
  readonly #root: DirNode;
  readonly #dirs = new Map<MdevType, { readonly dir: DirNode; readonly devices: DirNode }>();

  /**
   * Make them. What fails leaves nothing behind.
   *
   * @param create a write to a type's `create`
   * @throws EEXIST when two types have one name
   */
  constructor(k: SysfsKernel, root: DirNode, prefix: string, types: readonly ShownType[], create: (type: MdevType, uuid: string) => Promise<void>) {
    this.#k = k;
    this.#root = root;
    try {
      for (const { type, attrs } of types) {
        const dir = k.kernfs_create_dir(root, `${prefix}-${type.sysfs_name}`);
        k.kernfs_create_file(dir, 'create', 0o200, { store: async (text) => create(type, uuidOf(text)) });
        createGroups(k, dir, [{ attrs }], type);
        this.#dirs.set(type, { dir, devices: k.kernfs_create_dir(dir, 'devices') });
      }
    } catch (error) {
      k.kernfs_remove(root);
      throw error;
    }
  }

  /** Link a device with its type, both ways. @returns takes the links away @throws EEXIST */
  link(type: MdevType, dev: Device, sd: DirNode): () => void {
    const { dir, devices } = this.#dirs.get(type)!; // types and their directories come together
    const k = this.#k;
    const toDevice = k.kernfs_create_link(devices, dev.name, sd);
    try {
      const toType = k.kernfs_create_link(sd, 'mdev_type', dir);
      return () => {
        k.kernfs_remove(toType);
        k.kernfs_remove(toDevice);
      };
    } catch (error) {
      k.kernfs_remove(toDevice);
      throw error;
    }
  }

  /** Take all away, and wait for those who are inside a file. */
  remove(): Promise<void> {
    return removeNodes(this.#k, [this.#root]);
  }
}
