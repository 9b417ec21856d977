/** Parents of mediated devices, of either surface. Mirrors `drivers/vfio/mdev/mdev_core.c` (Linux 6.1 and 4.10). */
import { foldError, isKernelError, KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Attribute, Device } from '@vdpalab/driver-core';
import type { DirNode, Node } from '@vdpalab/fs';
import type { MdevDevices } from './devices.ts';
import { ParentGate } from './gate.ts';
import type { MdevDriver, MdevParent, MdevSymbols, MdevType, ParentOps } from './header.ts';
import { createGroups, driverString, removeNodes, TypeDirectories } from './sysfs.ts';
import type { ShownType, SysfsKernel } from './sysfs.ts';

/** What parents need. */
export type ParentsKernel = SysfsKernel & Pick<KernelSymbols, 'current_task' | 'dev_info' | 'dev_warn' | 'device_children' | 'get_device'
  | 'init_waitqueue_head' | 'kobject_uevent' | 'put_device' | 'wait_event' | 'wake_up'>;

/** A registered parent, as the engine keeps it. */
export interface RegisteredParent {
  readonly parent: MdevParent & { readonly dev: Device };
  readonly gate: ParentGate;
  readonly types: TypeDirectories;
  /** Devices that may still be made where the core counts: today, without `get_available`. */
  available: number;
  /** Its link in /sys/class/mdev_bus; null where that could not be made. */
  readonly link: Node | null;
  /** Files of `dev_attr_groups`. */
  readonly files: readonly Node[];
}

/** Files of a type on today's surface. */
function typeAttributes(drv: MdevDriver, available: () => number): readonly Attribute<MdevType>[] {
  const { show_description } = drv;
  const file = (name: string, text: (type: MdevType) => string): Attribute<MdevType> => ({ name, mode: 0o444, show: async (type) => text(type) });
  return [
    file('device_api', () => `${drv.device_api}\n`),
    file('name', (type) => `${type.pretty_name ?? type.sysfs_name}\n`),
    file('available_instances', (type) => `${(drv.get_available?.(type) ?? available()) >>> 0}\n`),
    ...(show_description === undefined ? [] : [file('description', show_description)]),
    ...(drv.types_attrs ?? []),
  ];
}

/** The types of `supported_config`. @throws EINVAL when a mandatory file is missing */
function configuredTypes(dev: Device, ops: ParentOps): ShownType[] {
  return ops.supported_config.map(({ name, attrs }) => {
    for (const needed of ['device_api', 'available_instances']) {
      if (!attrs.some((attr) => attr.name === needed)) {
        throw new KernelError('EINVAL', 'mdev.parent.type-files', `${dev.name}: type ${name} has no ${needed}`);
      }
    }
    return { type: { sysfs_name: name, parent: null }, attrs };
  });
}

