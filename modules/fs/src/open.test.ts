import {
  O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, RLIMIT_NOFILE,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

async function withFiles() {
  const kernel = await bootFs();
  const { k, root, user, inTask } = kernel;
  k.ramfs_write('/tmp/file', 'contents');
  k.ramfs_write('/tmp/secret', 'x', 0o600);
  k.proc_create('answer', 0o444, () => '42\n');
  k.kernfs_create_file(k.sysfs_root, 'attr', 0o644, { show: async () => '1\n', store: async () => {} });
  await inTask(async () => {
    await k.ksys_symlink(root, 'file', '/tmp/link');
    await k.ksys_symlink(root, 'made', '/tmp/dangling');
  });
  const open = (path: string, flags: number, as = root): Promise<number> => inTask(() => k.ksys_open(as, path, flags));
  return { ...kernel, open, user };
}

test.each([
  ['a name that is not there', '/tmp/none', O_RDONLY, 'ENOENT'],
  ['a directory for writing', '/tmp', O_WRONLY, 'EISDIR'],
  ['a directory with O_CREAT', '/tmp', O_RDONLY | O_CREAT, 'EISDIR'],
  ['a directory with O_TRUNC', '/tmp', O_RDONLY | O_TRUNC, 'EISDIR'],
  ['a new name with a slash', '/tmp/new/', O_WRONLY | O_CREAT, 'EISDIR'],
  ['. with O_CREAT', '/tmp/.', O_WRONLY | O_CREAT, 'EISDIR'],
  ['a file with a slash', '/tmp/file/', O_RDONLY, 'ENOTDIR'],
  ['a file with O_DIRECTORY', '/tmp/file', O_RDONLY | O_DIRECTORY, 'ENOTDIR'],
  ['an existing file with O_EXCL', '/tmp/file', O_WRONLY | O_CREAT | O_EXCL, 'EEXIST'],
  ['a dangling link with O_EXCL', '/tmp/dangling', O_WRONLY | O_CREAT | O_EXCL, 'EEXIST'],
  ['a link with O_NOFOLLOW', '/tmp/link', O_RDONLY | O_NOFOLLOW, 'ELOOP'],
  ['a new name in sysfs', '/sys/new', O_WRONLY | O_CREAT, 'EACCES'],
  ['a new name in procfs', '/proc/new', O_WRONLY | O_CREAT, 'ENOENT'],
])('opening %s fails and leaves nothing', async (_what, path, flags, errno) => {
  const { open, leftovers, k, root } = await withFiles();
  await expect(open(path, flags)).rejects.toMatchObject(refusal(errno));
  expect(leftovers()).toEqual([]);
  expect(await open('/tmp/file', O_RDONLY)).toBe(0);
  expect(k.fget(root, 0).path).toBe('/tmp/file');
});

test('a user may open what the bits allow; root may open all in memory and procfs', async () => {
  const { k, open, user, root, inTask } = await withFiles();
  await expect(open('/tmp/secret', O_RDONLY, user)).rejects.toMatchObject(refusal('EACCES', 'permission'));
  await expect(open('/tmp/file', O_WRONLY, user)).rejects.toMatchObject(refusal('EACCES'));
  await expect(open('/tmp/file', O_RDONLY | O_TRUNC, user)).rejects.toMatchObject(refusal('EACCES'));
  await expect(open('/etc/new', O_WRONLY | O_CREAT, user)).rejects.toMatchObject(refusal('EACCES'));
  await expect(open('/sys/attr', O_WRONLY, user)).rejects.toMatchObject(refusal('EACCES'));
  expect(await open('/sys/attr', O_RDONLY, user)).toBe(0);
  expect(await open('/tmp/own', O_WRONLY | O_CREAT, user)).toBe(1);
  expect(await open('/tmp/secret', O_RDWR)).toBe(0);
  const fd = await open('/proc/answer', O_WRONLY);
  await expect(inTask(() => k.ksys_write(root, fd, encodeText('1')))).rejects.toMatchObject(refusal('EIO', 'proc.no-write'));
  expect(await inTask(() => k.ksys_stat(root, '/tmp/own', true))).toMatchObject({ uid: 1000, mode: 0o644 });
});

test('O_CREAT makes a file, through a dangling link too, and O_TRUNC empties one', async () => {
  const { k, root, inTask, open } = await withFiles();
  const fd = await open('/tmp/dangling', O_RDWR | O_CREAT);
  await inTask(async () => {
    await k.ksys_write(root, fd, encodeText('hello'));
    expect(decodeText(await k.ksys_pread(root, fd, 10, 0))).toBe('hello');
    expect((await k.ksys_stat(root, '/tmp/made', false)).size).toBe(5);
    await k.ksys_open(root, '/tmp/made', O_WRONLY | O_TRUNC);
    expect((await k.ksys_stat(root, '/tmp/made', false)).size).toBe(0);
  });
});

test('descriptors are the lowest free ones, up to RLIMIT_NOFILE', async () => {
  const { k, root, inTask, open } = await withFiles();
  expect([await open('/tmp/file', 0), await open('/tmp/file', 0), await open('/tmp/file', 0)]).toEqual([0, 1, 2]);
  await inTask(() => k.ksys_close(root, 1));
  expect(await open('/tmp/file', 0)).toBe(1);
  root.rlimits.set(RLIMIT_NOFILE, 3);
  await expect(open('/tmp/file', 0)).rejects.toMatchObject(refusal('EMFILE', 'file.limit'));
  await expect(open('/tmp/none', 0)).rejects.toMatchObject(refusal('EMFILE')); // before the path is looked at
});

test('two opens under way do not get the same descriptor', async () => {
  const { k, root, task, run } = await withFiles();
  const major = k.alloc_chrdev_region('slow', 0, 1);
  k.cdev_add(major, 0, { open: () => k.msleep(1) }, null, null);
  k.devtmpfs_create_node('slow', major, 0, 0o600);
  const fds: number[] = [];
  for (const name of ['a', 'b']) task(root, name, async () => void fds.push(await k.ksys_open(root, '/dev/slow', O_RDWR)));
  await run();
  expect(fds.sort()).toEqual([0, 1]);
});
