/** Loading told as stories in the lab's shell: insmod against modprobe, everything that can go wrong, and each module by itself. */
import { builtModules, createLab, type Lab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { folder } from './folders.ts';

type Sh = (command: string) => Promise<string>;

async function story(modules: object, body: (sh: Sh, lab: Lab, log: () => string[]) => Promise<void>): Promise<void> {
  const lab = await createLab({ config: { modules } });
  const player = await Player.open(lab);
  let logged: readonly string[] = [];
  await body(async (command) => {
    const played = await player.play(command);
    logged = played.dmesg;
    return played.out.join('\n');
  }, lab, () => [...logged]);
  await player.close();
  expect(await lab.close()).toEqual([]);
}

const KERNEL = '/lib/modules/6.1.0-vdpalab/kernel';

describe('insmod and modprobe', () => {
  it('differ: one names what is missing, the other brings it; rmmod takes apart in one order only', async () => {
    covers('F2', '1.8.2', '1.8.3', '2.14.10');
    await story({}, async (sh, lab, log) => {
      expect(await sh(`insmod ${KERNEL}/drivers/vhost/vhost_vdpa.ko`)).toBe(`stderr: insmod: ERROR: could not insert module ${KERNEL}/drivers/vhost/vhost_vdpa.ko: Unknown symbol in module\nexit: 1`);
      const info = lab.builtModules.find((m) => m.info.name === 'vhost_vdpa')?.info;
      const builtin = new Set(lab.loader.symbols().map((s) => s.name));
      const missing = (info?.imports ?? []).map((i) => i.name).filter((name) => !builtin.has(name));
      expect(missing.length).toBeGreaterThan(10);
      expect(log()).toEqual(missing.map((name) => `kern  :warn  : vhost_vdpa: Unknown symbol ${name} (err -2)`));
      expect(await sh('lsmod; ls -d /sys/module/vhost_vdpa')).toMatch(/^Module +Size +Used by\nstderr: ls: cannot access/);

      expect(await sh('modprobe vhost_vdpa; cat /sys/module/vdpa/refcnt /sys/module/vhost/refcnt /sys/module/vhost_iotlb/refcnt /sys/module/irqbypass/refcnt')).toBe('1\n1\n2\n1\nexit: 0');
      expect(await sh('ls /sys/module/vhost_iotlb/holders')).toBe('vhost\nvhost_vdpa\nexit: 0');
      expect(await sh('rmmod vdpa; rmmod vhost; rmmod irqbypass')).toBe([
        'stderr: rmmod: ERROR: Module vdpa is in use by: vhost_vdpa', 'stderr: rmmod: ERROR: Module vhost is in use by: vhost_vdpa',
        'stderr: rmmod: ERROR: Module irqbypass is in use by: vhost_vdpa', 'exit: 1',
      ].join('\n'));
      expect(await sh('rmmod vhost_vdpa vhost vhost_iotlb vdpa irqbypass; lsmod')).toBe('Module                  Size  Used by\nexit: 0');
      expect(lab.loader.modules()).toEqual([]);
    });
  });
});

describe('everything that the loader refuses', () => {
  it('has its errno, its message and its taint', async () => {
    covers('F21');
    await story({ only: [], extra: [folder('rk'), folder('awkward')] }, async (sh, lab, log) => {
      const insmod = async (file: string): Promise<string> => (await sh(`insmod ${file}`)).replace(/^stderr: insmod: ERROR: could not insert module \S+ /, '').replace(/\nexit: 1$/, '');
      await sh('modprobe rk_provider');
      expect(lab.loader.tainted()).toBe(4096 + 8192);
      expect(await insmod('/opt/rk_badcrc.ko')).toBe('Invalid parameters');
      expect(log()).toEqual(['kern  :warn  : rk_badcrc: disagrees about version of symbol rk_value', 'kern  :warn  : rk_badcrc: Unknown symbol rk_value (err -22)']);
      await sh("sed 's/license=GPL\\x00/license=XXX\\x00/' /lib/modules/*/kernel/samples/rk/rk_user.ko > /tmp/rk_user.ko");
      expect(await insmod('/tmp/rk_user.ko')).toBe('Unknown symbol in module');
      expect(log()).toContain("kern  :warn  : rk_user: module license 'XXX' taints kernel.");
      expect(lab.loader.tainted()).toBe(1 + 4096 + 8192);
      await sh('insmod /opt/rk_nsprov.ko');
      expect(await insmod('/opt/rk_nsuser.ko')).toBe('Invalid parameters');
      expect(log()[0]).toBe('kern  :err   : rk_nsuser: module uses symbol (rk_ns_value) from namespace RK_NS, but does not import it.');
      expect(await insmod('/opt/aw_vermagic.ko')).toBe('Invalid module format');
      expect(log()[0]).toContain("version magic '6.1.0-vdpalab SMP mod_unload ' should be");
      expect(await insmod('/opt/rk_dup.ko')).toBe('Invalid module format');
      expect(log()).toEqual(['kern  :err   : rk_dup: exports duplicate symbol rk_value (owned by rk_provider)']);
      expect(await sh('modprobe rk_fail err=-19')).toContain("could not insert 'rk_fail': No such device");
      expect(lab.loader.find_module('rk_fail')).toBeNull();
      // the provider is still loading: its user waits for it
      expect(await sh('insmod /opt/aw_slow.ko ms=500 & sleep 0.1; insmod /opt/aw_slow_user.ko; cat /sys/module/aw_slow/holders/aw_slow_user/initstate')).toBe('live\nexit: 0');
      expect(await sh('rmmod aw_slow')).toBe('stderr: rmmod: ERROR: Module aw_slow is in use by: aw_slow_user\nexit: 1');
      expect(await sh('modprobe rk_noexit; rmmod rk_noexit')).toContain("could not remove 'rk_noexit': Device or resource busy");
      expect(lab.loader.tainted() & 8).toBe(0);
      expect(await sh('rmmod -f rk_noexit; modprobe rk_holder; rmmod rk_holder; rmmod -f rk_holder; cat /proc/sys/kernel/tainted')).toBe(
        `${1 + 8 + 4096 + 8192}\nstderr: rmmod: ERROR: Module rk_holder is in use\nexit: 0`);
    });
  });
});

const loadable = builtModules().map((m) => m.info).filter((info) => !info.builtin);
const closure = (name: string): string[] => {
  const found = new Set<string>();
  const visit = (module: string): void => {
    if (found.has(module)) return;
    found.add(module);
    for (const dep of loadable.find((m) => m.name === module)?.depends ?? []) visit(dep);
  };
  visit(name);
  return [...found].sort();
};

describe('each module', () => {
  it('is here: the bus, its drivers and parents, VFIO, vhost, virtio and mediated devices', () => {
    expect(loadable.map((info) => info.package)).toEqual(expect.arrayContaining(['vdpa-core', 'mdev-core', 'vfio', 'vhost', 'virtio', 'ifcvf', 'mlx5-sf', 'iommu-type1']));
  });

  it.each(loadable.map((info) => info.name))('%s loads with only what it declares present, and not without any part of that', async (name) => {
    covers('1.8.1');
    const needed = closure(name);
    await story({ only: needed }, async (sh, lab) => {
      expect(await sh(`modprobe ${name}`)).toBe('exit: 0');
      expect(lab.loader.modules().map((m) => m.name).sort()).toEqual(needed);
      expect(await sh(`modprobe -r ${name}; for m in $(lsmod | sed 1d | cut -d' ' -f1); do rmmod $m; done 2>/dev/null; for m in $(lsmod | sed 1d | cut -d' ' -f1); do rmmod $m; done; lsmod`)).toBe('Module                  Size  Used by\nexit: 0');
    });
    const direct = loadable.find((m) => m.name === name)?.depends ?? [];
    for (const absent of direct) {
      await story({ only: needed.filter((m) => m === name || !closure(m).includes(absent)) }, async (sh, lab, log) => {
        expect(await sh(`modprobe ${name}`)).toContain('Unknown symbol in module');
        expect(log().filter((line) => line.includes(`${name}: Unknown symbol`))).not.toEqual([]);
        expect(lab.loader.find_module(name)).toBeNull();
      });
    }
  });
});
