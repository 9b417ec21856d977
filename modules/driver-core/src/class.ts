/** Classes, and where a device's directory goes. Mirrors `drivers/base/class.c`, `core.c get_device_parent` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { DirNode, Node } from '@vdpalab/fs';
import { createDirectory } from './directory.ts';
import type { Class, Device } from './header.ts';
import { ClassState, devpath } from './state.ts';
import type { Core, DeviceState } from './state.ts';

/** Make /sys/class/NAME. @throws EEXIST */
export function classRegister(core: Core, cls: Class): Atomic {
  const state = new ClassState(core.k, cls, createDirectory(core, core.dirs.class, cls.name));
  try {
    state.files.groups(state.dir, cls.class_groups, cls);
  } catch (error) {
    core.k.kernfs_remove(state.dir);
    throw error;
  }
  core.classes.set(cls, state);
  return core.uevents.send(devpath(core, state.dir), 'class', 'add');
}

/** Take it away. @throws Error (a lab bug) while it has devices */
export function classUnregister(core: Core, cls: Class): Atomic {
  const state = classState(core, cls);
  if (state.devices.size > 0) throw new Error(`class ${cls.name}: unregistered with ${state.devices.size} devices`);
  state.files.removeAll();
  core.classes.delete(cls);
  core.uevents.send(devpath(core, state.dir), 'class', 'remove');
  return core.k.kernfs_remove(state.dir);
}

function classState(core: Core, cls: Class): ClassState {
  const state = core.classes.get(cls);
  if (state === undefined) throw new Error(`class ${cls.name}: not registered`);
  return state;
}

/** Link a device with its class and, from there, with its parent; the step `class` undoes it. */
export function classAddDevice(core: Core, state: DeviceState, dir: DirNode, cls: Class): void {
  const { dev } = state;
  const { k } = core;
  const owner = classState(core, cls);
  const links: Node[] = []; // not names: the class's link follows a rename
  const undo = (): void => {
    owner.devices.delete(dev);
    for (const node of links.toReversed()) k.kernfs_remove(node);
  };
  const link = (where: DirNode, name: string, target: DirNode): void => {
    links.push(k.kernfs_create_link(where, name, target));
  };
  try {
    link(dir, 'subsystem', owner.dir);
    if (dev.parent?.sd) link(dir, 'device', dev.parent.sd);
    link(owner.dir, dev.name, dir);
  } catch (error) {
    undo();
    throw error;
  }
  owner.devices.add(dev);
  state.steps.did('class', undo);
}

/** Give a device's link in its class another name. @throws EEXIST */
export function classRenameDevice(core: Core, dev: Device, cls: Class, name: string): Atomic {
  const link = core.k.kernfs_find(classState(core, cls).dir, dev.name);
  if (link !== null) core.k.kernfs_rename(link, name);
}

/**
 * The directory a device's own goes into, and how to leave it.
 *
 * A device of a class below a parent that is in no class lives in a directory named after the class; without a parent,
 * below /sys/devices/virtual. These directories come with their first device and go with their last.
 */
export function enterParentDirectory(core: Core, dev: Device): { dir: DirNode; leave: () => void } {
  const { parent } = dev;
  const below = parent?.sd ?? (dev.bus === null ? null : core.buses.get(dev.bus)?.root ?? null);
  if (dev.class === null || (parent !== null && parent.class !== null)) return { dir: below ?? core.dirs.devices, leave: () => undefined };
  const { glue } = classState(core, dev.class);
  const base = below ?? virtualDirectory(core);
  const found = glue.get(base) ?? { dir: createDirectory(core, base, dev.class.name), users: 0 };
  glue.set(base, found);
  found.users++;
  return {
    dir: found.dir,
    leave: () => {
      if (--found.users > 0) return;
      glue.delete(base);
      core.k.kernfs_remove(found.dir);
    },
  };
}

/** /sys/devices/virtual, made when first needed and then kept. */
export function virtualDirectory(core: Core): DirNode {
  const found = core.k.kernfs_find(core.dirs.devices, 'virtual');
  if (found?.kind === 'dir') return found as DirNode; // kind says so
  return core.k.kernfs_create_dir(core.dirs.devices, 'virtual');
}
