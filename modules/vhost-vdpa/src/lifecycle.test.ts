import { answerOf, covers, FAKE_PARENT, VdpaTool, VhostFile } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootVhost, theDevice } from './testing/kernel.ts';

const write = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

test('one open at a time; it resets the device and raises the use count by 2', async () => {
  covers('1.2.3');
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    expect(await tool.add('vdpa0', FAKE_PARENT)).toBe('ok');
    expect(await k.ksys_stat(proc, '/dev/vhost-vdpa-0', true)).toMatchObject({ kind: 'chr', mode: 0o600, rdev: { minor: 0 } });
    const refs = (): number => k.find_module('vhost_vdpa')?.refcnt ?? -1;
    expect(refs()).toBe(0);
    kernel.parent.calls.take();
    const f = await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
    expect([refs(), kernel.parent.calls.take()]).toEqual([2, ['reset']]);
    for (const flags of [uapi.O_RDWR, uapi.O_RDONLY]) expect(await answerOf(() => k.ksys_open(proc, '/dev/vhost-vdpa-0', flags))).toBe('EBUSY');
    expect(refs()).toBe(2);
    expect(await answerOf(async () => (await k.ksys_read(proc, f.fd, 8)).length)).toBe('EINVAL');
    expect(await answerOf(() => k.ksys_lseek(proc, f.fd, 0, 0))).toBe('ESPIPE');
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 3);
    await f.close();
    expect([refs(), theDevice(kernel.parent).status]).toEqual([0, 0]);
    await tool.del('vdpa0');
    expect(await answerOf(() => k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR))).toBe('ENOENT');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a failing reset fails the open, and the next open works', async () => {
  const kernel = await bootVhost({ fails: { at: 1, errno: 'EIO' }, parks: true });
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    expect(await answerOf(() => kernel.k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR))).toBe('EIO');
    expect(kernel.k.find_module('vhost_vdpa')?.refcnt).toBe(0);
    await (await VhostFile.open(kernel.k, proc, '/dev/vhost-vdpa-0')).close();
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('unbind waits for the last close and says so, the node and the link are gone meanwhile', async () => {
  covers('2.4.5');
  const kernel = await bootVhost();
  const { k } = kernel;
  const done: string[] = [];
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    const f = await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
    const opener = k.current_task();
    const remover = kernel.spawn('unbind', async () => {
      const root = k.process_create('sh');
      const fd = await k.ksys_open(root, '/sys/bus/vdpa/drivers/vhost_vdpa/unbind', uapi.O_WRONLY);
      await k.ksys_write(root, fd, write('vdpa0'));
      await k.process_exit(root);
      done.push('unbound');
    });
    await k.msleep(1);
    expect(remover.wait?.what).toContain('last close of /dev/vhost-vdpa-0');
    expect(remover.wait?.owners?.()).toEqual([opener]);
    expect((await k.ksys_readdir(proc, '/dev')).map((entry) => entry.name)).not.toContain('vhost-vdpa-0');
    expect((await k.ksys_readdir(proc, '/sys/bus/vdpa/drivers/vhost_vdpa')).map((entry) => entry.name).sort()).toEqual(['bind', 'module', 'uevent', 'unbind']);
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe(0); // the file still works
    expect(done).toEqual([]);
    await f.close();
    await k.msleep(1);
    expect(done).toEqual(['unbound']);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a remover that comes while an open is failing is not left waiting', async () => {
  const kernel = await bootVhost({ fails: { at: 1, errno: 'EIO' }, parks: true });
  const { k } = kernel;
  const done: string[] = [];
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    const [vdev] = k.bus_devices(k.find_bus('vdpa') ?? never());
    kernel.spawn('unbind', async () => {
      await k.device_release_driver(vdev ?? never());
      done.push('unbound');
    });
    done.push(String(await answerOf(() => k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR))));
    await k.msleep(1);
    await tool.del('vdpa0');
  });
  expect(done.at(-1)).toBe('unbound');
  expect(await kernel.gone()).toEqual([]);
});

