/** What would have opened the file. */
import type { KernelError } from '@vdpalab/abi';
import type { LabView } from '../view.ts';
import type { Remedies } from './index.ts';
import { listed, nearest } from './near.ts';

/** What makes a node or attribute that is not there, by its path. */
const MAKERS: readonly (readonly [RegExp, string])[] = [
  [/^\/dev\/vhost-vdpa-\d+$/, 'modprobe vhost_vdpa, and bind a vDPA device to it: a node comes with each'],
  [/^\/dev\/vduse/, 'modprobe vduse'],
  [/^\/sys\/bus\/vdpa/, 'modprobe vdpa'],
  [/^\/sys\/bus\/virtio/, 'modprobe virtio'],
  [/sriov_numvfs$/, 'take a physical function: one with an SR-IOV capability'],
  [/^\/sys\/module\/([\w-]+)/, 'modprobe the module first'],
];

/** `PATH: DIR has no NAME`. */
async function missing(error: KernelError, view: LabView): Promise<string | null> {
  const [, dir = '', name = ''] = /(\S+) has no (.*)$/.exec(error.message) ?? [];
  const path = `${dir === '/' ? '' : dir}/${name}`;
  const names = await view.entries(dir);
  const meant = names === null ? null : nearest(name, names);
  if (meant !== null) return `take ${dir === '/' ? '' : dir}/${meant}`;
  const maker = MAKERS.find(([pattern]) => pattern.test(path));
  if (maker !== undefined) return maker[1];
  return names === null ? null : `take one of ${dir}: it has ${listed(names, 'nothing')}`;
}

export const fileRemedies: Remedies = {
  'fs.path.missing': missing,
  'fs.open.missing': missing,
  'vhost_vdpa.open.busy': (error, view) => {
    const path = /^(\/dev\/\S+):/.exec(error.message)?.[1] ?? '/dev/vhost-vdpa';
    const [opener] = view.openers(path);
    return opener === undefined ? null : `let ${opener.comm}[${opener.pid}] close ${path}`;
  },
  'fs.chrdev.nobody': async (_error, view) => {
    const devices = await view.text('/proc/devices');
    return devices === null ? null : `take a major of /proc/devices: ${listed(devices.split('\n').filter((l) => /^ *\d+ /.test(l)).map((l) => l.trim()), 'none')}`;
  },
};
