import { KernelError } from '@vdpalab/abi';
import type { KModule } from '@vdpalab/abi';
import { LOG_USER, O_RDWR } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { FileOperations } from './header.ts';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

const owner: KModule = { name: 'vhost_vdpa', state: 'live' };

async function withDevice(ops: FileOperations) {
  const kernel = await bootFs();
  const { k } = kernel;
  const major = k.alloc_chrdev_region('vhost-vdpa', 0, 16);
  k.cdev_add(major, 3, ops, owner, 'the device');
  k.devtmpfs_create_node('vhost-vdpa-3', major, 3, 0o600);
  return { ...kernel, major };
}

test('a device node shows its numbers, and its open file carries the driver\'s data', async () => {
  const { k, root, inTask, major } = await withDevice({});
  await inTask(async () => {
    expect(await k.ksys_stat(root, '/dev/vhost-vdpa-3', true)).toMatchObject({ kind: 'chr', mode: 0o600, rdev: { major: 246, minor: 3 }, size: 0 });
    const fd = await k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR);
    expect(k.fget(root, fd)).toMatchObject({ path: '/dev/vhost-vdpa-3', private_data: 'the device' });
  });
  expect(major).toBe(246);
});

test('an open takes a reference for the cdev and one for its operations, until the last close', async () => {
  const { k, root, inTask, refs } = await withDevice({ owner });
  const fd = await inTask(() => k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR));
  expect(refs.get(owner)).toBe(2);
  await inTask(() => k.ksys_close(root, fd));
  expect(refs.get(owner)).toBe(0);
});

test('nobody behind the number, or a module that goes: ENXIO', async () => {
  const { k, root, inTask, going, refs, major, leftovers } = await withDevice({ owner });
  const open = (): Promise<number> => inTask(() => k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR));
  going.add(owner);
  await expect(open()).rejects.toMatchObject(refusal('ENXIO', 'open.going'));
  going.clear();
  expect(refs.get(owner) ?? 0).toBe(0);
  k.cdev_del(major, 3);
  await expect(open()).rejects.toMatchObject(refusal('ENXIO', 'chrdev.nobody'));
  expect(leftovers()).toEqual(['chrdev region 246 vhost-vdpa', 'device node /dev/vhost-vdpa-3']);
});

test('a refusing open leaves nothing and is not released', async () => {
  const log: string[] = [];
  const { k, root, inTask, refs } = await withDevice({
    open: async () => { throw new KernelError('EBUSY', 'vhost.open', 'open already'); },
    release: async () => void log.push('release'),
  });
  await expect(inTask(() => k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR))).rejects.toMatchObject({ errno: 'EBUSY', rule: 'vhost.open' });
  expect(log).toEqual([]);
  expect(refs.get(owner)).toBe(0);
  expect(root.files.size).toBe(0);
  expect(k.fs_leftovers().join()).not.toContain('open file');
});

test('open files outlive cdev_del', async () => {
  const { k, root, inTask, major } = await withDevice({ read: async () => Uint8Array.of(7) });
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR);
    k.cdev_del(major, 3);
    k.devtmpfs_delete_node('vhost-vdpa-3');
    expect([...await k.ksys_read(root, fd, 1)]).toEqual([7]);
    await expect(k.ksys_open(root, '/dev/vhost-vdpa-3', O_RDWR)).rejects.toMatchObject(refusal('ENOENT'));
  });
});

test('majors are handed out downwards from 246 to 234, then from 511, and given back', async () => {
  const { k } = await bootFs();
  const majors = Array.from({ length: 14 }, (_, i) => k.alloc_chrdev_region(`d${i}`, 0, 1));
  expect([majors[0], majors[12], majors[13]]).toEqual([246, 234, 511]);
  k.unregister_chrdev_region(240);
  expect(k.alloc_chrdev_region('again', 0, 1)).toBe(240);
  for (let i = 0; i < 127; i++) k.alloc_chrdev_region('more', 0, 1);
  expect(() => k.alloc_chrdev_region('full', 0, 1)).toThrow(expect.objectContaining(refusal('EBUSY', 'chrdev.majors')));
});

