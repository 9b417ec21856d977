import { F_OK, O_CREAT, O_RDWR, O_WRONLY, R_OK, W_OK, X_OK } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootFs, refusal } from './testing/kernel.ts';
import type { TestKernel } from './testing/kernel.ts';

async function withNames(): Promise<TestKernel> {
  const kernel = await bootFs();
  const { k, root, inTask } = kernel;
  k.kernfs_create_file(k.kernfs_create_dir(k.sysfs_root, 'devices'), 'attr', 0o644, { show: async () => '' });
  k.proc_create('answer', 0o444, () => '42\n');
  await inTask(async () => {
    await k.ksys_mkdir(root, '/tmp/full', 0o755);
    await k.ksys_mkdir(root, '/tmp/empty', 0o755);
    k.ramfs_write('/tmp/full/f', 'x');
    k.ramfs_write('/tmp/f', 'x');
    await k.ksys_symlink(root, 'f', '/tmp/l');
  });
  return kernel;
}

type Call = (kernel: TestKernel) => Promise<unknown>;
const mkdir = (path: string): Call => ({ k, root }) => k.ksys_mkdir(root, path, 0o777);
const unlink = (path: string): Call => ({ k, root }) => k.ksys_unlink(root, path);
const rmdir = (path: string): Call => ({ k, root }) => k.ksys_rmdir(root, path);
const symlink = (path: string): Call => ({ k, root }) => k.ksys_symlink(root, 'x', path);
const rename = (from: string, to: string): Call => ({ k, root }) => k.ksys_rename(root, from, to);

test.each<[string, string, Call]>([
  ['mkdir of an existing name', 'EEXIST', mkdir('/tmp/f')],
  ['mknod of an existing name', 'EEXIST', ({ k, root }) => k.ksys_mknod(root, '/tmp/f', 0o666, { major: 1, minor: 3 })],
  ['mknod without CAP_MKNOD', 'EPERM', ({ k, user }) => k.ksys_mknod(user, '/tmp/n', 0o666, { major: 1, minor: 3 })],
  ['mkdir of a link', 'EEXIST', mkdir('/tmp/l')],
  ['mkdir of /', 'EEXIST', mkdir('/')],
  ['mkdir of .', 'EEXIST', mkdir('/tmp/.')],
  ['mkdir without a parent', 'ENOENT', mkdir('/tmp/none/x')],
  ['mkdir below a file', 'ENOTDIR', mkdir('/tmp/f/x')],
  ['mkdir in sysfs', 'EPERM', mkdir('/sys/devices/x')],
  ['mkdir of an existing name in sysfs', 'EEXIST', mkdir('/sys/devices')],
  ['mkdir in procfs', 'ENOENT', mkdir('/proc/x')],
  ['unlink of nothing', 'ENOENT', unlink('/tmp/none')],
  ['unlink of a directory', 'EISDIR', unlink('/tmp/empty')],
  ['unlink of a directory with a slash', 'EISDIR', unlink('/tmp/empty/')],
  ['unlink of a file with a slash', 'ENOTDIR', unlink('/tmp/f/')],
  ['unlink of ..', 'EISDIR', unlink('/tmp/..')],
  ['unlink in sysfs', 'EPERM', unlink('/sys/devices/attr')],
  ['unlink in procfs', 'EPERM', unlink('/proc/answer')],
  ['rmdir of a file', 'ENOTDIR', rmdir('/tmp/f')],
  ['rmdir of a link', 'ENOTDIR', rmdir('/tmp/l')],
  ['rmdir of a full directory', 'ENOTEMPTY', rmdir('/tmp/full')],
  ['rmdir of .', 'EINVAL', rmdir('/tmp/empty/.')],
  ['rmdir of ..', 'ENOTEMPTY', rmdir('/tmp/empty/..')],
  ['rmdir of /', 'EBUSY', rmdir('/')],
  ['rmdir of a mount point', 'EBUSY', rmdir('/sys')],
  ['rmdir in sysfs', 'EPERM', rmdir('/sys/devices')],
  ['symlink over a name', 'EEXIST', symlink('/tmp/f')],
  ['symlink with a slash', 'ENOENT', symlink('/tmp/new/')],
  ['symlink in sysfs', 'EPERM', symlink('/sys/devices/x')],
  ['an empty symlink', 'ENOENT', ({ k, root }) => k.ksys_symlink(root, '', '/tmp/new')],
  ['rename of nothing', 'ENOENT', rename('/tmp/none', '/tmp/x')],
  ['rename to another file system', 'EXDEV', rename('/tmp/f', '/dev/f')],
  ['rename of a mount point', 'EXDEV', rename('/dev', '/tmp/dev')],
  ['rename onto a mount point', 'EBUSY', rename('/tmp/empty', '/dev')],
  ['rename in sysfs', 'EPERM', rename('/sys/devices', '/sys/x')],
  ['rename below itself', 'EINVAL', rename('/tmp/full', '/tmp/full/x')],
  ['rename of a file with a slash', 'ENOTDIR', rename('/tmp/f', '/tmp/x/')],
  ['rename of a file onto a directory', 'EISDIR', rename('/tmp/f', '/tmp/empty')],
  ['rename of a directory onto a file', 'ENOTDIR', rename('/tmp/empty', '/tmp/f')],
  ['rename onto a full directory', 'ENOTEMPTY', rename('/tmp/empty', '/tmp/full')],
  ['rename of .', 'EBUSY', rename('/tmp/.', '/tmp/x')],
  ['readdir of a file', 'ENOTDIR', ({ k, root }) => k.ksys_readdir(root, '/tmp/f')],
  ['access with junk', 'EINVAL', ({ k, root }) => k.ksys_access(root, '/tmp/f', 8)],
  ['access of nothing', 'ENOENT', ({ k, root }) => k.ksys_access(root, '/tmp/none', F_OK)],
])('%s is %s, and the tree stays as it was', async (_what, errno, call) => {
  const kernel = await withNames();
  const { k, root, inTask } = kernel;
  const before = await inTask(() => k.ksys_readdir(root, '/tmp'));
  await expect(inTask(() => call(kernel))).rejects.toMatchObject(refusal(errno));
  expect(await inTask(() => k.ksys_readdir(root, '/tmp'))).toEqual(before);
});

