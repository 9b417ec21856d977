import { KernelError } from '@vdpalab/abi';
import { O_APPEND, O_RDONLY, O_RDWR, O_WRONLY, RLIMIT_NOFILE, SEEK_CUR, SEEK_DATA, SEEK_HOLE, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { FileOperations } from './header.ts';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

async function withFile(ops: FileOperations | null = null, flags = O_RDWR) {
  const kernel = await bootFs();
  const { k, root, inTask } = kernel;
  k.ramfs_write('/tmp/f', '0123456789');
  const fd = ops === null
    ? await inTask(() => k.ksys_open(root, '/tmp/f', flags))
    : k.anon_inode_getfd(root, '[test]', ops, 'private', flags);
  return { ...kernel, fd };
}

test('a closed descriptor is EBADF everywhere', async () => {
  const { k, root, inTask } = await bootFs();
  const calls = [
    () => k.ksys_read(root, 7, 1), () => k.ksys_write(root, 7, new Uint8Array(1)), () => k.ksys_pread(root, 7, 1, 0),
    () => k.ksys_pwrite(root, 7, new Uint8Array(1), 0), () => k.ksys_lseek(root, 7, 0, SEEK_SET), () => k.ksys_ioctl(root, 7, 1, 0),
    () => k.ksys_close(root, 7), () => k.ksys_dup(root, 7), () => k.ksys_mmap(root, 0, 4096, 1, 1, 7, 0),
    async () => k.fget(root, 7), async () => k.eventfd_ctx_fdget(root, 7), () => k.ksys_bind(root, 7, new Uint8Array(0)),
  ];
  for (const call of calls) await expect(inTask(async () => { await call(); })).rejects.toMatchObject(refusal('EBADF', 'file.descriptor'));
});

test('a file without operations gives the errno of each that is missing', async () => {
  const { k, root, inTask, fd } = await withFile({});
  await expect(inTask(() => k.ksys_read(root, fd, 1))).rejects.toMatchObject(refusal('EINVAL', 'read.no-op'));
  await expect(inTask(() => k.ksys_write(root, fd, new Uint8Array(1)))).rejects.toMatchObject(refusal('EINVAL', 'write.no-op'));
  await expect(inTask(() => k.ksys_lseek(root, fd, 0, SEEK_SET))).rejects.toMatchObject(refusal('ESPIPE', 'lseek.no-op'));
  await expect(inTask(() => k.ksys_ioctl(root, fd, 1, 0))).rejects.toMatchObject(refusal('ENOTTY', 'ioctl.no-op'));
  await expect(inTask(() => k.ksys_mmap(root, 0, 4096, 1, 1, fd, 0))).rejects.toMatchObject(refusal('ENODEV', 'mmap.no-op'));
  await expect(inTask(() => k.ksys_sendmsg(root, fd, new Uint8Array(1), null))).rejects.toMatchObject(refusal('ENOTSOCK'));
});

test('the open mode decides what may be done', async () => {
  const reader = await withFile(null, O_RDONLY);
  await expect(reader.inTask(() => reader.k.ksys_write(reader.root, reader.fd, new Uint8Array(1)))).rejects.toMatchObject(refusal('EBADF', 'write.mode'));
  const writer = await withFile(null, O_WRONLY);
  await expect(writer.inTask(() => writer.k.ksys_pread(writer.root, writer.fd, 1, 0))).rejects.toMatchObject(refusal('EBADF', 'read.mode'));
});

test('reading a directory is EISDIR', async () => {
  const { k, root, inTask } = await bootFs();
  const fd = await inTask(() => k.ksys_open(root, '/tmp', O_RDONLY));
  await expect(inTask(() => k.ksys_read(root, fd, 1))).rejects.toMatchObject(refusal('EISDIR', 'read.directory'));
});

test('positions move with reads and writes, and pread and pwrite leave them', async () => {
  const { k, root, inTask, fd } = await withFile();
  await inTask(async () => {
    const read = async (len: number): Promise<string> => decodeText(await k.ksys_read(root, fd, len));
    expect(await read(3)).toBe('012');
    expect(decodeText(await k.ksys_pread(root, fd, 2, 8))).toBe('89');
    expect(await k.ksys_pwrite(root, fd, encodeText('ab'), 4)).toBe(2);
    expect(await read(3)).toBe('3ab');
    expect(await k.ksys_lseek(root, fd, -2, SEEK_END)).toBe(8);
    expect(await k.ksys_lseek(root, fd, 1, SEEK_CUR)).toBe(9);
    expect(await k.ksys_write(root, fd, encodeText('xyz'))).toBe(3);
    expect(await k.ksys_lseek(root, fd, 14, SEEK_SET)).toBe(14);
    await k.ksys_write(root, fd, encodeText('!'));
    expect(decodeText(await k.ksys_pread(root, fd, 100, 0))).toBe('0123ab678xyz\0\0!');
    expect(await read(5)).toBe('');
  });
});

test.each([
  ['a negative offset', -1, SEEK_SET, 'lseek.offset'],
  ['an unknown whence', 0, 9, 'lseek.whence'],
  ['a number that is no place to count from', 0, 5, 'lseek.whence'],
])('seeking with %s is EINVAL and moves nothing', async (_what, offset, whence, rule) => {
  const { k, root, inTask, fd } = await withFile();
  await expect(inTask(() => k.ksys_lseek(root, fd, offset, whence))).rejects.toMatchObject(refusal('EINVAL', rule));
  expect(await inTask(() => k.ksys_lseek(root, fd, 0, SEEK_CUR))).toBe(0);
});

test('a file is data up to its end, where the hole begins', async () => {
  const { k, root, inTask, fd } = await withFile();
  expect([await inTask(() => k.ksys_lseek(root, fd, 4, SEEK_DATA)), await inTask(() => k.ksys_lseek(root, fd, 4, SEEK_HOLE))]).toEqual([4, 10]);
  for (const whence of [SEEK_DATA, SEEK_HOLE]) {
    await expect(inTask(() => k.ksys_lseek(root, fd, 10, whence))).rejects.toMatchObject({ errno: 'ENXIO' });
  }
});

test('negative lengths and positions are EINVAL', async () => {
  const { k, root, inTask, fd } = await withFile();
  await expect(inTask(() => k.ksys_read(root, fd, -1))).rejects.toMatchObject(refusal('EINVAL', 'io.length'));
  await expect(inTask(() => k.ksys_pread(root, fd, 1, -1))).rejects.toMatchObject(refusal('EINVAL', 'io.position'));
  await expect(inTask(() => k.ksys_pwrite(root, fd, new Uint8Array(1), Number.NaN))).rejects.toMatchObject(refusal('EINVAL', 'io.position'));
});

test('an appending file writes at its end, whatever its position', async () => {
  const { k, root, inTask, fd } = await withFile(null, O_RDWR | O_APPEND);
  await inTask(async () => {
    await k.ksys_read(root, fd, 3);
    await k.ksys_write(root, fd, encodeText('ab'));
    expect(await k.ksys_lseek(root, fd, 0, SEEK_CUR)).toBe(12);
    await k.ksys_lseek(root, fd, 1, SEEK_SET);
    await k.ksys_pwrite(root, fd, encodeText('cd'), 0);
    expect(await k.ksys_lseek(root, fd, 0, SEEK_CUR)).toBe(1);
    expect(decodeText(await k.ksys_pread(root, fd, 100, 0))).toBe('0123456789abcd');
  });
});

test('a file in memory has an end', async () => {
  const { k, root, inTask, fd } = await withFile();
  await expect(inTask(() => k.ksys_pwrite(root, fd, new Uint8Array(1), 2 ** 40))).rejects.toMatchObject(refusal('EFBIG'));
  expect((await inTask(() => k.ksys_stat(root, '/tmp/f', true))).size).toBe(10);
});

test('ioctl passes command and argument on, and an unknown command is ENOTTY', async () => {
  const seen: unknown[] = [];
  const { k, root, inTask, fd } = await withFile({
    unlocked_ioctl: async (file, cmd, arg, proc) => {
      seen.push([file.private_data, cmd, arg, proc.pid]);
      if (cmd === 1) throw new KernelError('ENOIOCTLCMD', 'driver.ioctl', 'what?');
      if (cmd === 2) throw new KernelError('EBUSY', 'driver.busy', 'no');
      return 5;
    },
  });
  await inTask(async () => {
    expect(await k.ksys_ioctl(root, fd, -1, 0x1000)).toBe(5);
    await expect(k.ksys_ioctl(root, fd, 1, 0)).rejects.toMatchObject({ errno: 'ENOTTY', cause: { errno: 'ENOIOCTLCMD' } });
    await expect(k.ksys_ioctl(root, fd, 2, 0)).rejects.toMatchObject({ errno: 'EBUSY', rule: 'driver.busy' });
  });
  expect(seen[0]).toEqual(['private', 0xffff_ffff, 0x1000, 1]);
});

test('the last of all descriptors and references releases, and the closer waits for it', async () => {
  const log: string[] = [];
  const kernel = await bootFs();
  const { k, root, inTask, leftovers } = kernel;
  const ops: FileOperations = {
    release: async () => {
      await k.msleep(1);
      log.push('released');
    },
  };
  await inTask(async () => {
    const fd = k.anon_inode_getfd(root, '[test]', ops, null, O_RDWR);
    const second = await k.ksys_dup(root, fd);
    const file = k.fget(root, fd);
    k.get_file(file);
    expect(file.count).toBe(4);
    await k.ksys_close(root, fd);
    await k.ksys_close(root, second);
    await k.fput(file);
    expect(k.fs_leftovers()).toContain('open file anon_inode:[test]: 1 references, opened by process 1 (root)');
    log.push('last');
    await k.fput(file);
    log.push('closed');
    await expect(k.fput(file)).rejects.toThrow('nobody holds it');
    expect(() => k.get_file(file)).toThrow('nobody holds it');
  });
  expect(log).toEqual(['last', 'released', 'closed']);
  expect(leftovers()).toEqual([]);
});

test('a file in use is not released under its user', async () => {
  const { k, root, task, run } = await bootFs();
  const log: string[] = [];
  const fd = k.anon_inode_getfd(root, '[slow]', {
    read: async () => {
      await k.msleep(5);
      log.push('read');
      return new Uint8Array(0);
    },
    release: async () => void log.push('released'),
  }, null, O_RDWR);
  task(root, 'reader', async () => void await k.ksys_read(root, fd, 1));
  task(root, 'closer', async () => {
    await k.msleep(1);
    await k.ksys_close(root, fd);
    log.push('closed');
  });
  await run();
  expect(log).toEqual(['closed', 'read', 'released']);
});

test('dup onto a descriptor closes what was there', async () => {
  const log: string[] = [];
  const { k, root, inTask, fd } = await withFile();
  await inTask(async () => {
    const other = k.anon_inode_getfd(root, '[x]', { release: async () => void log.push('released') }, null, O_RDWR);
    expect(await k.ksys_dup(root, fd, other)).toBe(other);
    expect(log).toEqual(['released']);
    expect(await k.ksys_dup(root, fd, fd)).toBe(fd);
    expect(await k.ksys_dup(root, fd, 30)).toBe(30);
    await k.ksys_read(root, fd, 4);
    expect(await k.ksys_lseek(root, 30, 0, SEEK_CUR)).toBe(4);
    for (const target of [-1, 1024]) await expect(k.ksys_dup(root, fd, target)).rejects.toMatchObject(refusal('EBADF', 'dup.target'));
    root.rlimits.set(RLIMIT_NOFILE, 2);
    await expect(k.ksys_dup(root, fd)).rejects.toMatchObject(refusal('EMFILE'));
  });
});

test('an anonymous file holds the module of its operations, and a going module makes none', async () => {
  const { k, root, inTask, refs, going } = await bootFs();
  const owner = { name: 'vfio', state: 'live' } as const;
  const fd = k.anon_inode_getfd(root, '[vfio-device]', { owner }, null, O_RDWR);
  expect(refs.get(owner)).toBe(1);
  await inTask(() => k.ksys_close(root, fd));
  expect(refs.get(owner)).toBe(0);
  going.add(owner);
  expect(() => k.anon_inode_getfd(root, '[vfio-device]', { owner }, null, O_RDWR)).toThrow(expect.objectContaining(refusal('ENOENT')));
  expect(k.anon_inode_getfd(root, '[x]', {}, null, O_RDWR)).toBe(0);
});
