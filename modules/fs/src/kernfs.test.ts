import { O_RDONLY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { DirNode } from './header.ts';
import { decodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

async function withDirs() {
  const kernel = await bootFs();
  const { k } = kernel;
  const dir = (parent: DirNode, ...names: string[]): DirNode => names.reduce((at, name) => k.kernfs_create_dir(at, name), parent);
  const vdpa0 = dir(k.sysfs_root, 'devices', 'vdpa0');
  const driver = dir(k.sysfs_root, 'bus', 'vdpa', 'drivers', 'vhost_vdpa');
  const bus = k.kernfs_find(k.sysfs_root, 'bus') as DirNode;
  return { ...kernel, vdpa0, driver, vdpaBus: k.kernfs_find(bus, 'vdpa') as DirNode };
}

test('a link names its target by the relative path that Linux prints', async () => {
  const { k, vdpa0, driver, vdpaBus, root, inTask } = await withDirs();
  const devices = k.kernfs_create_dir(vdpaBus, 'devices');
  const child = k.kernfs_create_dir(vdpa0, 'vhost-vdpa-0');
  const char = k.kernfs_create_dir(k.kernfs_create_dir(k.sysfs_root, 'dev'), 'char');
  k.kernfs_create_link(vdpa0, 'driver', driver);
  k.kernfs_create_link(vdpa0, 'subsystem', vdpaBus);
  k.kernfs_create_link(driver, 'vdpa0', vdpa0);
  k.kernfs_create_link(devices, 'vdpa0', vdpa0);
  k.kernfs_create_link(char, '246:0', child);
  k.kernfs_create_link(child, 'up', vdpa0);
  const expected = {
    '/sys/devices/vdpa0/driver': '../../bus/vdpa/drivers/vhost_vdpa',
    '/sys/devices/vdpa0/subsystem': '../../bus/vdpa',
    '/sys/bus/vdpa/drivers/vhost_vdpa/vdpa0': '../../../../devices/vdpa0',
    '/sys/bus/vdpa/devices/vdpa0': '../../../devices/vdpa0',
    '/sys/dev/char/246:0': '../../devices/vdpa0/vhost-vdpa-0',
    '/sys/devices/vdpa0/vhost-vdpa-0/up': '../../vdpa0',
  };
  await inTask(async () => {
    for (const [path, text] of Object.entries(expected)) {
      expect(await k.ksys_readlink(root, path)).toBe(text);
      expect(await k.ksys_stat(root, path, false)).toMatchObject({ kind: 'link', mode: 0o777, size: 0 });
      expect(await k.ksys_stat(root, path, true)).toMatchObject({ kind: 'dir' });
    }
  });
});

test('a removed directory takes what is below with it and leaves links dangling', async () => {
  const { k, vdpa0, driver, root, inTask } = await withDirs();
  k.kernfs_create_dir(vdpa0, 'power');
  k.kernfs_create_link(driver, 'vdpa0', vdpa0);
  k.kernfs_remove(vdpa0);
  k.kernfs_remove(vdpa0); // twice is harmless
  await inTask(async () => {
    await expect(k.ksys_stat(root, '/sys/devices/vdpa0/power', true)).rejects.toMatchObject(refusal('ENOENT'));
    expect(await k.ksys_readlink(root, '/sys/bus/vdpa/drivers/vhost_vdpa/vdpa0')).toBe('../../../../devices/vdpa0');
    await expect(k.ksys_stat(root, '/sys/bus/vdpa/drivers/vhost_vdpa/vdpa0', true)).rejects.toMatchObject(refusal('ENOENT'));
  });
  expect(() => k.kernfs_create_dir(vdpa0, 'late')).toThrow(expect.objectContaining(refusal('ENOENT', 'tree.removed')));
  expect(k.kernfs_path(vdpa0)).toBe('/sys/devices/vdpa0');
});

test('names are unique, and no name has a slash or is empty', async () => {
  const { k, vdpa0 } = await withDirs();
  k.kernfs_create_file(vdpa0, 'uevent', 0o644, {});
  expect(() => k.kernfs_create_dir(vdpa0, 'uevent')).toThrow(expect.objectContaining(refusal('EEXIST', 'tree.exists')));
  for (const name of ['', 'a/b']) {
    expect(() => k.kernfs_create_dir(vdpa0, name)).toThrow(expect.objectContaining(refusal('EINVAL', 'tree.name')));
  }
  expect(k.kernfs_remove_by_name(vdpa0, 'uevent')).toBe(true);
  expect(k.kernfs_remove_by_name(vdpa0, 'uevent')).toBe(false);
  expect(k.kernfs_find(vdpa0, 'uevent')).toBeNull();
});

test('a renamed node has the new path, and links follow it', async () => {
  const { k, vdpa0, driver, root, inTask } = await withDirs();
  k.kernfs_create_dir(vdpa0.parent as DirNode, 'taken');
  k.kernfs_create_link(driver, 'dev', vdpa0);
  k.kernfs_rename(vdpa0, 'vdpa9');
  k.kernfs_rename(vdpa0, 'vdpa9');
  expect(k.kernfs_path(vdpa0)).toBe('/sys/devices/vdpa9');
  expect(await inTask(() => k.ksys_readlink(root, '/sys/bus/vdpa/drivers/vhost_vdpa/dev'))).toBe('../../../../devices/vdpa9');
  expect(() => k.kernfs_rename(vdpa0, 'taken')).toThrow(expect.objectContaining(refusal('EEXIST')));
  expect(() => k.kernfs_rename(vdpa0, 'a/b')).toThrow(expect.objectContaining(refusal('EINVAL')));
  k.kernfs_remove(vdpa0);
  expect(() => k.kernfs_rename(vdpa0, 'x')).toThrow(expect.objectContaining(refusal('ENOENT')));
});

test('mount points stay', async () => {
  const { k } = await bootFs();
  expect(() => k.kernfs_remove(k.sysfs_root)).toThrow('a mount point');
  expect(() => k.kernfs_rename(k.dev_root, 'x')).toThrow('a mount point');
  expect(() => k.kernfs_remove_by_name(k.root_dir, 'proc')).toThrow('a mount point');
});

test('ramfs_write makes directories on the way and replaces what was there', async () => {
  const { k, root, inTask } = await bootFs();
  k.ramfs_write('/lib/modules/6.1.0/modules.dep', 'first');
  k.ramfs_write('/lib/modules/6.1.0/modules.dep', 'second\n', 0o600);
  await inTask(async () => {
    expect(await k.ksys_stat(root, '/lib/modules/6.1.0/modules.dep', true)).toMatchObject({ kind: 'file', mode: 0o600, size: 7, nlink: 1 });
    const fd = await k.ksys_open(root, '/lib/modules/6.1.0/modules.dep', O_RDONLY);
    expect(decodeText(await k.ksys_read(root, fd, 100))).toBe('second\n');
    await k.ksys_close(root, fd);
  });
  expect(() => k.ramfs_write('/lib/modules', 'x')).toThrow(expect.objectContaining(refusal('EISDIR')));
  expect(() => k.ramfs_write('/lib/modules/6.1.0/modules.dep/x', 'x')).toThrow(expect.objectContaining(refusal('ENOTDIR')));
  expect(() => k.ramfs_write('/', 'x')).toThrow(expect.objectContaining(refusal('EINVAL')));
});

test('directories count their sub-directories as links, and times come from the lab clock', async () => {
  const { k, vdpa0, root, inTask } = await withDirs();
  k.kernfs_create_dir(vdpa0, 'power');
  k.kernfs_create_file(vdpa0, 'uevent', 0o644, {});
  await inTask(async () => {
    const before = await k.ksys_stat(root, '/sys/devices/vdpa0', true);
    expect(before).toMatchObject({ kind: 'dir', mode: 0o755, nlink: 3, size: 0, uid: 0, gid: 0, rdev: null, mtime: 1_763_649_000 });
    await k.msleep(2_500);
    k.kernfs_create_dir(vdpa0, 'late');
    expect((await k.ksys_stat(root, '/sys/devices/vdpa0/late', true)).mtime).toBe(1_763_649_002);
    expect((await k.ksys_stat(root, '/sys/devices/vdpa0', true)).nlink).toBe(4);
    expect((await k.ksys_stat(root, '/sys/devices/vdpa0/uevent', true)).size).toBe(4096);
  });
});

test('a node of another kernel is refused', async () => {
  const [one, two] = [await bootFs(), await bootFs()];
  expect(one.k.kernfs_path(two.k.sysfs_root)).toBe('/sys'); // same class: only the tree differs
  expect(() => one.k.kernfs_path({ ...two.k.sysfs_root })).toThrow('not of this kernel');
});
