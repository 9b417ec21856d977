/**
 * Sessions that a front-end has with a parent, from the first ioctl to the close, every call of it: what a parent that
 * parks or fails is put through. A step that is refused does not end a session; what it was answered is its result.
 */
import {
  EFD_NONBLOCK, VHOST_GET_VRING_BASE, VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_UPDATE,
  VHOST_SET_BACKEND_FEATURES, VHOST_SET_FEATURES, VHOST_SET_OWNER, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL,
  VHOST_SET_VRING_KICK, VHOST_SET_VRING_NUM, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_RESUME, VHOST_VDPA_SET_CONFIG, VHOST_VDPA_SET_CONFIG_CALL,
  VHOST_VDPA_SET_GROUP_ASID, VHOST_VDPA_SET_STATUS, VHOST_VDPA_SET_VRING_ENABLE, VHOST_VDPA_SUSPEND,
} from '@vdpalab/uapi';
import { anonymous, VhostFile } from './vhost-user-space.ts';
import type { UserCalls, UserProcess } from './vhost-user-space.ts';

/** System calls a session uses beside those of the file. */
export interface SessionCalls<P> extends UserCalls<P> {
  readonly ksys_eventfd: (proc: P, initval: number, flags: number) => number;
}

/** What a session depends on. */
export interface SessionInit {
  readonly path: string;
  readonly features: bigint;
  readonly nvqs: number;
  /** Call every queue's and the configuration's interrupt; nothing when the device is not there. */
  readonly interrupts: () => undefined;
}

/** One step and what it was answered. */
export type Step = readonly [name: string, answer: unknown];

/** open, owner, features, IOTLB in and out of a batch, rings, DRIVER_OK, kick, call, suspend, resume, reset, close. */
export async function vhostSession<P extends UserProcess>(k: SessionCalls<P>, proc: P, init: SessionInit): Promise<Step[]> {
  const steps: Step[] = [];
  const step = async (name: string, answer: Promise<unknown>): Promise<void> => void steps.push([name, await answer]);
  const f = await VhostFile.open(k, proc, init.path);
  try {
    const base = BigInt(await anonymous(k, proc, 1 << 16));
    const status = (value: number) => step(`status ${value}`, f.set(VHOST_VDPA_SET_STATUS, 1, value));
    await step('owner', f.ioctl(VHOST_SET_OWNER));
    await step('backend features', f.set(VHOST_SET_BACKEND_FEATURES, 8, 0xe));
    await status(1);
    await status(3);
    await step('features', f.set(VHOST_SET_FEATURES, 8, init.features));
    await status(0xb);
    await step('config', f.config(VHOST_VDPA_GET_CONFIG, 0, 6));
    await step('set config', f.config(VHOST_VDPA_SET_CONFIG, 0, 1, Uint8Array.of(0x52)));
    await step('group asid', f.vring(VHOST_VDPA_SET_GROUP_ASID, 0, 0));
    const map = (iova: bigint, pages: bigint) => f.iotlb(VHOST_IOTLB_UPDATE, iova, pages * 4096n, base);
    await step('begin', f.iotlb(VHOST_IOTLB_BATCH_BEGIN, 0n));
    await step('map', map(0x1_0000n, 4n));
    await step('map more', map(0x2_0000n, 1n));
    await step('end', f.iotlb(VHOST_IOTLB_BATCH_END, 0n));
    await step('map outside', map(0x3_0000n, 2n));
    await step('unmap', f.iotlb(VHOST_IOTLB_INVALIDATE, 0x2_0000n, 4096n));
    const kicks: number[] = [];
    for (let q = 0; q < init.nvqs; q++) {
      const kick = k.ksys_eventfd(proc, 0, EFD_NONBLOCK);
      kicks.push(kick);
      await step('num', f.vring(VHOST_SET_VRING_NUM, q, 16));
      await step('addr', f.vringAddr(VHOST_SET_VRING_ADDR, q, 0x1_0000n, 0x1_1000n, 0x1_2000n));
      await step('base', f.vring(VHOST_SET_VRING_BASE, q, 0));
      await step('kick fd', f.vringFile(VHOST_SET_VRING_KICK, q, kick));
      await step('call fd', f.vringFile(VHOST_SET_VRING_CALL, q, k.ksys_eventfd(proc, 0, EFD_NONBLOCK)));
      await step('enable', f.vring(VHOST_VDPA_SET_VRING_ENABLE, q, 1));
    }
    await step('config call', f.set(VHOST_VDPA_SET_CONFIG_CALL, 4, k.ksys_eventfd(proc, 0, EFD_NONBLOCK)));
    await status(0xf);
    for (const kick of kicks) await step('kick', k.ksys_write(proc, kick, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)));
    init.interrupts();
    await step('suspend', f.ioctl(VHOST_VDPA_SUSPEND));
    await step('get base', f.vringGet(VHOST_GET_VRING_BASE, 0));
    await step('resume', f.ioctl(VHOST_VDPA_RESUME));
    await status(0);
    await step('map after reset', map(0x4_0000n, 1n));
    init.interrupts();
  } finally {
    await f.close();
  }
  return steps;
}
