import { isKernelError } from '@vdpalab/abi';
import { O_CREAT, O_WRONLY } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { bootOrder, type BuiltModule } from './built-modules.ts';
import { createLab, LabStuckError } from './lab.ts';
import { builtinArgs, moduleBlacklist } from './vmlinux.ts';

const tree = '/lib/modules/6.1.0-vdpalab/kernel';

async function errnoOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
  return 'none';
}

describe('a lab', () => {
  it('boots from an empty lab file, and leaves nothing when it closes', async () => {
    const lab = await createLab();
    expect(lab.dmesg[0]?.text).toBe('Linux version 6.1.0-vdpalab (vdpalab) #1 SMP PREEMPT_DYNAMIC');
    expect(await lab.user((p) => p.readFile('/proc/modules'))).toBe('');
    expect(lab.leftovers()).toEqual([]);
    expect(await lab.close()).toEqual([]);
  });

  it('loads a module by what its file holds, whatever the file is called', async () => {
    const lab = await createLab();
    await lab.user(async (p) => {
      await p.writeFile('/tmp/other.ko', await p.readFileBytes(`${tree}/drivers/vhost/vhost_iotlb.ko`), O_WRONLY | O_CREAT);
      await lab.symbol('init_module')({ path: '/tmp/other.ko' }, '', 0);
    });
    expect(lab.loader.modules().map((m) => m.name)).toEqual(['vhost_iotlb']);
    expect(await lab.close()).toEqual([]);
  });

  it('refuses what is no module, what is missing, and who may not', async () => {
    const lab = await createLab();
    const load = (path: string, uid = 0) => lab.user(() => lab.symbol('init_module')({ path }, '', 0), { uid });
    expect(await errnoOf(load('/dev/null'))).toBe('EINVAL');
    expect(await errnoOf(load('/proc/version'))).toBe('ENOEXEC');
    expect(await errnoOf(load('/nosuch.ko'))).toBe('ENOENT');
    expect(await errnoOf(load(`${tree}/drivers/vhost/vhost_iotlb.ko`, 1000))).toBe('EPERM');
    expect(await errnoOf(load(`${tree}/drivers/vhost/vhost_vdpa.ko`))).toBe('ENOENT');
    expect(lab.loader.modules()).toEqual([]);
    expect(await lab.close()).toEqual([]);
  });

  it('says what a task waits for when nothing can go on', async () => {
    const lab = await createLab();
    const stuck = lab.user(async (p) => p.read(p.pipe()[0], 1));
    await expect(stuck).rejects.toThrow(LabStuckError);
    await expect(stuck).rejects.toThrow(/user cannot go on: blocked:/);
    expect(await lab.close()).toEqual([expect.stringMatching(/^process \d+ \(user\) was still running$/)]);
  });

  it('shows what of its command line concerns modules, and lets signatures be enforced from then on', async () => {
    const lab = await createLab({ config: { cmdline: 'quiet module_blacklist=a,b', modules: { unsigned: ['vhost_iotlb'] } } });
    const load = () => lab.symbol('init_module')({ path: `${tree}/drivers/vhost/vhost_iotlb.ko` }, '', 0);
    await lab.user(async (p) => {
      expect(await p.readFile('/sys/module/kernel/parameters/module_blacklist')).toBe('a,b\n');
      expect(await p.readFile('/sys/module/module/parameters/sig_enforce')).toBe('N\n');
      await load();
      expect(await p.readFile('/sys/module/vhost_iotlb/taint')).toBe('E\n');
      expect(await p.readFile('/sys/module/vhost_iotlb/sections/.text')).toMatch(/^0xffffffffc0201000\n$/);
      await lab.symbol('delete_module')('vhost_iotlb', 0);
      await p.writeFile('/sys/module/module/parameters/sig_enforce', '1', O_WRONLY);
      expect(await errnoOf(p.writeFile('/sys/module/module/parameters/sig_enforce', '0', O_WRONLY))).toBe('EROFS');
      expect(await p.readFile('/sys/module/module/parameters/sig_enforce')).toBe('Y\n');
      expect(await errnoOf(load())).toBe('EKEYREJECTED');
    });
    expect(await lab.close()).toEqual([]);
  });

  it('lets the kernel ask user space for modules by the path in /proc', async () => {
    const lab = await createLab();
    const asked: string[] = [];
    expect(await errnoOf(lab.kernel(() => lab.symbol('request_module')('loop')))).toBe('ENOENT');
    lab.usermodehelper = async (argv) => asked.push(argv.join(' ')) && 1;
    await lab.user(async (p) => {
      expect(await lab.symbol('request_module')('loop')).toBe(256);
      await p.writeFile('/proc/sys/kernel/modprobe', '/bin/mp\n', O_WRONLY);
      expect(await lab.symbol('request_module')('loop')).toBe(256);
      await p.writeFile('/proc/sys/kernel/modprobe', '\n', O_WRONLY);
      expect(await errnoOf(lab.symbol('request_module')('loop'))).toBe('ENOENT');
    });
    expect(asked).toEqual(['/sbin/modprobe -q -- loop', '/bin/mp -q -- loop']);
    expect(await lab.close()).toEqual([]);
  });

  it('takes down modules that nobody may unload any more', async () => {
    const lab = await createLab();
    await lab.user(async (p) => {
      await lab.symbol('init_module')({ path: `${tree}/drivers/vhost/vhost_iotlb.ko` }, '', 0);
      await p.writeFile('/proc/sys/kernel/modules_disabled', '1', O_WRONLY);
      expect(await errnoOf(p.writeFile('/proc/sys/kernel/modules_disabled', '0', O_WRONLY))).toBe('EINVAL');
      expect(await errnoOf(lab.symbol('delete_module')('vhost_iotlb', 0))).toBe('EPERM');
    });
    expect(await lab.close()).toEqual([]);
  });

  it('loads a module from bytes that a process hands over, whatever is at the path', async () => {
    const lab = await createLab();
    await lab.user(async (p) => {
      const bytes = await p.readFileBytes(`${tree}/drivers/vhost/vhost_iotlb.ko`);
      await p.init_module('(memory)', 'max_iotlb_entries=7', 0, bytes);
      expect(await errnoOf(p.init_module('(memory)', '', 0, bytes))).toBe('EEXIST');
      expect(await errnoOf(p.init_module(`${tree}/drivers/vhost/vhost_iotlb.ko`, '', 0, bytes.subarray(0, 100)))).toBe('ENOEXEC');
      expect(await p.readFile('/proc/modules')).toMatch(/^vhost_iotlb /);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('keeps two labs in one process apart', async () => {
    const [a, b] = [await createLab(), await createLab({ config: { release: '6.1.99' } })];
    await a.user(() => a.symbol('init_module')({ path: `${tree}/drivers/vhost/vhost_iotlb.ko` }, '', 0));
    expect([a.loader.modules().length, b.loader.modules().length]).toEqual([1, 0]);
    expect(await b.user((p) => p.readdir('/lib/modules'))).toMatchObject([{ name: '6.1.99' }]);
    expect([await a.close(), await b.close()]).toEqual([[], []]);
  });

  it('reloads a module with fresh state', async () => {
    const lab = await createLab();
    for (let round = 0; round < 3; round++) {
      await lab.user(() => lab.symbol('init_module')({ path: `${tree}/drivers/virtio/virtio_ring.ko` }, '', 0));
      await lab.user(() => lab.symbol('init_module')({ path: `${tree}/drivers/virtio/virtio.ko` }, '', 0));
      await lab.user(() => lab.symbol('delete_module')('virtio', 0));
      await lab.user(() => lab.symbol('delete_module')('virtio_ring', 0));
    }
    expect(await lab.close()).toEqual([]);
  });

  it('leaves modules out of the tree, and copies files in', async () => {
    const lab = await createLab({ config: { modules: { without: ['ifcvf'] }, files: { '/root/p.json': 'package.json' } } });
    await lab.user(async (p) => {
      expect(await errnoOf(p.stat(`${tree}/drivers/vdpa/ifcvf`))).toBe('ENOENT');
      expect(JSON.parse(await p.readFile('/root/p.json'))).toMatchObject({ name: 'vdpalab' });
    });
    expect(await lab.close()).toEqual([]);
  });
});

describe('the kernel image', () => {
  it('reads its command line', () => {
    expect(moduleBlacklist('quiet module_blacklist=a,b x=1')).toEqual(['a', 'b']);
    expect(builtinArgs('driver-core.p=1 pci.q=2 pci.r=3', 'pci')).toBe('q=2 r=3');
    expect(builtinArgs('driver-core.p=1', 'driver_core')).toBe('p=1');
  });

  const module = (name: string, exports: string[], imports: string[]): BuiltModule =>
    ({ dir: name, info: { name, exports: exports.map((n) => ({ name: n })), imports: imports.map((n) => ({ name: n, weak: false })) } }) as unknown as BuiltModule; // only these are read

  it('boots exporters first, and names what is missing or circular', () => {
    const order = bootOrder([module('c', [], ['b1']), module('b', ['b1'], ['a1']), module('a', ['a1'], ['given'])], new Set(['given']));
    expect(order.map((m) => m.info.name)).toEqual(['a', 'b', 'c']);
    expect(() => bootOrder([module('a', [], ['x'])], new Set())).toThrow('built-in a needs x, which nothing built in exports');
    expect(() => bootOrder([module('a', ['a1'], ['b1']), module('b', ['b1'], ['a1'])], new Set())).toThrow('a -> b -> a');
  });
});
