import type { ModuleView } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { O_RDONLY, O_RDWR, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { Process } from './header.ts';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';
import type { TestKernel } from './testing/kernel.ts';

function view(name: string, more: Partial<ModuleView> = {}): ModuleView {
  return {
    name, state: 'live', refcnt: 0, size: 16384, initSize: 0, holders: [], taint: '', version: undefined, srcversion: undefined,
    address: 0xffffffffc0208000n, permanent: false, builtin: false, parameters: [], sections: [], notes: [], ...more,
  };
}

function cat({ k, inTask }: TestKernel, proc: Process, path: string): Promise<string> {
  return inTask(async () => {
    const fd = await k.ksys_open(proc, path, O_RDONLY);
    return decodeText(await k.ksys_read(proc, fd, 65_536));
  });
}

test('/proc/modules reads as on Linux 6.1, and shows no addresses to users', async () => {
  covers('2.14.17');
  const kernel = await bootFs();
  // reference/linux-6.1/05-vdpa-bus.txt, section 7
  kernel.modules.push(
    view('vdpa_sim_net', { refcnt: -1, state: 'going', taint: 'OE', address: 0xffffffffc022d000n }),
    view('vdpa', { size: 32768, refcnt: 4, holders: ['virtio_vdpa', 'vhost_vdpa', 'vdpa_sim_net', 'vdpa_sim'], taint: 'OE' }),
    view('tiny', { state: 'coming', refcnt: 1, initSize: 4096 }),
    view('stuck', { permanent: true, taint: 'P' }),
    view('unborn', { state: 'unformed' }),
  );
  expect(await cat(kernel, kernel.root, '/proc/modules')).toBe([
    'vdpa_sim_net 16384 -1 - Unloading 0xffffffffc022d000 (OE-)\n',
    'vdpa 32768 4 virtio_vdpa,vhost_vdpa,vdpa_sim_net,vdpa_sim, Live 0xffffffffc0208000 (OE)\n',
    'tiny 20480 1 - Loading 0xffffffffc0208000\n',
    'stuck 16384 0 [permanent], Live 0xffffffffc0208000 (P)\n',
  ].join(''));
  expect(await cat(kernel, kernel.user, '/proc/modules')).toContain('vdpa_sim_net 16384 -1 - Unloading 0x0000000000000000 (OE-)\n');
});

test('/proc/devices lists majors in order, those of built-in drivers too', async () => {
  const kernel = await bootFs();
  kernel.k.alloc_chrdev_region('vhost-vdpa', 0, 16);
  const lines = (await cat(kernel, kernel.user, '/proc/devices')).split('\n');
  expect(lines.slice(0, 6)).toEqual(['Character devices:', '  1 mem', '  4 /dev/vc/0', '  4 tty', '  4 ttyS', '  5 /dev/tty']);
  expect(lines.indexOf('246 vhost-vdpa')).toBe(15); // line 16, as recorded
  expect(lines.slice(-4)).toEqual(['', 'Block devices:', '259 blkext', '']);
});

test.each([
  ['/proc/cmdline', 'quiet\n'],
  ['/proc/version', 'Linux version 6.1.0 (vdpalab) #1 SMP PREEMPT_DYNAMIC vdpalab\n'],
  ['/proc/sys/kernel/tainted', '4096\n'],
  ['/proc/sys/kernel/osrelease', '6.1.0\n'],
  ['/proc/sys/kernel/ostype', 'Linux\n'],
  ['/proc/sys/kernel/modprobe', '/sbin/modprobe\n'],
  ['/proc/uptime', '0.00 0.00\n'],
])('%s reads %j', async (path, text) => {
  const kernel = await bootFs();
  expect(await cat(kernel, kernel.user, path)).toBe(text);
});

test('memory shows in kB', async () => {
  const kernel = await bootFs();
  expect(await cat(kernel, kernel.root, '/proc/meminfo')).toBe('MemTotal:           4096 kB\nMemFree:            4092 kB\n');
});

test('taints can be added through their file, by whoever may administer, and never taken back', async () => {
  const kernel = await bootFs();
  const { k, root, user, inTask } = kernel;
  await inTask(async () => {
    const write = async (text: string): Promise<void> => {
      const fd = await k.ksys_open(root, '/proc/sys/kernel/tainted', O_RDWR);
      try {
        await k.ksys_write(root, fd, encodeText(text));
      } finally {
        await k.ksys_close(root, fd);
      }
    };
    await write('3\n');
    await write('0\n');
    await write(`${2n ** 63n}`); // no such flag
    await expect(write('taint')).rejects.toMatchObject(refusal('EINVAL'));
    await expect(k.ksys_open(user, '/proc/sys/kernel/tainted', O_RDWR)).rejects.toMatchObject(refusal('EACCES'));
  });
  expect(await cat(kernel, root, '/proc/sys/kernel/tainted')).toBe('4099\n');
});

test('the modprobe path can be set by root', async () => {
  const kernel = await bootFs();
  const { k, root, user, inTask } = kernel;
  await inTask(async () => {
    const fd = await k.ksys_open(root, '/proc/sys/kernel/modprobe', O_RDWR);
    await k.ksys_write(root, fd, encodeText('/bin/true\n'));
    await expect(k.ksys_open(user, '/proc/sys/kernel/modprobe', O_RDWR)).rejects.toMatchObject(refusal('EACCES'));
  });
  expect(await cat(kernel, root, '/proc/sys/kernel/modprobe')).toBe('/bin/true\n');
});

test('module loading is disabled once and for all', async () => {
  const kernel = await bootFs();
  const { k, root, inTask } = kernel;
  const write = (text: string): Promise<number> => inTask(async () => {
    const fd = await k.ksys_open(root, '/proc/sys/kernel/modules_disabled', O_RDWR);
    return k.ksys_write(root, fd, encodeText(text));
  });
  expect(k.modules_disabled()).toBe(false);
  await expect(write('0\n')).rejects.toMatchObject(refusal('EINVAL', 'proc.modules-disabled'));
  expect(await write('1\n')).toBe(2);
  await expect(write('0\n')).rejects.toMatchObject(refusal('EINVAL'));
  expect(k.modules_disabled()).toBe(true);
  expect(await cat(kernel, root, '/proc/sys/kernel/modules_disabled')).toBe('1\n');
});

test('a file\'s text is made for its reader, at the start of each reading', async () => {
  const { k, root, user, inTask } = await bootFs();
  let count = 0;
  const node = k.proc_create('/proc/driver/who', 0o444, (proc) => `${proc.comm} ${++count}\n`);
  expect(k.kernfs_path(node)).toBe('/proc/driver/who');
  expect(() => k.proc_create('driver/who', 0o444, () => '')).toThrow(expect.objectContaining(refusal('EEXIST')));
  await inTask(async () => {
    const fd = await k.ksys_open(user, '/proc/driver/who', O_RDONLY);
    expect(decodeText(await k.ksys_read(user, fd, 3))).toBe('use');
    expect(decodeText(await k.ksys_read(user, fd, 100))).toBe('r 1\n');
    expect(await k.ksys_lseek(user, fd, 0, SEEK_SET)).toBe(0);
    expect(decodeText(await k.ksys_read(user, fd, 100))).toBe('user 2\n');
    await expect(k.ksys_lseek(user, fd, 0, SEEK_END)).rejects.toMatchObject(refusal('EINVAL'));
    expect(await k.ksys_stat(root, '/proc/driver/who', true)).toMatchObject({ size: 0, mode: 0o444 });
  });
});