test('a taken major is EBUSY, one out of range EINVAL', async () => {
  const { k } = await bootFs();
  expect(k.alloc_chrdev_region('sample', 60, 256)).toBe(60);
  expect(() => k.alloc_chrdev_region('again', 60, 256)).toThrow(expect.objectContaining(refusal('EBUSY', 'chrdev.major')));
  expect(() => k.alloc_chrdev_region('again', 10, 256)).toThrow("major 10 is misc's"); // built in
  expect(() => k.alloc_chrdev_region('x', 512, 1)).toThrow(expect.objectContaining(refusal('EINVAL')));
  expect(() => k.alloc_chrdev_region('x', 0, 0)).toThrow(expect.objectContaining(refusal('EINVAL')));
});

test('misuse by a driver is a bug of the lab', async () => {
  const { k, major } = await withDevice({});
  expect(() => k.cdev_add(major, 3, {}, null, null)).toThrow('added already');
  expect(() => k.cdev_add(major, 16, {}, null, null)).toThrow('not in a region');
  expect(() => k.cdev_del(major, 4)).toThrow('not there');
  expect(() => k.unregister_chrdev_region(99)).toThrow("nobody's");
});

test('directories of device nodes come and go with them', async () => {
  const { k, root, inTask, leftovers } = await bootFs();
  k.devtmpfs_create_node('vfio/7', 240, 7, 0o600);
  k.devtmpfs_create_node('/dev/vfio/8', 240, 8, 0o600);
  expect(() => k.devtmpfs_create_node('vfio/7', 240, 7, 0o600)).toThrow(expect.objectContaining(refusal('EEXIST')));
  const names = (path: string): Promise<string[]> => inTask(async () => (await k.ksys_readdir(root, path)).map((e) => e.name));
  expect(await names('/dev/vfio')).toEqual(['8', '7']);
  k.devtmpfs_delete_node('vfio/7');
  await inTask(() => k.ksys_unlink(root, '/dev/vfio/8')); // a user may
  k.devtmpfs_delete_node('vfio/8');
  k.devtmpfs_delete_node('vfio/9'); // nothing there: nothing done
  expect(leftovers()).toEqual([]);
});

test('/dev/null, zero, full, urandom and kmsg do what they are for', async () => {
  const { k, root, user, inTask, log } = await bootFs();
  await inTask(async () => {
    const open = (name: string): Promise<number> => k.ksys_open(root, `/dev/${name}`, O_RDWR);
    const [nul, zero, full, random, kmsg] = [await open('null'), await open('zero'), await open('full'), await open('urandom'), await open('kmsg')];
    expect(await k.ksys_write(root, nul, encodeText('gone'))).toBe(4);
    expect([...await k.ksys_read(root, nul, 4)]).toEqual([]);
    expect([...await k.ksys_read(root, zero, 4)]).toEqual([0, 0, 0, 0]);
    await expect(k.ksys_write(root, full, encodeText('x'))).rejects.toMatchObject(refusal('ENOSPC'));
    expect((await k.ksys_read(root, random, 16)).some((byte) => byte !== 0)).toBe(true);
    await k.ksys_write(root, kmsg, encodeText('<3>from user space\n'));
    await k.ksys_write(root, kmsg, encodeText('plain'));
    await expect(k.ksys_open(user, '/dev/kmsg', O_RDWR)).rejects.toMatchObject(refusal('EACCES'));
    await k.ksys_open(user, '/dev/null', O_RDWR);
  });
  expect(log.map(({ level, facility, text }) => [level, facility, text])).toEqual([[3, LOG_USER, 'from user space'], [4, LOG_USER, 'plain']]);
  expect(decodeText(Uint8Array.of(65))).toBe('A');
});
