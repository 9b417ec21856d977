/** Directories of objects in sysfs. */
import { isKernelError } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import { KERN } from './kernel.ts';
import { devpath } from './state.ts';
import type { Core } from './state.ts';

/**
 * A directory for an object; a name that is taken is logged.
 *
 * @throws EEXIST
 * @see fs/sysfs/dir.c sysfs_warn_dup, lib/kobject.c kobject_add_internal (Linux 6.1)
 */
export function createDirectory(core: Core, parent: DirNode, name: string): DirNode {
  try {
    return core.k.kernfs_create_dir(parent, name);
  } catch (error) {
    if (isKernelError(error) && error.errno === 'EEXIST') {
      core.k._printk(KERN.warning, `sysfs: cannot create duplicate filename '${devpath(core, parent)}/${name}'`);
      core.k._printk(KERN.err, `kobject_add_internal failed for ${name} with -EEXIST, don't try to register things with the same name in the same directory.`);
    }
    throw error;
  }
}
