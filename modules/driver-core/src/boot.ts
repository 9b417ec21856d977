/** Makes the driver core of one kernel: its directories and its state. */
import type { DirNode } from '@vdpalab/fs';
import { busProbeDevice } from './bus-device.ts';
import { showProcessor } from './cpu.ts';
import { DeferredProbes } from './deferred.ts';
import { getDevice, putDevice } from './device.ts';
import type { Kernel } from './kernel.ts';
import { Leftovers } from './leftovers.ts';
import { ModuleDirs } from './module-sysfs.ts';
import type { Core, Dirs } from './state.ts';
import { Uevents } from './uevent.ts';

/** A driver core, and what only its module looks at. */
export interface Booted {
  readonly core: Core;
  readonly deferred: DeferredProbes;
  readonly leftovers: Leftovers;
}

/** Make it. */
export function bootCore(k: Kernel): Booted {
  const dirs = makeDirectories(k);
  showProcessor(k, dirs.devices);
  const uevents = new Uevents(k);
  k.kernfs_create_file(dirs.kernel, 'uevent_seqnum', 0o444, { show: async () => `${uevents.seqnum}\n` });
  const deferred: DeferredProbes = new DeferredProbes(k, async (dev) => {
    getDevice(core, dev);
    await busProbeDevice(core, dev);
    putDevice(core, dev);
  });
  const core: Core = {
    k, dirs, uevents, deferred,
    moduleDirs: new ModuleDirs(k, uevents, dirs.module),
    devices: new Map(), added: new Set(), buses: new Map(), drivers: new Map(), classes: new Map(),
  };
  return { core, deferred, leftovers: new Leftovers(core, () => deferred.waiting) };
}

function makeDirectories(k: Kernel): Dirs {
  const at = (parent: DirNode, name: string): DirNode => {
    const found = k.kernfs_find(parent, name);
    return found?.kind === 'dir' ? (found as DirNode) : k.kernfs_create_dir(parent, name); // kind says so
  };
  const dev = at(k.sysfs_root, 'dev');
  return {
    devices: at(k.sysfs_root, 'devices'),
    bus: at(k.sysfs_root, 'bus'),
    class: at(k.sysfs_root, 'class'),
    kernel: at(k.sysfs_root, 'kernel'),
    module: at(k.sysfs_root, 'module'),
    devChar: at(dev, 'char'),
    devBlock: at(dev, 'block'),
  };
}
