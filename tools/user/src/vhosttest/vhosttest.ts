/** `vhosttest`: every call a vhost-vdpa device answers, in the order and the words of the recorded kernels' program. */
import { isKernelError } from '@vdpalab/abi';
import { O_RDWR } from '@vdpalab/uapi';
import { Caller, errnoText, type VhostTestHost } from './caller.ts';
import { backendFeatures, beforeOwner, closeResets, config, features, openChecks, owner, status } from './device.ts';
import { doorbell, messages } from './memory.ts';
import { groups, vrings } from './vring.ts';

export type { VhostTestHost, VhostTestProcess } from './caller.ts';

/** Run it on one device. @returns the exit status: 1 when the device cannot be opened */
export async function vhostTest(host: VhostTestHost, path: string): Promise<number> {
  host.out('-- open\n');
  let fd: number;
  try {
    fd = await host.p.open(path, O_RDWR);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    host.out(`open: ${errnoText(error.errno)}\n`);
    return 1;
  }
  const c = await Caller.create(host, fd);
  const sections: readonly (readonly [title: string, run: () => Promise<void>])[] = [
    ['ioctls before SET_OWNER', () => beforeOwner(c)],
    ['SET_OWNER', () => owner(c, host)],
    ['status transitions', () => status(c)],
    ['features', () => features(c)],
    ['backend features', () => backendFeatures(c)],
    ['config', () => config(c)],
    ['vring', () => vrings(c)],
    ['groups and address spaces', () => groups(c)],
    ['IOTLB messages (V2)', () => messages(c)],
    ['mmap doorbell', () => doorbell(c)],
    ['close resets', () => closeResets(c, path)],
  ];
  await openChecks(c, path);
  for (const [title, run] of sections) {
    c.say(`-- ${title}`);
    await run();
  }
  await c.p.close(c.fd);
  await c.free();
  return 0;
}