/** Make the parents of one kernel. @param compatClass /sys/class/mdev_bus */
export function createParents(k: ParentsKernel, compatClass: DirNode, devices: MdevDevices, isRegistered: (drv: MdevDriver) => boolean):
Pick<MdevSymbols, 'mdev_register_parent' | 'mdev_unregister_parent' | 'mdev_register_device' | 'mdev_unregister_device'> {
  const parents = new Map<Device, RegisteredParent>();

  /** `mdev_supported_types` itself. @throws what the caller says where it is there already */
  function typesRoot(dev: Device, taken: (cause: unknown) => KernelError): DirNode {
    if (dev.sd === null) throw new KernelError('EINVAL', 'mdev.parent.sysfs', `${dev.name}: not in sysfs`);
    try {
      return k.kernfs_create_dir(dev.sd, 'mdev_supported_types');
    } catch (error) {
      throw isKernelError(error) && error.errno === 'EEXIST' ? taken(error) : error;
    }
  }

  /** What both surfaces do once the arguments are known to be good. */
  function register(dev: Device, parent: MdevParent, root: DirNode, types: readonly ShownType[], record: { available: number }): void {
    const create = (type: MdevType, uuid: string): Promise<void> => devices.create(parents.get(dev)!, type, uuid); // the file is there while the parent is
    const directories = new TypeDirectories(k, root, driverString(dev), types, create);
    let files: Node[];
    try {
      files = createGroups(k, dev.sd!, parent.ops?.dev_attr_groups ?? [], dev); // typesRoot has looked
    } catch (error) {
      k.kernfs_remove(root);
      throw error;
    }
    k.get_device(dev);
    parent.dev = dev;
    parent.types = types.map(({ type }) => type);
    for (const type of parent.types) type.parent = parent;
    parents.set(dev, Object.assign(record, {
      parent: parent as RegisteredParent['parent'], // dev was set just above
      gate: new ParentGate(k, dev.name), types: directories, link: compatLink(dev), files,
    }));
    k.dev_info(dev, 'MDEV: Registered');
    k.kobject_uevent(dev, 'change', ['MDEV_STATE=registered']);
  }

  function compatLink(dev: Device): Node | null {
    try {
      return k.kernfs_create_link(compatClass, dev.name, dev.sd!);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k.dev_warn(dev, 'Failed to create compatibility class link');
      return null;
    }
  }

  async function unregister(registered: RegisteredParent): Promise<void> {
    const { parent, gate, types, link, files } = registered;
    const { dev } = parent;
    k.dev_info(dev, 'MDEV: Unregistering');
    await gate.close();
    if (link !== null) k.kernfs_remove(link);
    for (const child of k.device_children(dev)) await devices.removeChild(registered, child);
    await types.remove();
    await removeNodes(k, files);
    k.kobject_uevent(dev, 'change', ['MDEV_STATE=unregistered']);
    parents.delete(dev);
    for (const type of parent.types) type.parent = null;
    Object.assign(parent, { dev: null, types: [] });
    k.put_device(dev);
  }

  return {
    async mdev_register_parent(parent, dev, mdev_driver, types, nr_types) {
      if (!isRegistered(mdev_driver)) throw new KernelError('EINVAL', 'mdev.parent.driver', `${dev.name}: driver ${mdev_driver.driver.name} is not registered`);
      // kset_create_and_add says no more than that there is none
      const root = typesRoot(dev, (cause) => foldError('ENOMEM', 'mdev.parent.twice', `${dev.name}: is a parent of mediated devices`, cause));
      const record = { available: mdev_driver.max_instances ?? 0 };
      const attrs = typeAttributes(mdev_driver, () => record.available);
      register(dev, Object.assign(parent, { mdev_driver, ops: null }), root, types.slice(0, nr_types).map((type) => ({ type, attrs })), record);
    },

    async mdev_unregister_parent(parent) {
      const registered = parent.dev === null ? undefined : parents.get(parent.dev);
      if (registered === undefined) throw new Error('mdev_unregister_parent: the parent is not registered');
      await unregister(registered);
    },

    async mdev_register_device(dev, ops) {
      const { create, remove, supported_config } = (ops ?? {}) as Partial<ParentOps>; // a caller in plain JavaScript may leave them out
      if (create === undefined || remove === undefined || (supported_config?.length ?? 0) === 0) {
        throw new KernelError('EINVAL', 'mdev.parent.ops', `${dev.name}: create, remove or supported_config is missing`);
      }
      const types = configuredTypes(dev, ops);
      const root = typesRoot(dev, (cause) => foldError('EEXIST', 'mdev.parent.twice', `${dev.name}: is a parent of mediated devices`, cause));
      register(dev, { dev: null, mdev_driver: null, ops, types: [] }, root, types, { available: 0 });
    },

    async mdev_unregister_device(dev) {
      const registered = parents.get(dev);
      if (registered === undefined) throw new Error(`mdev_unregister_device: ${dev.name} is not registered`);
      await unregister(registered);
    },
  };
}