test('names come, move and go', async () => {
  const { k, root, inTask } = await withNames();
  const list = async (path: string): Promise<string> =>
    (await k.ksys_readdir(root, path)).map(({ name, kind }) => `${kind} ${name}`).join(', ');
  await inTask(async () => {
    await k.ksys_mkdir(root, '/tmp/new/', 0o777);
    expect(await k.ksys_stat(root, '/tmp/new', true)).toMatchObject({ kind: 'dir', mode: 0o755 });
    expect(await list('/tmp')).toBe('dir new, link l, file f, dir empty, dir full');
    await k.ksys_rename(root, '/tmp/f', '/tmp/new/g');
    await k.ksys_rename(root, '/tmp/new', '/tmp/empty');
    await k.ksys_rename(root, '/tmp/empty/g', '/tmp/empty/g');
    expect(await list('/tmp/empty')).toBe('file g');
    await k.ksys_unlink(root, '/tmp/empty/g');
    await k.ksys_rmdir(root, '/tmp/empty');
    await k.ksys_unlink(root, '/tmp/l');
    expect(await list('/tmp')).toBe('dir full');
  });
});

test('users write in their own directories only, and a sticky one protects what others own', async () => {
  const { k, root, user, inTask } = await withNames();
  await inTask(async () => {
    await expect(k.ksys_mkdir(user, '/etc/x', 0o755)).rejects.toMatchObject(refusal('EACCES'));
    await expect(k.ksys_mkdir(user, '/sys/devices/x', 0o755)).rejects.toMatchObject(refusal('EACCES'));
    await expect(k.ksys_unlink(user, '/tmp/full/f')).rejects.toMatchObject(refusal('EACCES'));
    await expect(k.ksys_unlink(user, '/tmp/f')).rejects.toMatchObject(refusal('EPERM', 'permission.sticky'));
    await expect(k.ksys_rename(user, '/tmp/f', '/tmp/g')).rejects.toMatchObject(refusal('EPERM'));
    await k.ksys_mkdir(user, '/tmp/mine', 0o700);
    await k.ksys_symlink(user, 'x', '/tmp/mine/l');
    expect(await k.ksys_stat(root, '/tmp/mine', true)).toMatchObject({ uid: 1000, gid: 1000, mode: 0o700 });
    await k.ksys_unlink(user, '/tmp/mine/l');
    await k.ksys_rmdir(user, '/tmp/mine');
  });
});

