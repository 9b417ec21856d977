import { O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, POLLERR, POLLIN, POLLPRI, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { KernelError } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import type { AttributeOps, BinAttributeOps } from './header.ts';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

async function withAttribute(mode: number, ops: AttributeOps) {
  const kernel = await bootFs();
  const node = kernel.k.kernfs_create_file(kernel.k.sysfs_root, 'a', mode, ops);
  return { ...kernel, node };
}

async function withBinary(mode: number, ops: BinAttributeOps) {
  const kernel = await bootFs();
  const node = kernel.k.kernfs_create_bin_file(kernel.k.sysfs_root, 'b', mode, ops);
  return { ...kernel, node };
}

test('show runs once per reading from the start; further reads get slices, a read at 0 runs it again', async () => {
  let runs = 0;
  const { k, root, inTask, leftovers } = await withAttribute(0o444, { show: async () => `value ${++runs}\n` });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/a', O_RDONLY);
    const read = async (len: number): Promise<string> => decodeText(await k.ksys_read(root, fd, len));
    expect([await read(3), await read(100), await read(100)]).toEqual(['val', 'ue 1\n', '']);
    expect(decodeText(await k.ksys_pread(root, fd, 100, 6))).toBe('1\n');
    await k.ksys_lseek(root, fd, 0, SEEK_SET);
    expect(await read(100)).toBe('value 2\n');
    expect(await k.ksys_lseek(root, fd, 0, SEEK_END)).toBe(4096);
    await k.ksys_close(root, fd);
  });
  expect(runs).toBe(2);
  expect(leftovers()).toEqual([]);
});

test('text of a page or more is cut below a page, and the log says so', async () => {
  const { k, root, inTask, log } = await withAttribute(0o444, { show: async () => 'x'.repeat(5000) });
  const fd = await inTask(() => k.ksys_open(root, '/sys/a', O_RDONLY));
  expect((await inTask(() => k.ksys_read(root, fd, 10_000))).length).toBe(4095);
  expect(log.map((line) => line.text)).toEqual(['fill_read_buffer: /sys/a returned bad count']);
});

test('a write is one store of at most a page, and its errno is the write\'s', async () => {
  const stored: string[] = [];
  const store = async (text: string): Promise<void> => {
    if (text.startsWith('bad')) throw new KernelError('EBUSY', 'test', 'no');
    stored.push(text);
  };
  const { k, root, inTask } = await withAttribute(0o200, { store });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/a', O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
    expect(await k.ksys_write(root, fd, encodeText('vdpa0\nvdpa1\n'))).toBe(12);
    expect(await k.ksys_write(root, fd, new Uint8Array(0))).toBe(0);
    expect(await k.ksys_write(root, fd, encodeText('y'.repeat(5000)))).toBe(4096);
    await expect(k.ksys_write(root, fd, encodeText('bad'))).rejects.toMatchObject({ errno: 'EBUSY', rule: 'test' });
    await expect(k.ksys_read(root, fd, 1)).rejects.toMatchObject(refusal('EBADF'));
  });
  expect(stored).toEqual(['vdpa0\nvdpa1\n', 'y'.repeat(4096)]);
});

test.each<[string, number, number, AttributeOps, string]>([
  ['0200 for reading', 0o200, O_RDONLY, { show: async () => '' , store: async () => {} }, 'attribute.open-read'],
  ['0200 for both', 0o200, O_RDWR, { show: async () => '', store: async () => {} }, 'attribute.open-read'],
  ['0444 for writing', 0o444, O_WRONLY, { show: async () => '', store: async () => {} }, 'attribute.open-write'],
  ['0644 without a store for writing', 0o644, O_WRONLY, { show: async () => '' }, 'attribute.open-write'],
])('opening %s is EACCES even for root', async (_what, mode, flags, ops, rule) => {
  const { k, root, inTask, leftovers } = await withAttribute(mode, ops);
  await expect(inTask(() => k.ksys_open(root, '/sys/a', flags))).rejects.toMatchObject(refusal('EACCES', rule));
  expect(leftovers()).toEqual([]);
});

test('an attribute without show is EIO at the read', async () => {
  const { k, root, inTask } = await withAttribute(0o644, {});
  const fd = await inTask(() => k.ksys_open(root, '/sys/a', O_RDONLY));
  await expect(inTask(() => k.ksys_read(root, fd, 1))).rejects.toMatchObject(refusal('EIO', 'attribute.no-show'));
});

test('show\'s errno is the read\'s', async () => {
  const { k, root, inTask } = await withAttribute(0o444, {
    show: async () => { throw new KernelError('EIO', 'pm.autosuspend', 'not in use'); },
  });
  const fd = await inTask(() => k.ksys_open(root, '/sys/a', O_RDONLY));
  await expect(inTask(() => k.ksys_read(root, fd, 1))).rejects.toMatchObject({ errno: 'EIO', rule: 'pm.autosuspend' });
});

test('a removed attribute answers ENODEV through open files', async () => {
  const { k, root, inTask, node } = await withAttribute(0o644, { show: async () => 'x', store: async () => {} });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/a', O_RDWR);
    k.kernfs_remove(node);
    await expect(k.ksys_read(root, fd, 1)).rejects.toMatchObject(refusal('ENODEV', 'attribute.removed'));
    await expect(k.ksys_write(root, fd, encodeText('1'))).rejects.toMatchObject(refusal('ENODEV', 'attribute.removed'));
    await k.ksys_close(root, fd);
  });
});

