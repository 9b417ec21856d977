/** Each thing that is acquired on the way from loading to mapping fails once; nothing may stay. */
import { isKernelError, KernelError } from '@vdpalab/abi';
import { answerOf, anonymous, bootBuiltins, FAKE_PARENT, fakeParent, VdpaTool, VhostFile } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import vhostVdpa from './module.ts';
import { BELOW } from './testing/kernel.ts';

/** What vhost_vdpa, vhost and the parent acquire, by who asks for it. */
const ACQUIRES: readonly (readonly [importer: string, symbol: string])[] = [
  ['vhost_vdpa', 'alloc_chrdev_region'], ['vhost_vdpa', '__vdpa_register_driver'], ['vhost_vdpa', 'device_initialize'],
  ['vhost_vdpa', 'cdev_device_add'], ['vhost_vdpa', 'vhost_dev_init'], ['vhost_vdpa', 'vhost_dev_ioctl'],
  ['vhost_vdpa', 'vhost_vring_ioctl'], ['vhost_vdpa', 'vhost_iotlb_init'], ['vhost_vdpa', 'pin_user_pages'],
  ['vhost_vdpa', 'vhost_iotlb_add_range_ctx'], ['vhost_vdpa', 'eventfd_ctx_fdget'], ['vhost_vdpa', 'irq_bypass_register_producer'],
  ['vhost_vdpa', 'vdpa_set_status'], ['vhost', 'eventfd_ctx_fdget'], ['vhost', 'vhost_iotlb_add_range'],
  [FAKE_PARENT, 'device_add'], [FAKE_PARENT, 'vdpa_mgmtdev_register'], [FAKE_PARENT, '__vdpa_alloc_device'], [FAKE_PARENT, '_vdpa_register_device'],
];

/** A table of one region. */
function memoryTable(): Uint8Array {
  const head = uapi.vhost_memory.encode({ nregions: 1, padding: 0 });
  const region = uapi.vhost_memory_region.encode({ guest_phys_addr: 0n, memory_size: 4096n, userspace_addr: 0n, flags_padding: 0n });
  return Uint8Array.of(...head, ...region);
}

test.each(ACQUIRES)('%s: %s fails', async (importer, symbol) => {
  const armed = { at: 0, hits: 0 };
  const kernel = await bootBuiltins(BELOW, {
    wrap: (name, value, who) => (name !== symbol || who !== importer || typeof value !== 'function' ? value : (...args: unknown[]) => {
      if (++armed.hits === armed.at) throw new KernelError('ENOMEM', 'test.failure', `${importer}: ${symbol} fails`);
      return (value as (...args: unknown[]) => unknown)(...args);
    }),
  });
  const { k } = kernel;
  const refused: string[] = [];
  const tried = async (body: () => Promise<unknown>): Promise<boolean> => {
    try {
      await body();
      return true;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      refused.push(error.errno);
      return false;
    }
  };

  async function session(proc: Parameters<typeof VhostFile.open<never>>[1]): Promise<void> {
    const f = await VhostFile.open(k as never, proc, '/dev/vhost-vdpa-0'); // its calls are the kernel's
    const base = await anonymous(k as never, proc, 8192);
    const answers = [
      await f.ioctl(uapi.VHOST_SET_OWNER), await f.ioctl(uapi.VHOST_SET_MEM_TABLE, memoryTable()),
      await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x1000n, 8192n, BigInt(base)),
      await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, k.ksys_eventfd(proc, 0, 0)), await f.vringFile(uapi.VHOST_SET_VRING_KICK, 0, k.ksys_eventfd(proc, 0, 0)),
      await f.set(uapi.VHOST_VDPA_SET_CONFIG_CALL, 4, k.ksys_eventfd(proc, 0, 0)), await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 4),
    ];
    refused.push(...answers.filter((answer) => typeof answer === 'string'));
    await f.close();
  }

  for (armed.at = 1; armed.at <= 3; armed.at++) {
    armed.hits = 0;
    const parent = fakeParent({ having: ['get_vq_irq'] });
    const driver = await kernel.run(() => tried(() => kernel.insmod(vhostVdpa)));
    const loaded = await kernel.run(() => tried(() => kernel.insmod(parent.module)));
    if (loaded) {
      await kernel.user(async (proc) => {
        const tool = await VdpaTool.open(k, proc);
        if ((await tool.add('vdpa0', FAKE_PARENT)) === 'ok') {
          const there = await answerOf(async () => void (await k.ksys_stat(proc, '/dev/vhost-vdpa-0', true)));
          if (there === 0) await tried(() => session(proc as never));
          expect(await tool.del('vdpa0')).toBe('ok');
        }
      });
      await kernel.run(() => kernel.rmmod(FAKE_PARENT));
    }
    if (driver) await kernel.run(() => kernel.rmmod('vhost_vdpa'));
    expect({ at: armed.at, refused, leftovers: kernel.leftovers() }).toEqual({ at: armed.at, refused, leftovers: [] });
    if (armed.hits < armed.at) break; // it is not called that often
  }
  expect(armed.at).toBeGreaterThan(1); // it was called, and failed
});
