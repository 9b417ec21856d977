/** What a parent decides: whom it serves, what it refuses, what it says. */
import { answerOf, covers } from '@vdpalab/testing';
import type { FakeParentOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootMdev, openDevice, theDevice } from './testing/kernel.ts';

const SETTLED = 11;
const FEATURES = (1n << BigInt(uapi.VIRTIO_F_VERSION_1)) | (1n << BigInt(uapi.VIRTIO_F_ACCESS_PLATFORM));

test.each<[string, FakeParentOptions, string]>([
  ['translates itself', { mapping: 'set_map' }, 'EOPNOTSUPP'],
  ['maps one by one', { mapping: 'dma_map' }, 'EOPNOTSUPP'],
  ['does not declare it', { models: ['virtio', 'vhost'] }, 'EOPNOTSUPP'],
  ['has disks', { device_id: 2 }, 'ENOTSUPP'],
])('a parent that %s', async (_, options, expected) => {
  const kernel = await bootMdev(options);
  const { k } = kernel;
  await kernel.withDevice(async () => {
    const [vdev] = k.bus_devices(k.find_bus('vdpa') as never); // registered by vdpa
    const driver = k.bus_drivers(k.find_bus('vdpa') as never).find((drv) => drv.name === 'vhost_mdev');
    expect(vdev?.driver).toBeNull();
    expect(await answerOf(() => k.device_driver_attach(driver as never, vdev as never))).toBe(expected); // both found just now
  });
  expect(await kernel.gone()).toEqual([]);
});

