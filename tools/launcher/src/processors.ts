/** The host's processors in the /sys of a lab: its programs run on them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabPaths } from './runtime-dir.ts';

const DIRECTORY = '/sys/devices/system/cpu';
const MASKS = ['online', 'possible', 'present', 'offline', 'isolated', 'kernel_max'];
const TOPOLOGY = ['physical_package_id', 'die_id', 'core_id', 'thread_siblings_list', 'core_siblings_list', 'core_cpus_list', 'package_cpus_list'];

/**
 * Copy what the host says of its processors: its own directory has links to what is not in the lab.
 *
 * @returns a line for bash that mounts the copy in the lab's file system, `$mnt`; none where the host says nothing
 */
export function copyProcessors(paths: LabPaths): string {
  const copies = join(paths.dir, 'cpu');
  const copy = (dir: string, names: readonly string[]): void => {
    mkdirSync(join(copies, dir), { mode: 0o755, recursive: true });
    for (const name of names) {
      try {
        writeFileSync(join(copies, dir, name), readFileSync(join(DIRECTORY, dir, name)), { mode: 0o444 });
      } catch { /* not every kernel has all */ }
    }
  };
  let cpus: string[];
  try {
    cpus = readdirSync(DIRECTORY).filter((name) => /^cpu\d+$/.test(name));
  } catch {
    return '';
  }
  copy('', MASKS);
  for (const cpu of cpus) {
    copy(cpu, ['online']);
    copy(join(cpu, 'topology'), TOPOLOGY);
  }
  return `mount -n --bind "$dir/cpu" "$mnt${DIRECTORY}"\n`;
}
