/** A lab's tree on a directory of the host. */
import type { Lab } from '@vdpalab/lab';
import type { DeviceNodes } from './attributes.ts';
import { HostProcesses } from './host-processes.ts';
import { LabFs } from './lab-fs.ts';
import { mountFuse } from './mount.ts';
import type { Mounted, MountOptions } from './mount.ts';

/** How a lab is mounted. */
export interface LabMountOptions extends Partial<MountOptions> {
  /** How device nodes are shown; as regular files, which take ioctls, when absent. */
  readonly devices?: DeviceNodes;
}

/**
 * Serve a lab's root directory until it is unmounted. {@link Mounted.closed} settles when every file that was open
 * there is released in the lab, and every client has exited.
 *
 * @param lab one on a paced clock: `createLab({ clock: 'paced' })`
 * @param dir an empty directory
 * @throws MountError when it cannot be mounted; the lab is as it was
 */
export async function mountLab(lab: Lab, dir: string, options: LabMountOptions = {}): Promise<Mounted> {
  const onBug = options.onBug ?? ((text: string): void => void process.stderr.write(`${text}\n`));
  const processes = new HostProcesses(lab, onBug);
  const fs = await LabFs.create(lab, { processes, onBug, ...(options.devices === undefined ? {} : { devices: options.devices }) });
  const close = async (): Promise<void> => {
    await fs.close();
    await processes.close();
  };
  let mounted: Mounted;
  try {
    mounted = await mountFuse(dir, fs.handlers, { ...options, onBug });
  } catch (error) {
    await close();
    throw error;
  }
  const closed = mounted.closed.then(close);
  return {
    dir: mounted.dir,
    closed,
    unmount: async () => {
      await mounted.unmount();
      await closed;
    },
  };
}