test('access tells what an open would, as far as the bits go', async () => {
  const { k, root, user, inTask } = await withNames();
  await inTask(async () => {
    await k.ksys_access(user, '/tmp/f', R_OK);
    await expect(k.ksys_access(user, '/tmp/f', W_OK)).rejects.toMatchObject(refusal('EACCES'));
    await k.ksys_access(root, '/tmp/f', R_OK | W_OK);
    await expect(k.ksys_access(root, '/tmp/f', X_OK)).rejects.toMatchObject(refusal('EACCES'));
    await k.ksys_access(root, '/tmp', X_OK);
  });
});

test('sysfs lists in hash order, procfs by length and name', async () => {
  const { k, root, inTask } = await withNames();
  const holders = k.kernfs_create_dir(k.sysfs_root, 'holders');
  for (const name of ['vdpa_sim_net', 'vhost_vdpa', 'virtio_vdpa', 'vdpa_sim']) k.kernfs_create_dir(holders, name);
  await inTask(async () => {
    const names = async (path: string): Promise<string[]> => (await k.ksys_readdir(root, path)).map(({ name }) => name);
    expect(await names('/sys/holders')).toEqual(['vdpa_sim', 'virtio_vdpa', 'vhost_vdpa', 'vdpa_sim_net']);
    const proc = await names('/proc');
    expect(proc.slice(0, 3)).toEqual(['sys', 'self', 'answer']);
    expect(proc.slice(-2)).toEqual(['1', '2']);
  });
});

test('a device node is what its maker says, and an open of it is ENXIO when nobody answers', async () => {
  const { k, root, inTask } = await bootFs();
  await inTask(async () => {
    await k.ksys_mknod(root, '/tmp/n', 0o666, { major: 240, minor: 77 });
    expect(await k.ksys_stat(root, '/tmp/n', true)).toMatchObject({ kind: 'chr', mode: 0o644, rdev: { major: 240, minor: 77 } });
    await expect(k.ksys_open(root, '/tmp/n', O_RDWR)).rejects.toMatchObject(refusal('ENXIO', 'chrdev.nobody'));
  });
});

test('modes, owners and times are the owner\'s to set, and no longer fixed', async () => {
  const { k, root, user, inTask } = await bootFs();
  await inTask(async () => {
    await k.ksys_close(root, await k.ksys_open(root, '/tmp/f', O_CREAT | O_WRONLY, 0o666));
    await k.ksys_chmod(root, '/tmp/f', 0o4755);
    await k.ksys_chown(root, '/tmp/f', 1000, -1, true);
    await k.ksys_utimes(user, '/tmp/f', 5, true);
    expect(await k.ksys_stat(root, '/tmp/f', true)).toMatchObject({ mode: 0o4755, uid: 1000, gid: 0, mtime: 5 });
    await k.ksys_utimes(root, '/tmp/f', null, true);
    expect((await k.ksys_stat(root, '/tmp/f', true)).mtime).toBeGreaterThan(1_700_000_000);
    await expect(k.ksys_chown(user, '/tmp/f', 0, 0, true)).rejects.toMatchObject(refusal('EPERM', 'chown.cap'));
    await expect(k.ksys_chmod(user, '/dev/null', 0o777)).rejects.toMatchObject(refusal('EPERM', 'chmod.owner'));
    await expect(k.ksys_chmod(root, '/proc/devices', 0o777)).rejects.toMatchObject(refusal('EPERM', 'chmod.proc'));
    await expect(k.ksys_utimes(root, '/tmp/nosuch', 1, true)).rejects.toMatchObject(refusal('ENOENT'));
    root.umask = 0o077;
    await k.ksys_mkdir(root, '/tmp/d', 0o777);
    expect((await k.ksys_stat(root, '/tmp/d', true)).mode).toBe(0o700);
    expect(k.ksys_fork(root).umask).toBe(0o077);
  });
});
