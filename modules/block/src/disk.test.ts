/** A disk as its file, its queue and its directory show it. */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, errnoOf } from '@vdpalab/testing';
import {
  BLKDISCARD, BLKGETSIZE, BLKGETSIZE64, BLKROGET, BLKROSET, BLKSSZGET, BLKZEROOUT, MAP_ANONYMOUS, MAP_PRIVATE, O_DIRECT, O_DSYNC, O_RDONLY, O_RDWR,
  PROT_READ, PROT_WRITE, SEEK_END, SEEK_SET,
} from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootRam, BUILTINS, ramDisk } from './testing/ramdisk.ts';

const DISK = '/dev/rda';
const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

test('what is written is read back, at any offset, and the end is the end', async () => {
  const { k, user, ram } = await bootRam();
  await user(async (proc) => {
    const fd = await k.ksys_open(proc, DISK, O_RDWR);
    expect(await k.ksys_pwrite(proc, fd, Uint8Array.of(1, 2, 3), 510)).toBe(3); // over two sectors, in part
    expect([...(await k.ksys_pread(proc, fd, 5, 509))]).toEqual([0, 1, 2, 3, 0]);
    expect([...ram.bytes.subarray(509, 514)]).toEqual([0, 1, 2, 3, 0]);
    const end = ram.bytes.length;
    expect(await k.ksys_lseek(proc, fd, 0, SEEK_END)).toBe(end);
    expect([(await k.ksys_read(proc, fd, 10)).length, await errnoOf(() => k.ksys_write(proc, fd, new Uint8Array(1)))]).toEqual([0, 'ENOSPC']);
    expect(await k.ksys_pwrite(proc, fd, new Uint8Array(1024).fill(9), end - 512)).toBe(512);
    expect((await k.ksys_pread(proc, fd, 1024, end - 512)).length).toBe(512);
    expect([await errnoOf(() => k.ksys_lseek(proc, fd, 1, SEEK_END)), await errnoOf(() => k.ksys_lseek(proc, fd, -1, SEEK_SET)), await k.ksys_pwrite(proc, fd, new Uint8Array(0), end)])
      .toEqual(['EINVAL', 'EINVAL', 0]);
    await k.ksys_close(proc, fd);
  });
});

test('whole blocks only go past the page cache', async () => {
  const { k, user } = await bootRam();
  await user(async (proc) => {
    const fd = await k.ksys_open(proc, DISK, O_RDWR | O_DIRECT);
    expect((await k.ksys_pread(proc, fd, 512, 512)).length).toBe(512);
    for (const [len, pos] of [[100, 0], [512, 100]] as const) {
      expect([await errnoOf(() => k.ksys_pread(proc, fd, len, pos)), await errnoOf(() => k.ksys_pwrite(proc, fd, new Uint8Array(len), pos))]).toEqual(['EINVAL', 'EINVAL']);
    }
    await k.ksys_close(proc, fd);
  });
});

test('any reads and writes leave what an array would hold', async () => {
  const { k, run, user, ram } = await bootRam({ sectors: 32, limits: { logical_block_size: 1024, max_segments: 2, max_segment_size: 1024 } });
  expect(await run(async () => 1)).toBe(1);
  const step = fc.record({ pos: fc.nat(32 * 512), len: fc.nat(9000), write: fc.boolean(), value: fc.nat(255) });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
    ram.bytes.fill(0);
    const model = new Uint8Array(ram.bytes.length);
    await user(async (proc) => {
      const fd = await k.ksys_open(proc, DISK, O_RDWR);
      for (const { pos, len, write, value } of steps) {
        if (write && pos < model.length && len > 0) {
          expect(await k.ksys_pwrite(proc, fd, new Uint8Array(len).fill(value), pos)).toBe(Math.min(len, model.length - pos));
          model.fill(value, pos, Math.min(pos + len, model.length));
        }
        expect(same(await k.ksys_pread(proc, fd, len, pos), model.subarray(pos, pos + len))).toBe(true);
      }
      await k.ksys_close(proc, fd);
    });
    expect(same(ram.bytes, model)).toBe(true);
  }), { numRuns: 20 });
  expect(ram.log.every((line) => Number(line.split('+')[1]) <= 4 && Number(line.split(/[ +]/)[1]) % 2 === 0)).toBe(true); // as the limits say
});

