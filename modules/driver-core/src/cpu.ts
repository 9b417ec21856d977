/**
 * The machine's one processor in sysfs, as files: it is no device, and has no driver.
 *
 * @see drivers/base/cpu.c cpu_root_attrs, drivers/base/topology.c (Linux 6.1)
 */
import type { DirNode } from '@vdpalab/fs';
import type { Kernel } from './kernel.ts';

/** Debian's CONFIG_NR_CPUS, less one. */
const KERNEL_MAX = 8191;

/** What there is of all processors. One that cannot be taken out has no file `online` of its own. */
const masks = { online: '0', possible: '0', present: '0', offline: '', isolated: '', kernel_max: `${KERNEL_MAX}` };

/** Whom a processor shares what with: as a mask and as a list. */
const shared = ['thread_siblings', 'core_cpus', 'core_siblings', 'cluster_cpus', 'die_cpus', 'package_cpus'];

const topology = {
  physical_package_id: '0', die_id: '0', cluster_id: '65535', core_id: '0',
  ...Object.fromEntries(shared.flatMap((name) => [[name, '1'], [`${name}_list`, '0']])),
};

/** Make /sys/devices/system/cpu. */
export function showProcessor(k: Kernel, devices: DirNode): void {
  const fill = (dir: DirNode, files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) k.kernfs_create_file(dir, name, 0o444, { show: async () => `${text}\n` });
  };
  const root = k.kernfs_create_dir(k.kernfs_create_dir(devices, 'system'), 'cpu');
  fill(root, masks);
  fill(k.kernfs_create_dir(k.kernfs_create_dir(root, 'cpu0'), 'topology'), topology);
}
