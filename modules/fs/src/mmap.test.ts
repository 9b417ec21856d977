import { KernelError } from '@vdpalab/abi';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, O_RDONLY, O_RDWR, O_WRONLY, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { FileOperations } from './header.ts';
import { bootFs, refusal } from './testing/kernel.ts';

const RW = PROT_READ | PROT_WRITE;

async function withMappable(ops: FileOperations = {}, flags = O_RDWR) {
  const kernel = await bootFs();
  const { k, root } = kernel;
  const log: string[] = [];
  const pages = k.alloc_pages(2);
  const fd = k.anon_inode_getfd(root, '[device]', {
    mmap: async (_file, area) => {
      log.push(`mmap pgoff ${area.pgoff}`);
      area.backing = { kind: 'pages', runs: [pages] };
      area.close = (): undefined => void log.push('close area');
    },
    release: async () => void log.push('release'),
    ...ops,
  }, null, flags);
  return { ...kernel, log, pages, fd, map: (len = 8192, prot = RW, how = MAP_SHARED, offset = 0) => k.ksys_mmap(root, 0, len, prot, how, fd, offset) };
}

test('a mapping shows the driver\'s pages and keeps the file until it is unmapped', async () => {
  const { k, root, inTask, log, pages, fd, map } = await withMappable();
  await inTask(async () => {
    const at = await map(8192, RW, MAP_SHARED, 4096);
    root.mm.write(at + 4096, Uint8Array.of(1, 2, 3));
    expect([...k.phys_view(pages.pa + 4096, 3)]).toEqual([1, 2, 3]);
    await k.ksys_close(root, fd);
    log.push('closed fd');
    await k.ksys_munmap(root, at, 4096);
    expect([...root.mm.read(at + 4096, 3)]).toEqual([1, 2, 3]);
    log.push('half');
    await k.ksys_munmap(root, at + 4096, 4096);
    log.push('unmapped');
  });
  expect(log).toEqual(['mmap pgoff 1', 'closed fd', 'half', 'close area', 'release', 'unmapped']);
});

test('a failing mmap leaves no area and no reference', async () => {
  const { k, root, inTask, fd, map, log } = await withMappable({
    mmap: async (_file, area) => {
      area.close = (): undefined => void log.push('close area');
      throw new KernelError('EINVAL', 'driver.mmap', 'wrong size');
    },
  });
  await expect(inTask(() => map())).rejects.toMatchObject({ errno: 'EINVAL', rule: 'driver.mmap' });
  expect(root.mm.areas).toEqual([]);
  await inTask(() => k.ksys_close(root, fd));
  expect(log).toEqual(['release']);
});

test('the open mode limits the mapping', async () => {
  const reader = await withMappable({}, O_RDONLY);
  await expect(reader.inTask(() => reader.map())).rejects.toMatchObject(refusal('EACCES', 'mmap.write'));
  expect(await reader.inTask(() => reader.map(4096, RW, MAP_PRIVATE))).toBeGreaterThan(0);
  expect(await reader.inTask(() => reader.map(4096, PROT_READ))).toBeGreaterThan(0);
  const writer = await withMappable({}, O_WRONLY);
  await expect(writer.inTask(() => writer.map(4096, PROT_READ))).rejects.toMatchObject(refusal('EACCES', 'mmap.read'));
});

test('bad lengths, offsets and kinds are EINVAL and change nothing', async () => {
  const { k, root, inTask, map, fd } = await withMappable();
  await expect(inTask(() => map(0))).rejects.toMatchObject({ errno: 'EINVAL' });
  await expect(inTask(() => map(4096, RW, MAP_SHARED, 100))).rejects.toMatchObject(refusal('EINVAL', 'mmap.offset'));
  await expect(inTask(() => map(4096, RW, 0))).rejects.toMatchObject({ errno: 'EINVAL', rule: 'mm.map.type' });
  await expect(inTask(() => k.ksys_munmap(root, 1, 4096))).rejects.toMatchObject({ errno: 'EINVAL' });
  expect(root.mm.areas).toEqual([]);
  expect(k.fget(root, fd).count).toBe(2);
});

test('anonymous memory comes zeroed and goes back', async () => {
  const { k, root, inTask } = await bootFs();
  const free = k.nr_free_pages();
  await inTask(async () => {
    const at = await k.ksys_mmap(root, 0, 10_000, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(root.mm.read(at, 12_288).every((byte) => byte === 0)).toBe(true);
    expect(k.nr_free_pages()).toBe(free - 3);
    await k.ksys_munmap(root, at, 12_288);
  });
  expect(k.nr_free_pages()).toBe(free);
});

test('memory torn down where nobody may sleep releases its files later', async () => {
  const { k, root, inTask, pages, log, fd, map } = await withMappable();
  await inTask(async () => {
    await map();
    await k.ksys_close(root, fd);
    const { mm } = root;
    k.mm_unmap(mm, mm.areas[0]?.start ?? 0, 8192); // as a driver would, without a system call
    log.push('unmapped');
    await k.msleep(1);
  });
  expect(log).toEqual(['mmap pgoff 0', 'close area', 'unmapped', 'release']);
  k.free_pages(pages);
});

test('an area unmapped while its driver still maps it is closed, and the call fails', async () => {
  const { k, root, task, run, map, log, fd } = await withMappable({
    mmap: async (_file, area) => {
      area.close = (): undefined => void log.push('close area');
      await k.msleep(2);
    },
  });
  let failure: unknown;
  task(root, 'mapper', async () => {
    await map().catch((error: unknown) => { failure = error; });
  });
  task(root, 'unmapper', async () => {
    await k.msleep(1);
    const [area] = root.mm.areas;
    if (area !== undefined) await k.ksys_munmap(root, area.start, 8192);
  });
  await run();
  expect(failure).toMatchObject(refusal('ENOMEM', 'mmap.raced'));
  expect(log).toEqual(['close area']);
  expect(k.fget(root, fd).count).toBe(2);
});

test('a binary attribute maps what its driver says', async () => {
  const { k, root, inTask } = await bootFs();
  const run = k.alloc_pages(1);
  const node = k.kernfs_create_bin_file(k.sysfs_root, 'resource0', 0o600, {
    size: 4096,
    mmap: async (area) => { area.backing = { kind: 'pages', runs: [run] }; },
  });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/resource0', O_RDWR);
    const at = await k.ksys_mmap(root, 0, 4096, RW, MAP_SHARED, fd, 0);
    root.mm.store(at, 4, 0x1234);
    expect(k.phys_view(run.pa, 2)).toEqual(Uint8Array.of(0x34, 0x12));
    k.kernfs_remove(node);
    await expect(k.ksys_mmap(root, 0, 4096, RW, MAP_SHARED, fd, 0)).rejects.toMatchObject(refusal('ENODEV'));
  });
});
