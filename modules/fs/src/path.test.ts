import { O_RDONLY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootFs, refusal } from './testing/kernel.ts';

async function withTree() {
  const kernel = await bootFs();
  const { k } = kernel;
  k.ramfs_write('/tmp/dir/file', 'x');
  await kernel.inTask(async () => {
    const link = (target: string, path: string): Promise<void> => k.ksys_symlink(kernel.root, target, path);
    await link('dir/file', '/tmp/relative');
    await link('/tmp/dir', '/tmp/absolute');
    await link('loop', '/tmp/loop');
    await link('../../../tmp/absolute/', '/tmp/dir/deep');
    await link('nowhere', '/tmp/dangling');
  });
  const kind = (path: string): Promise<string> =>
    kernel.inTask(async () => (await k.ksys_stat(kernel.root, path, true)).kind);
  return { ...kernel, kind };
}

test.each([
  ['/', 'dir'], ['//tmp//dir/', 'dir'], ['/tmp/./dir/../dir/file', 'file'], ['/../tmp', 'dir'], ['/tmp/relative', 'file'],
  ['/tmp/absolute/file', 'file'], ['/tmp/dir/deep', 'dir'], ['/tmp/dir/deep/deep/file', 'file'], ['/tmp/absolute/..', 'dir'],
])('%s leads to a %s', async (path, expected) => {
  const { kind } = await withTree();
  expect(await kind(path)).toBe(expected);
});

test.each([
  ['', 'ENOENT', 'path.empty'],
  ['/tmp/none', 'ENOENT', 'path.missing'],
  ['/tmp/none/x', 'ENOENT', 'path.missing'],
  ['/tmp/dangling', 'ENOENT', 'path.missing'],
  ['/tmp/a\0b', 'ENOENT', 'path.nul'],
  ['/tmp/dir/file/x', 'ENOTDIR', 'path.not-dir'],
  ['/tmp/dir/file/', 'ENOTDIR', 'path.not-dir'],
  ['/tmp/dir/file/.', 'ENOTDIR', 'path.not-dir'],
  ['/tmp/loop', 'ELOOP', 'path.links'],
  [`/tmp/${'n'.repeat(256)}`, 'ENAMETOOLONG', 'path.name'],
  [`/tmp/${'\u00e9'.repeat(128)}`, 'ENAMETOOLONG', 'path.name'],
  ['/tmp/'.repeat(900), 'ENAMETOOLONG', 'path.length'],
])('%j is %s', async (path, errno, rule) => {
  const { kind } = await withTree();
  await expect(kind(path)).rejects.toMatchObject(refusal(errno, rule));
});

test('a name in sysfs may be as long as the path allows', async () => {
  const { k, kind } = await withTree();
  const long = 'n'.repeat(300);
  k.kernfs_create_dir(k.sysfs_root, long);
  expect(await kind(`/sys/${long}`)).toBe('dir');
});

test('the last link is followed only when asked', async () => {
  const { k, root, inTask } = await withTree();
  await inTask(async () => {
    expect(await k.ksys_stat(root, '/tmp/relative', false)).toMatchObject({ kind: 'link', size: 8 });
    expect(await k.ksys_stat(root, '/tmp/absolute/', false)).toMatchObject({ kind: 'dir' });
    expect(await k.ksys_readlink(root, '/tmp/absolute')).toBe('/tmp/dir');
    await expect(k.ksys_readlink(root, '/tmp/dir')).rejects.toMatchObject(refusal('EINVAL'));
  });
});

test('a relative path starts at the working directory', async () => {
  const { k, root, kind, inTask } = await withTree();
  root.cwd = '/tmp/dir';
  expect(await kind('file')).toBe('file');
  expect(await kind('../absolute/file')).toBe('file');
  k.kernfs_remove(k.kernfs_find(k.kernfs_find(k.root_dir, 'tmp') as never, 'dir') as never);
  await expect(inTask(() => k.ksys_open(root, 'file', O_RDONLY))).rejects.toMatchObject(refusal('ENOENT'));
});

test('directories without search permission stop a user and not root', async () => {
  const { k, root, user, inTask } = await withTree();
  await inTask(async () => {
    await k.ksys_mkdir(root, '/tmp/secret', 0o700);
    k.ramfs_write('/tmp/secret/f', '');
    expect((await k.ksys_stat(root, '/tmp/secret/f', true)).kind).toBe('file');
    await expect(k.ksys_stat(user, '/tmp/secret/f', true)).rejects.toMatchObject(refusal('EACCES', 'permission'));
    await expect(k.ksys_readdir(user, '/tmp/secret')).rejects.toMatchObject(refusal('EACCES'));
  });
});
