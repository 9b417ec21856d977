/** Calls on nodes instead of paths, and sleeps that are ended without a signal. */
import { O_DIRECTORY, O_RDONLY, O_TRUNC, O_WRONLY, R_OK, RLIMIT_NOFILE, W_OK } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { decodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

test('a node tells what its path does', async () => {
  const { k, root, inTask } = await bootFs();
  const dir = k.kernfs_create_dir(k.sysfs_root, 'dir', 0o755);
  const attr = k.kernfs_create_file(dir, 'attr', 0o444, { show: async () => 'text\n' });
  const link = k.kernfs_create_link(k.sysfs_root, 'link', attr);
  expect(k.vfs_getattr(attr, root)).toEqual(await inTask(() => k.ksys_stat(root, '/sys/dir/attr', false)));
  expect(k.vfs_getattr(k.sysfs_root, root)).toEqual(await inTask(() => k.ksys_stat(root, '/sys', false)));
  expect(k.vfs_get_link(link, root)).toBe('dir/attr');
  expect(() => k.vfs_get_link(attr, root)).toThrow(expect.objectContaining(refusal('EINVAL', 'readlink.kind')));
  expect(k.iterate_dir(k.sysfs_root).map(({ name, node }) => ({ name, kind: node.kind })))
    .toEqual(await inTask(() => k.ksys_readdir(root, '/sys')));
});

test('a node is opened as its path is, until it is removed', async () => {
  const { k, root, user, inTask, leftovers } = await bootFs();
  const attr = k.kernfs_create_file(k.sysfs_root, 'attr', 0o444, { show: async () => 'text\n' });
  const memory = k.ramfs_write('/tmp/file', 'contents', 0o600);
  const open = (node: typeof attr, flags: number, as = root): Promise<number> => inTask(() => k.dentry_open(as, node, flags));
  const fd = await open(attr, O_RDONLY);
  expect(decodeText(await inTask(() => k.ksys_read(root, fd, 100)))).toBe('text\n');
  await expect(open(attr, O_WRONLY)).rejects.toMatchObject(refusal('EACCES'));
  await expect(open(attr, O_DIRECTORY)).rejects.toMatchObject(refusal('ENOTDIR'));
  await expect(open(memory, O_RDONLY, user)).rejects.toMatchObject(refusal('EACCES', 'permission'));
  expect(() => k.inode_permission(memory, user, R_OK)).toThrow(expect.objectContaining(refusal('EACCES', 'permission')));
  k.inode_permission(memory, root, R_OK | W_OK);
  await inTask(async () => k.ksys_close(root, await k.dentry_open(root, memory, O_WRONLY | O_TRUNC)));
  expect(k.vfs_getattr(memory, root).size).toBe(0);
  k.kernfs_remove(attr);
  expect(attr.removed).toBe(true);
  await expect(open(attr, O_RDONLY)).rejects.toMatchObject(refusal('ENOENT', 'open.removed'));
  await inTask(() => k.ksys_close(root, fd));
  expect(leftovers()).toEqual([]);
});

test('a received descriptor is the same open file with a reference of its own', async () => {
  const { k, root, user, inTask, leftovers } = await bootFs();
  k.ramfs_write('/tmp/file', 'contents');
  const fd = await inTask(() => k.ksys_open(root, '/tmp/file', O_RDONLY));
  const file = k.fget(root, fd);
  const theirs = k.receive_fd(user, file);
  await inTask(() => k.fput(file));
  await inTask(() => k.ksys_close(root, fd));
  expect(decodeText(await inTask(() => k.ksys_read(user, theirs, 3)))).toBe('con');
  user.rlimits.set(RLIMIT_NOFILE, 1);
  expect(() => k.receive_fd(user, k.fget(user, theirs))).toThrow(expect.objectContaining(refusal('EMFILE')));
  await inTask(() => k.fput(file));
  await inTask(() => k.ksys_close(user, theirs));
  expect(leftovers()).toEqual([]);
});

test('set_notify_signal ends the interruptible sleep of one task and no other', async () => {
  const { k, root, task, run } = await bootFs();
  const wq = k.init_waitqueue_head('never');
  const ended: string[] = [];
  for (const name of ['one', 'two']) {
    task(root, name, async () => {
      await k.wait_event_interruptible(wq, () => ended.length === 2, 'ever', 'wait').catch((error: { errno: string }) => ended.push(`${name} ${error.errno}`));
      if (name === 'one') expect(k.clear_notify_signal()).toBe(true);
    });
  }
  await run();
  const one = [...wq.waiters].find((waiter) => waiter.name === 'one');
  if (one === undefined) throw new Error('one does not wait');
  k.set_notify_signal(one);
  await run();
  expect(ended).toEqual(['one ERESTARTSYS']);
  ended.push('');
  k.wake_up(wq);
  await run();
  expect(wq.waiters.size).toBe(0);
});
