/** A disk over the block simulator, as a process sees it, and what is left when it goes. */
import { KernelError } from '@vdpalab/abi';
import { bootBuiltins, covers, errnoOf, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, TestProcess } from '@vdpalab/testing';
import type {} from '@vdpalab/fs';
import { BLKGETSIZE64, MAP_ANONYMOUS, MAP_PRIVATE, O_RDWR, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { diskName, sizeText } from './size-text.ts';

const BELOW = [
  'sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'block', 'vdpa-core', 'vhost-iotlb', 'vringh', 'vdpa-sim', 'vdpa-sim-blk',
  'virtio-ring', 'virtio', 'virtio-vdpa',
] as const;
const SIZE = 262144 * 512;

async function boot(options: BootOptions = {}): Promise<BootedKernel> {
  return await bootBuiltins([...BELOW, 'virtio-blk'], options);
}

/** `vdpa dev add` or `del` of one device. */
function dev(kernel: BootedKernel, verb: 'add' | 'del', name = 'blk0'): Promise<string> {
  return kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k, proc);
    const result = verb === 'add' ? await tool.add(name, 'vdpasim_blk') : await tool.del(name);
    await tool.close();
    return result;
  });
}

async function cat({ k }: BootedKernel, proc: TestProcess, path: string): Promise<string> {
  const fd = await k.ksys_open(proc, path, 0);
  const text = String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
  await k.ksys_close(proc, fd);
  return text;
}

test('a process writes, reads, finds the end and asks for size and serial', async () => {
  covers('2.8.5', '1.2.1');
  const kernel = await boot();
  const { k } = kernel;
  expect(await dev(kernel, 'add')).toBe('ok');
  expect(kernel.log.slice(-2).map(({ text }) => text)).toEqual([
    'virtio_blk virtio0: 1/0/0 default/read/poll queues', 'virtio_blk virtio0: [vda] 262144 512-byte logical blocks (134 MB/128 MiB)',
  ]);
  await kernel.user(async (proc) => {
    const fd = await k.ksys_open(proc, '/dev/vda', O_RDWR);
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 253); // more than one request
    expect(await k.ksys_pwrite(proc, fd, bytes, 1000)).toBe(bytes.length);
    expect((await k.ksys_pread(proc, fd, bytes.length, 1000)).every((byte, i) => byte === bytes[i])).toBe(true);
    expect([await errnoOf(() => k.ksys_pwrite(proc, fd, bytes, SIZE)), await k.ksys_pwrite(proc, fd, bytes.subarray(0, 1024), SIZE - 512)]).toEqual(['ENOSPC', 512]);
    await k.ksys_fsync(proc, fd);
    const at = await k.ksys_mmap(proc, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    await k.ksys_ioctl(proc, fd, BLKGETSIZE64, at);
    expect(new DataView(proc.mm.read(at, 8).slice().buffer).getBigUint64(0, true)).toBe(BigInt(SIZE));
    await k.ksys_close(proc, fd);
    expect([await cat(kernel, proc, '/sys/block/vda/serial'), await cat(kernel, proc, '/sys/block/vda/cache_type'), await cat(kernel, proc, '/sys/block/vda/queue/max_segments')])
      .toEqual(['vdpa_blk_sim', 'write back\n', '32\n']);
    const list = async (path: string): Promise<string[]> => (await k.ksys_readdir(proc, path)).map(({ name }) => name);
    expect(await list('/sys/block/vda')).toEqual(expect.arrayContaining(['events', 'events_async', 'events_poll_msecs', 'holders', 'integrity', 'slaves', 'trace']));
    expect([await cat(kernel, proc, '/sys/block/vda/events'), await cat(kernel, proc, '/sys/block/vda/events_poll_msecs'), await list('/sys/block/vda/holders')])
      .toEqual(['', '-1\n', []]);
  });
  expect(await dev(kernel, 'del')).toBe('ok');
  await kernel.run(() => kernel.rmmod('virtio_blk'));
  expect(kernel.leftovers()).toEqual([]);
});

