/** Devices: made, added, deleted, released. Mirrors `drivers/base/core.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import { busAddDevice, busNotify, busProbeDevice } from './bus-device.ts';
import { classAddDevice, classRenameDevice, enterParentDirectory } from './class.ts';
import { deviceReleaseDriver } from './dd.ts';
import { deviceUevent, deviceUeventFile } from './device-uevent.ts';
import { createDirectory } from './directory.ts';
import { devtAddDevice } from './devt.ts';
import type { Device, DeviceInit } from './header.ts';
import { KERN } from './kernel.ts';
import { powerGroup } from './power.ts';
import { DeviceState, deviceState, devpath } from './state.ts';
import type { Core, DeviceRecord } from './state.ts';
import { runAll } from './steps.ts';

/** Make a device around `init`: one reference, not in sysfs. A `/` in the name becomes `!`, as in `dev_set_name`. */
export function deviceInitialize(core: Core, init: DeviceInit): Device {
  const name = init.name.replaceAll('/', '!');
  const dev: DeviceRecord = {
    name,
    parent: init.parent ?? null,
    bus: init.bus ?? null,
    class: init.class ?? null,
    devt: init.devt ?? null,
    ...(init.devnode === undefined ? {} : { devnode: init.devnode }),
    ...(init.groups === undefined ? {} : { groups: init.groups }),
    driver: null,
    driver_data: null,
    driver_override: null,
    sd: null,
    lock: core.k.mutex_init(`device_lock ${name}`),
    release: init.release ?? ((): Atomic => undefined),
    ...(init.uevent === undefined ? {} : { uevent: init.uevent }),
    iommu_group: null,
    dma: null,
    refcount: 1,
    dead: false,
  };
  core.devices.set(dev, new DeviceState(core.k, dev));
  return dev;
}

/** Take a reference. */
export function getDevice(core: Core, dev: Device): Device {
  deviceState(core, dev).dev.refcount++;
  return dev;
}

/** Drop a reference; the last one runs the device's release. */
export function putDevice(core: Core, dev: Device): Atomic {
  const { dev: record, devres } = deviceState(core, dev);
  if (record.refcount > 1) {
    record.refcount--;
    return;
  }
  if (core.added.has(dev)) throw new Error(`device ${dev.name}: last reference dropped before device_del`);
  if (devres.size > 0) throw new Error(`device ${dev.name}: released with resources: ${devres.held.join(', ')}`);
  record.refcount = 0;
  core.devices.delete(dev);
  return dev.release(dev);
}

/**
 * Put a device in sysfs and on its bus, announce it, probe it. What fails leaves nothing behind.
 *
 * @throws EINVAL for an empty name; EEXIST for a name that is taken; ENOENT when the parent is not in sysfs
 */
export async function deviceAdd(core: Core, dev: Device): Promise<void> {
  const state = deviceState(core, dev);
  if (core.added.has(dev) || dev.dead) throw new Error(`device ${dev.name}: added twice`);
  getDevice(core, dev);
  try {
    makeVisible(core, state);
    await busNotify(core, dev, 'ADD_DEVICE');
  } catch (error) {
    await state.steps.undoAll();
    putDevice(core, dev);
    throw error;
  }
  core.added.add(dev);
  deviceUevent(core, dev, 'add');
  await busProbeDevice(core, dev);
}

/**
 * Give a device of a class another name, and announce that it moved. Devices on a bus are not renamed.
 *
 * @throws EEXIST when the name is taken
 */
export function deviceRename(core: Core, dev: Device, name: string): Atomic {
  const { sd } = dev;
  if (sd === null || dev.class === null || dev.bus !== null) throw new Error(`device ${dev.name}: renamed, but not in a class`);
  const before = devpath(core, sd);
  // Names of a class are different in all directories together, so that what the class takes the directory takes too.
  classRenameDevice(core, dev, dev.class, name);
  core.k.kernfs_rename(sd, name);
  dev.name = name;
  deviceUevent(core, dev, 'move', [`DEVPATH_OLD=${before}`]);
}

/** Unbind, announce, remove from sysfs. References stay the callers'. */
export async function deviceDel(core: Core, dev: Device): Promise<void> {
  const state = deviceState(core, dev);
  if (!core.added.has(dev) || dev.dead) throw new Error(`device ${dev.name}: deleted, but not added`);
  await core.k.mutex_lock(dev.lock, 'device_del');
  state.dev.dead = true; // from here on nobody binds it
  core.k.mutex_unlock(dev.lock);
  try {
    await runAll(leavingSteps(core, dev));
  } finally {
    core.added.delete(dev);
    putDevice(core, dev);
  }
}

/** What `device_del` does, in order; every step runs, whatever an earlier one threw. */
function leavingSteps(core: Core, dev: Device): readonly (() => Promise<void> | void | Atomic)[] {
  const state = deviceState(core, dev);
  const { steps, files } = state;
  return [
    () => busNotify(core, dev, 'DEL_DEVICE'),
    () => steps.undoInOrder(['power', 'child', 'devt', 'class', 'uevent file', 'attributes', 'class attributes']),
    () => files.drain(),
    () => steps.undo('bus'),
    () => files.drain(),
    () => deviceReleaseDriver(core, dev),
    () => core.deferred.del(dev),
    () => state.devres.run(),
    () => busNotify(core, dev, 'REMOVED_DEVICE'),
    () => files.removeAll(),
    () => steps.undoAll(), // kobject, glue directory, parent
    () => files.drain(),
  ];
}

function makeVisible(core: Core, state: DeviceState): void {
  const { dev, steps, files } = state;
  const dir = kobjectAdd(core, state);
  files.file(dir, 'uevent', 0o644, deviceUeventFile(core, dev));
  steps.did('uevent file', () => void files.removeByName(dir, 'uevent'));
  if (dev.class !== null) {
    classAddDevice(core, state, dir, dev.class);
    steps.did('class attributes', files.groups(dir, dev.class.dev_groups, dev));
  }
  steps.did('attributes', files.groups(dir, dev.groups, dev));
  if (dev.bus !== null) busAddDevice(core, state, dir, dev.bus);
  steps.did('power', files.groups(dir, [powerGroup()], dev));
  if (dev.devt !== null) devtAddDevice(core, state, dir, dev.devt);
  if (dev.parent === null) return;
  const { children } = deviceState(core, dev.parent);
  children.add(dev);
  steps.did('child', () => void children.delete(dev));
}

/** Make the device's directory, under its parent's or its class's. */
function kobjectAdd(core: Core, state: DeviceState): DirNode {
  const { dev, steps } = state;
  const { parent, name } = dev;
  if (name === '') {
    core.k._printk(KERN.warning, '------------[ cut here ]------------');
    core.k._printk(KERN.warning, 'kobject: (____ptrval____): attempted to be registered with empty name!');
    throw new KernelError('EINVAL', 'device.add.name', 'a device has an empty name');
  }
  if (parent !== null) {
    if (parent.sd === null) throw new KernelError('ENOENT', 'device.add.parent', `${name}: parent ${parent.name} is not in sysfs`);
    getDevice(core, parent);
    steps.did('parent', () => putDevice(core, parent));
  }
  const place = enterParentDirectory(core, dev);
  steps.did('glue', place.leave);
  const dir = createDirectory(core, place.dir, name);
  dev.sd = dir;
  steps.did('kobject', () => {
    deviceUevent(core, dev, 'remove');
    core.k.kernfs_remove(dir);
    dev.sd = null;
  });
  return dir;
}