test('dev del waits too, and holds the lock that every other vdpa command wants', async () => {
  const kernel = await bootVhost();
  const { k } = kernel;
  const done: string[] = [];
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    const f = await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
    const as = (name: string, body: (own: VdpaTool<Process>) => Promise<unknown>) => kernel.spawn(name, async () => {
      const root = k.process_create(name);
      k.current_task().process = root;
      await body(await VdpaTool.open(k, root));
      done.push(name);
      await k.process_exit(root);
    });
    as('del', (own) => own.del('vdpa0'));
    await k.msleep(1);
    const show = as('show', (own) => own.dump(uapi.VDPA_CMD_DEV_GET));
    await k.msleep(1);
    expect([done, show.state]).toEqual([[], 'parked']);
    await f.close();
    await k.msleep(1);
    expect(done.sort()).toEqual(['del', 'show']);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('whoever waits for his own file to be closed is found to be deadlocked', async () => {
  const kernel = await bootVhost();
  const { k } = kernel;
  await expect(kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
    await tool.del('vdpa0');
  })).rejects.toThrow('deadlock');
});

test('a process that dies with the file open, its memory mapped for the device and a doorbell mapped leaves nothing', async () => {
  const kernel = await bootVhost({ having: ['get_vq_notification'], parks: true });
  const { k } = kernel;
  await kernel.run(async () => {
    const admin = k.process_create('admin');
    k.current_task().process = admin;
    const tool = await VdpaTool.open(k, admin);
    await tool.add('vdpa0', FAKE_PARENT);
    const proc = k.process_create('vmm');
    k.current_task().process = proc;
    const f = await VhostFile.open(k, proc, '/dev/vhost-vdpa-0');
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x1000n, 0x2000n, BigInt(f.scratch))).toBe(72);
    await f.vringFile(uapi.VHOST_SET_VRING_KICK, 0, k.ksys_eventfd(proc, 0, 0));
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, k.ksys_eventfd(proc, 0, 0));
    await k.ksys_mmap(proc, 0, 4096, uapi.PROT_WRITE, uapi.MAP_SHARED, f.fd, 0);
    await k.process_exit(proc);
    expect([proc.mm.pinned_vm, theDevice(kernel.parent).maps]).toEqual([0, []]);
    k.current_task().process = admin;
    expect(await tool.del('vdpa0')).toBe('ok');
    await k.process_exit(admin);
    k.current_task().process = null;
  });
  expect(await kernel.gone()).toEqual([]);
});

test('several groups or address spaces need a parent that translates', async () => {
  covers('2.4.2');
  const kernel = await bootVhost({ mapping: 'platform' });
  const { k } = kernel;
  const bound = async (): Promise<string | undefined> => k.bus_devices(k.find_bus('vdpa') ?? never())[0]?.driver?.name;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    expect([await tool.add('vdpa0', FAKE_PARENT), await bound()]).toEqual(['ok', undefined]);
    await tool.del('vdpa0');
  });
  expect(kernel.dmesg()).toEqual(['4: vhost_vdpa: probe of vdpa0 failed with error -95']);
  expect(await kernel.gone()).toEqual([]);
});

test('without an IOMMU a parent that relies on it cannot be opened', async () => {
  const kernel = await bootVhost({ mapping: 'platform', ngroups: 1, nas: 1 });
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    // its DMA device is on no bus at all
    expect(await answerOf(() => kernel.k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR))).toBe('EFAULT');
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('minor numbers are the lowest free ones', async () => {
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('a', FAKE_PARENT);
    await tool.add('b', FAKE_PARENT);
    const echo = async (what: string, file: string) => {
      const fd = await k.ksys_open(proc, `/sys/bus/vdpa/drivers/vhost_vdpa/${file}`, uapi.O_WRONLY);
      await k.ksys_write(proc, fd, write(what));
      await k.ksys_close(proc, fd);
    };
    for (const [what, file] of [['a', 'unbind'], ['b', 'unbind'], ['b', 'bind'], ['a', 'bind']] as const) await echo(what, file);
    const child = async (name: string) => (await k.ksys_readdir(proc, `/sys/devices/${name}`)).map((e) => e.name).find((n) => n.startsWith('vhost-vdpa-'));
    expect([await child('a'), await child('b')]).toEqual(['vhost-vdpa-1', 'vhost-vdpa-0']);
    await tool.del('a');
    await tool.del('b');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('the module takes its major back, and its devices are left with no driver', async () => {
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', FAKE_PARENT);
    await kernel.rmmod('vhost_vdpa');
    expect(k.bus_devices(k.find_bus('vdpa') ?? never())[0]?.driver).toBeNull();
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

function never(): never {
  throw new Error('there is none');
}