test('contents outlive unbind and bind, and not the device; names are the lowest free', async () => {
  covers('2.8.5', '1.2.6');
  const kernel = await boot();
  const { k } = kernel;
  await dev(kernel, 'add');
  await dev(kernel, 'add', 'blk1');
  const vdpa = k.bus_devices(k.find_bus('vdpa')!)[0]!;
  const first = (path: string): Promise<number | undefined> => kernel.user(async (proc) => {
    const fd = await k.ksys_open(proc, path, O_RDWR);
    return (await k.ksys_pread(proc, fd, 1, 4096))[0];
  });
  await kernel.user(async (proc) => {
    const fd = await k.ksys_open(proc, '/dev/vda', O_RDWR);
    await k.ksys_pwrite(proc, fd, Uint8Array.of(77), 4096);
  });
  await kernel.run(() => k.device_release_driver(vdpa));
  expect(await errnoOf(() => first('/dev/vda'))).toBe('ENOENT');
  expect(await first('/dev/vdb')).toBe(0);
  await kernel.run(async () => void (await k.device_attach(vdpa)));
  expect(await first('/dev/vda')).toBe(77);
  await dev(kernel, 'del');
  await dev(kernel, 'add');
  expect(await first('/dev/vda')).toBe(0);
});

test('delete does not wait for who has the disk open, who finds it without sectors; the module is held', async () => {
  covers('2.8.5');
  const kernel = await boot();
  const { k } = kernel;
  await dev(kernel, 'add');
  const holder = await kernel.run(async () => k.process_create('holder'));
  const fd = await kernel.run(() => k.ksys_open(holder, '/dev/vda', O_RDWR));
  expect(await dev(kernel, 'del')).toBe('ok');
  await expect(kernel.rmmod('virtio_blk')).rejects.toThrow('in use');
  expect(await kernel.run(async () => [(await k.ksys_pread(holder, fd, 10, 0)).length, await errnoOf(() => k.ksys_pwrite(holder, fd, Uint8Array.of(1), 0))])).toEqual([0, 'ENOSPC']);
  await kernel.run(() => k.process_exit(holder));
  await kernel.run(() => kernel.rmmod('virtio_blk'));
  expect(kernel.leftovers()).toEqual([]);
});

test('a probe that fails at any step leaves nothing, and the device can be deleted', async () => {
  covers('1.4.5');
  const mayFail = /^(virtio_find_vqs|alloc_pages|blk_mq_alloc_disk|virtio_device_ready|device_add_disk|register_blkdev|alloc_workqueue|register_virtio_driver)$/;
  const failed = new Set<string>();
  for (let at = 1; ; at++) {
    let calls = 0;
    let what: string | null = null;
    const kernel = await bootBuiltins(BELOW, {
      wrap: (symbol, value, importer) => (importer !== 'virtio_blk' || !mayFail.test(symbol) ? value : (...args: unknown[]) => {
        if (++calls === at) {
          what = symbol;
          throw new KernelError('ENOMEM', 'test.injected', symbol);
        }
        return (value as (...a: unknown[]) => unknown)(...args);
      }),
    });
    const { default: virtioBlk } = await import('./module.ts');
    const before = kernel.leftovers();
    const loaded = await errnoOf(() => kernel.run(() => kernel.insmod(virtioBlk)));
    expect(await dev(kernel, 'add')).toBe('ok'); // a probe that fails is nothing to who adds
    expect(await dev(kernel, 'del')).toBe('ok');
    if (loaded === 'ok') await kernel.run(() => kernel.rmmod('virtio_blk'));
    expect([what, kernel.leftovers()]).toEqual([what, before]);
    if (what === null) break;
    failed.add(what);
  }
  expect(failed.size).toBe(8);
});

test('sizes and names are those of the log', () => {
  expect([sizeText(SIZE, 10), sizeText(SIZE, 2), sizeText(512, 10), sizeText(1 << 30, 2), sizeText(1536, 2)]).toEqual(['134 MB', '128 MiB', '512 B', '1.00 GiB', '1.50 KiB']);
  expect([0, 25, 26, 51, 52, 702].map(diskName)).toEqual(['vda', 'vdz', 'vdaa', 'vdaz', 'vdba', 'vdaaa']);
});