test('what the parent refuses has the errno of then, and its reason inside', async () => {
  const seen: [op: string, answers: string][] = [];
  for (let at = 1; ; at++) {
    const kernel = await bootMdev({ fails: { at, errno: 'EIO' } });
    const results = await kernel.withDevice(async (proc) => {
      const answers: string[] = [];
      const opened = await openDevice(kernel, proc).catch((error: { errno: string }) => error.errno);
      if (typeof opened === 'string') return [`open ${opened}`];
      const { file, close } = opened;
      const note = async (what: string, answer: Promise<number | string>): Promise<void> => {
        const got = await answer;
        if (typeof got === 'string') answers.push(`${what} ${got}`);
      };
      await note('owner', file.ioctl(uapi.VHOST_SET_OWNER));
      await note('features', file.set(uapi.VHOST_SET_FEATURES, 8, FEATURES));
      await note('status', file.set(uapi.VHOST_VDPA_SET_STATUS, 1, SETTLED));
      await note('base', file.vring(uapi.VHOST_SET_VRING_BASE, 0, 5));
      await note('get base', file.vringGet(uapi.VHOST_GET_VRING_BASE, 0));
      await note('enable', file.vring(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
      const config = await file.config(uapi.VHOST_VDPA_SET_CONFIG, 0, 6, Uint8Array.of(2, 0, 0, 0, 0, 1));
      if (typeof config === 'string') answers.push(`config ${config}`);
      kernel.warnings();
      await close();
      answers.push(...kernel.warnings());
      return answers;
    });
    expect(await kernel.gone()).toEqual([]);
    if (kernel.parent.calls.failed === null) break; // there are no more
    seen.push([kernel.parent.calls.failed, results.join(', ')]);
  }
  expect(seen).toEqual([
    ['reset', 'open EIO'],
    ['set_driver_features', 'features EINVAL'],
    ['set_status', 'status EIO, base EBUSY, get base EBUSY, enable EBUSY'],
    ['set_vq_state', 'base ENODEV'],
    ['get_vq_state', 'get base EIO'],
    ['set_vq_ready', 'enable EIO'],
    ['set_config', 'config EIO'],
    ['reset', 'vhost_mdev vdpa0: close: call 8 of the fake parent, reset, fails (EIO)'],
  ]);
});

test('interrupts of queues and of the configuration are counted by their eventfds', async () => {
  const kernel = await bootMdev();
  const { k } = kernel;
  await kernel.withDevice(async (proc) => {
    const { file, close } = await openDevice(kernel, proc);
    const [call, changed] = [k.ksys_eventfd(proc, 0, 0), k.ksys_eventfd(proc, 0, 0)];
    const count = (fd: number): bigint => {
      const ctx = k.eventfd_ctx_fdget(proc, fd);
      const { count: n } = ctx;
      k.eventfd_ctx_put(ctx);
      return n;
    };
    await file.ioctl(uapi.VHOST_SET_OWNER);
    await file.set(uapi.VHOST_VDPA_SET_STATUS, 1, SETTLED);
    expect(await file.vringFile(uapi.VHOST_SET_VRING_CALL, 1, call)).toBe(0);
    const irqs = new Uint8Array(uapi.vfio_irq_set.size + 4);
    irqs.set(uapi.vfio_irq_set.encode({ argsz: irqs.length, flags: uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER, index: 0, start: 0, count: 1 }));
    irqs[uapi.vfio_irq_set.size] = changed;
    expect(await file.ioctl(uapi.VFIO_DEVICE_SET_IRQS, irqs)).toBe(0);
    theDevice(kernel.parent).raise(1);
    theDevice(kernel.parent).raiseConfig();
    theDevice(kernel.parent).raiseConfig();
    expect([count(call), count(changed)]).toEqual([1n, 2n]);
    expect(await file.vringFile(uapi.VHOST_SET_VRING_CALL, 1, -1)).toBe(0);
    theDevice(kernel.parent).raise(1);
    expect(count(call)).toBe(1n);
    // What says too little of itself, or is unknown.
    for (const [cmd, bytes] of [
      [uapi.VFIO_DEVICE_GET_INFO, uapi.vfio_device_info.encode({ argsz: 8 })], [uapi.VFIO_DEVICE_GET_REGION_INFO, uapi.vfio_region_info.encode({ argsz: 8 })],
      [uapi.VFIO_DEVICE_GET_IRQ_INFO, uapi.vfio_irq_info.encode({ argsz: 8 })], [uapi.VFIO_DEVICE_SET_IRQS, uapi.vfio_irq_set.encode({ argsz: 8 })],
    ] as const) expect(await file.ioctl(cmd, bytes)).toBe('EINVAL');
    expect(await file.ioctl(0xaf99, new Uint8Array(8))).toBe('ENOTTY');
    // The parent says nothing of doorbells: they are no pages to map, and a write rings all the same.
    const region = async (): Promise<number> => {
      expect(await file.ioctl(uapi.VFIO_DEVICE_GET_REGION_INFO, uapi.vfio_region_info.encode({ argsz: 32, index: 0 }))).toBe(0);
      return uapi.vfio_region_info.decode(proc.mm.read(file.scratch, 32)).flags;
    };
    expect(await region()).toBe(uapi.VFIO_REGION_INFO_FLAG_WRITE);
    expect(await answerOf(() => k.ksys_mmap(proc, 0, 4096, uapi.PROT_WRITE, uapi.MAP_SHARED, file.fd, 0))).toBe('EINVAL');
    kernel.parent.calls.take();
    expect(await answerOf(() => k.ksys_write(proc, file.fd, Uint8Array.of(0, 0)))).toBe(2);
    expect(kernel.parent.calls.take()).toEqual(['kick_vq 0']);
    await close();
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a memory table and a log are taken, and the parent hears of neither: addresses are the container\'s', async () => {
  covers('2.11.11');
  const kernel = await bootMdev();
  const { k } = kernel;
  await kernel.withDevice(async (proc) => {
    const { file, close } = await openDevice(kernel, proc);
    await file.ioctl(uapi.VHOST_SET_OWNER);
    kernel.parent.calls.take();
    const table = Uint8Array.of(
      ...uapi.vhost_memory.encode({ nregions: 1, padding: 0 }),
      ...uapi.vhost_memory_region.encode({ guest_phys_addr: 0n, memory_size: 4096n, userspace_addr: 0n, flags_padding: 0n }),
    );
    expect([
      await file.ioctl(uapi.VHOST_SET_MEM_TABLE, table), await file.set(uapi.VHOST_SET_LOG_BASE, 8, file.scratch),
      await file.set(uapi.VHOST_SET_LOG_FD, 4, k.ksys_eventfd(proc, 0, 0)),
    ]).toEqual([0, 0, 0]);
    expect(kernel.parent.calls.take()).toEqual([]);
    await file.set(uapi.VHOST_VDPA_SET_STATUS, 1, SETTLED);
    expect(await file.vringAddr(uapi.VHOST_SET_VRING_ADDR, 0, 0xdead_0000n, 0xdead_4000n, 0xdead_8000n)).toBe(0); // in no region of the table
    expect(kernel.parent.calls.take().at(-1)).toBe(`set_vq_address 0 ${0xdead_0000} ${0xdead_4000} ${0xdead_8000}`);
    await close();
  });
  expect(await kernel.gone()).toEqual([]);
});
