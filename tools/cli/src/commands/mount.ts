/** `vdpalab mount`: a lab's file tree as a directory of the host, until somebody unmounts it. */
import { mountLab } from '@vdpalab/fusefs';
import type { DeviceNodes } from '@vdpalab/fusefs';
import { createLab } from '@vdpalab/lab';

/** How a lab is mounted. */
export interface MountCommandOptions {
  readonly lab?: string;
  readonly seed?: number;
  /** What is to fail on purpose. */
  readonly fail?: readonly string[];
  readonly devices: DeviceNodes;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Signals that end the service in good order. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Serve until a signal comes or the directory is unmounted.
 *
 * @returns what was left behind; empty when nothing was
 * @throws MountError when it cannot be mounted
 */
export async function mountCommand(dir: string, options: MountCommandOptions): Promise<readonly string[]> {
  const { out, err, devices } = options;
  const lab = await createLab({
    clock: 'paced',
    ...(options.lab === undefined ? {} : { file: options.lab }), ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.fail === undefined ? {} : { fail: options.fail }),
  });
  try {
    const mounted = await mountLab(lab, dir, { devices, onBug: (text) => err(`${text}\n`) });
    const stop = (): void => void mounted.unmount();
    for (const signal of SIGNALS) process.on(signal, stop);
    out(`${mounted.dir}: the files of a lab of Linux ${lab.config.release}, until Ctrl-C or umount ${mounted.dir}\n`);
    await mounted.closed;
    for (const signal of SIGNALS) process.off(signal, stop);
  } catch (error) {
    await lab.close();
    throw error;
  }
  const left = await lab.close();
  for (const what of left) err(`left behind: ${what}\n`);
  return left;
}