test('ioctls tell sizes, switch to read-only, discard and clear', async () => {
  const { k, user, ram } = await bootRam({ limits: { max_discard_sectors: 8, max_write_zeroes_sectors: 8 } });
  await user(async (proc) => {
    const at = await k.ksys_mmap(proc, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const fd = await k.ksys_open(proc, DISK, O_RDWR);
    const ask = async (cmd: number): Promise<bigint> => {
      await k.ksys_ioctl(proc, fd, cmd, at);
      return new DataView(proc.mm.read(at, 8).slice().buffer).getBigUint64(0, true);
    };
    const range = (start: bigint, len: bigint): void => {
      const bytes = new Uint8Array(16);
      new DataView(bytes.buffer).setBigUint64(0, start, true);
      new DataView(bytes.buffer).setBigUint64(8, len, true);
      proc.mm.write(at, bytes);
    };
    expect([await ask(BLKGETSIZE64), await ask(BLKGETSIZE), (await ask(BLKSSZGET)) & 0xffffn]).toEqual([64n * 512n, 64n, 512n]);
    range(512n, 10n * 512n);
    expect([await k.ksys_ioctl(proc, fd, BLKDISCARD, at), await k.ksys_ioctl(proc, fd, BLKZEROOUT, at)]).toEqual([0, 0]);
    expect(ram.log.splice(0)).toEqual(['DISCARD 1+8', 'DISCARD 9+2', 'WRITE_ZEROES 1+8', 'WRITE_ZEROES 9+2']);
    range(1n, 512n);
    expect(await errnoOf(() => k.ksys_ioctl(proc, fd, BLKDISCARD, at))).toBe('EINVAL');
    range(63n * 512n, 1024n);
    expect(await errnoOf(() => k.ksys_ioctl(proc, fd, BLKDISCARD, at))).toBe('EINVAL');
    expect(await errnoOf(() => k.ksys_ioctl(proc, fd, 0x1299, at))).toBe('ENOTTY');
    const reader = await k.ksys_open(proc, DISK, O_RDONLY);
    expect(await errnoOf(() => k.ksys_ioctl(proc, reader, BLKDISCARD, at))).toBe('EBADF');
    await k.ksys_close(proc, reader);
    proc.mm.write(at, Uint8Array.of(1, 0, 0, 0));
    await k.ksys_ioctl(proc, fd, BLKROSET, at);
    expect([(await ask(BLKROGET)) & 1n, await errnoOf(() => k.ksys_pwrite(proc, fd, new Uint8Array(512), 0))]).toEqual([1n, 'EPERM']);
    await k.ksys_close(proc, fd);
  });
});

test('flushes reach a device that keeps writes back, and only that', async () => {
  for (const [write_cache, flushes] of [[true, ['FLUSH 0+0', 'FLUSH 0+0']], [false, []]] as const) {
    const { k, user, ram } = await bootRam({ write_cache });
    await user(async (proc) => {
      const fd = await k.ksys_open(proc, DISK, O_RDWR | O_DSYNC);
      await k.ksys_pwrite(proc, fd, new Uint8Array(512), 0);
      await k.ksys_fsync(proc, fd);
      await k.ksys_close(proc, fd);
    });
    expect(ram.log.filter((line) => line.startsWith('FLUSH'))).toEqual(flushes);
  }
});

test('a request that fails is EIO and a line in the log, and one the device does not know EOPNOTSUPP', async () => {
  const { k, user, ram, log } = await bootRam({ limits: { max_discard_sectors: 8 } });
  const attempt = (): Promise<string> => user((proc) => errnoOf(async () => {
    const fd = await k.ksys_open(proc, DISK, O_RDWR);
    await k.ksys_pread(proc, fd, 512, 1024);
  }));
  ram.answer = () => 'BLK_STS_IOERR';
  expect([await attempt(), log.at(-1)?.text]).toEqual(['EIO', 'I/O error, dev rda, sector 2 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2']);
  ram.answer = () => 'BLK_STS_NOTSUPP';
  expect(await attempt()).toBe('EOPNOTSUPP');
});

test('more requests than the driver takes at once wait, and go on in order', async () => {
  const { k, settle, spawn, ram } = await bootRam({ depth: 2 });
  ram.answer = null;
  const done: number[] = [];
  const write = (i: number): void => void spawn(`writer ${i}`, async () => {
    const proc: Process = k.process_create('writer');
    const fd = await k.ksys_open(proc, DISK, O_RDWR);
    await k.ksys_pwrite(proc, fd, new Uint8Array(512).fill(i), 512 * i);
    done.push(i);
    await k.process_exit(proc);
  });
  for (let i = 0; i < 5; i++) write(i);
  await settle();
  expect([ram.kept.length, new Set(ram.kept.map(({ tag }) => tag)).size, done]).toEqual([2, 2, []]);
  while (ram.kept.length > 0) {
    ram.finish();
    await settle();
  }
  expect([done.length, [...Array(5).keys()].map((i) => ram.bytes[512 * i])]).toEqual([5, [0, 1, 2, 3, 4]]);

  let busy = true;
  ram.answer = () => (busy ? 'BLK_STS_DEV_RESOURCE' : 'BLK_STS_OK');
  k.blk_mq_stop_hw_queues(ram.disk.queue);
  write(6);
  await settle();
  busy = false;
  expect(ram.bytes[512 * 6]).toBe(0);
  k.blk_mq_start_stopped_hw_queues(ram.disk.queue);
  await settle();
  expect(ram.bytes[512 * 6]).toBe(6);
});

test('a disk that goes waits for what is with the driver; its open file has no sectors then', async () => {
  const kernel = await bootRam();
  const { k, ram } = kernel;
  const proc = await kernel.run(async () => k.process_create('holder'));
  const fd = await kernel.run(() => k.ksys_open(proc, DISK, O_RDWR));
  await expect(kernel.rmmod('ramdisk')).rejects.toThrow('in use'); // an open file holds the driver
  ram.answer = null;
  const results: unknown[] = [];
  kernel.spawn('writer', async () => void results.push(await k.ksys_pwrite(proc, fd, new Uint8Array(512), 0)));
  await kernel.settle();
  kernel.spawn('remover', async () => {
    await k.del_gendisk(ram.disk);
    results.push('gone');
  });
  await kernel.settle();
  expect(results).toEqual([]);
  ram.finish();
  await kernel.settle();
  expect(results.toSorted()).toEqual([512, 'gone']);
  expect(await kernel.run(async () => [(await k.ksys_pread(proc, fd, 512, 0)).length, await errnoOf(() => k.ksys_pwrite(proc, fd, new Uint8Array(1), 0)), await errnoOf(() => k.ksys_stat(proc, DISK, true))]))
    .toEqual([0, 'ENOSPC', 'ENOENT']);
  await kernel.run(() => k.process_exit(proc));
});

test('adding a disk that fails at any step leaves nothing', async () => {
  const failed = new Set<string>();
  for (let at = 1; ; at++) {
    let calls = 0;
    let what: string | null = null;
    const ram = ramDisk();
    const kernel = await bootBuiltins(BUILTINS, {
      wrap: (symbol, value, importer) => (importer !== 'block' || !/^(device_initialize|bdev_add|device_add|kernfs_create_link)$/.test(symbol) ? value : (...args: unknown[]) => {
        if (++calls === at) {
          what = symbol;
          throw new KernelError('ENOMEM', 'test.injected', symbol);
        }
        return (value as (...a: unknown[]) => unknown)(...args);
      }),
    });
    const result = await errnoOf(() => kernel.run(() => kernel.insmod(ram.module)));
    if (what === null) {
      await kernel.run(() => kernel.rmmod('ramdisk'));
      expect(kernel.leftovers()).toEqual([]);
      break;
    }
    failed.add(what);
    expect([what, result, kernel.leftovers()]).toEqual([what, 'ENOMEM', []]);
  }
  expect(failed.size).toBe(4);
});