test('pollers hear of sysfs_notify until they have read again', async () => {
  const { k, root, inTask, task, node } = await withAttribute(0o444, { show: async () => '1\n' });
  const events = POLLPRI | POLLERR;
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/a', O_RDONLY);
    const poll = (ns: number): Promise<number[]> => k.ksys_poll(root, [{ fd, events }], ns);
    expect(await poll(0)).toEqual([0]);
    task(root, 'notifier', async () => {
      await k.msleep(1);
      k.sysfs_notify(node);
    });
    expect(await poll(-1)).toEqual([events]);
    expect(await poll(0)).toEqual([events]);
    await k.ksys_read(root, fd, 10);
    expect(await poll(0)).toEqual([0]);
    expect(await k.ksys_poll(root, [{ fd, events: POLLIN }], 0)).toEqual([POLLIN]);
  });
  expect(() => k.sysfs_notify(k.sysfs_root)).toThrow('not an attribute');
});

test('a binary attribute is read and written by position within its size', async () => {
  const memory = new Uint8Array(8);
  const { k, root, inTask } = await withBinary(0o600, {
    size: 8,
    read: async (pos, len) => memory.slice(pos, pos + len),
    write: async (pos, bytes) => {
      memory.set(bytes, pos);
      return bytes.length;
    },
  });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/b', O_RDWR);
    expect(await k.ksys_pwrite(root, fd, Uint8Array.of(1, 2, 3, 4), 6)).toBe(2);
    expect([...await k.ksys_pread(root, fd, 100, 5)]).toEqual([0, 1, 2]);
    expect([...await k.ksys_pread(root, fd, 100, 8)]).toEqual([]);
    await expect(k.ksys_pwrite(root, fd, Uint8Array.of(1), 8)).rejects.toMatchObject(refusal('EFBIG'));
    expect((await k.ksys_stat(root, '/sys/b', true)).size).toBe(8);
  });
});

test('a binary attribute without an operation cannot be opened for it, unless it can be mapped', async () => {
  const { k, root, inTask } = await withBinary(0o600, { size: 8, read: async () => new Uint8Array(0) });
  await expect(inTask(() => k.ksys_open(root, '/sys/b', O_RDWR))).rejects.toMatchObject(refusal('EACCES'));
  k.kernfs_create_bin_file(k.sysfs_root, 'resource0', 0o600, { size: 4096, mmap: async () => {} });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/sys/resource0', O_RDWR);
    await expect(k.ksys_read(root, fd, 4)).rejects.toMatchObject(refusal('EIO'));
    await expect(k.ksys_write(root, fd, Uint8Array.of(1))).rejects.toMatchObject(refusal('EIO'));
    expect(await k.ksys_write(root, fd, new Uint8Array(0))).toBe(0);
  });
});

test('draining a removed directory waits for those inside, and not for the caller', async () => {
  const { k, root, inTask, task, leftovers } = await bootFs();
  const log: string[] = [];
  const dir = k.kernfs_create_dir(k.kernfs_create_dir(k.sysfs_root, 'devices'), 'vdpa0');
  k.kernfs_create_file(k.kernfs_create_dir(dir, 'power'), 'slow', 0o444, {
    show: async () => {
      await k.msleep(5);
      log.push('shown');
      return 'x';
    },
  });
  k.kernfs_create_file(dir, 'remove', 0o200, {
    store: async () => {
      k.kernfs_remove(dir);
      await k.kernfs_drain(dir);
      log.push('drained');
    },
  });
  await inTask(async () => {
    const [slow, remove] = [await k.ksys_open(root, '/sys/devices/vdpa0/power/slow', O_RDONLY), await k.ksys_open(root, '/sys/devices/vdpa0/remove', O_WRONLY)];
    task(root, 'reader', async () => void await k.ksys_read(root, slow, 1));
    await k.msleep(1);
    await k.ksys_write(root, remove, encodeText('1'));
    for (const fd of [slow, remove]) await k.ksys_close(root, fd);
  });
  expect(log).toEqual(['shown', 'drained']);
  expect(leftovers()).toEqual([]);
});

test('a drain under a lock that the attribute wants is a deadlock with names', async () => {
  const { k, root, task, run } = await bootFs();
  const lock = k.mutex_init('cf_lock');
  const node = k.kernfs_create_file(k.sysfs_root, 'status', 0o444, {
    show: async () => {
      await k.msleep(1);
      await k.mutex_lock(lock);
      return 'never';
    },
  });
  task(root, 'cat', async () => void await k.ksys_read(root, await k.ksys_open(root, '/sys/status', O_RDONLY), 1));
  task(root, 'rmmod', async () => {
    await k.mutex_lock(lock);
    await k.msleep(2);
    k.kernfs_remove(node);
    await k.kernfs_drain(node);
  });
  const result = await run();
  expect(result.kind === 'deadlock' && result.cycle.map((t) => `${t.name}: ${t.wait?.what}`).sort())
    .toEqual(['cat: mutex cf_lock held by rmmod', 'rmmod: users of /sys/status']);
});
