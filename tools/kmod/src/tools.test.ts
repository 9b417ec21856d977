/** What the recordings do not show of the tools. */
import type { ModInfo } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { depmod } from './depmod-files.ts';
import { FakeSystem } from './fake-system.ts';
import { getopt } from './getopt.ts';
import { treeModule, treeOf } from './tree.ts';
import type { ModuleTree } from './tree.ts';

const toy = (name: string, needs: readonly string[] = []) => treeModule(`kernel/${name}.ko`, { exports: [`${name}_f`], needs: needs.map((n) => `${n}_f`) });
const tree = (...modules: ModuleTree['modules'][number][]): ModuleTree => ({
  modules, builtin: [{ path: 'kernel/sched.ko', name: 'sched', modinfo: [['license', 'GPL'], ['description', 'the scheduler']], exports: [] }], order: null,
});

async function run(sys: FakeSystem, line: string): Promise<string> {
  sys.stdout = '';
  sys.stderr = '';
  const status = await sys.shell(line);
  return `${sys.stdout}${sys.stderr.replace(/^(?=.)/gm, 'E ')}${status}`;
}

describe('getopt', () => {
  const table = { short: 'ab:', long: { all: 'a', 'be-long': 'b:', 'be-short': 'x' } };
  const read = (...argv: string[]): string => {
    const { options, operands, error } = getopt(argv, table);
    return error ?? [...options.map((o) => `${o.name}${o.value === null ? '' : `=${o.value}`}`), '|', ...operands].join(' ');
  };

  it('takes options anywhere, joined letters, values and short long names', () => {
    expect(read('x', '-ab', 'v', 'y', '--all')).toBe('a b=v a | x y');
    expect(read('-bv', '--be-l=w', '--', '-a')).toBe('b=v b=w | -a');
    expect(read('-')).toBe('| -');
  });

  it('complains as glibc does', () => {
    expect(read('-z')).toBe("invalid option -- 'z'");
    expect(read('-b')).toBe("option requires an argument -- 'b'");
    expect(read('--zzz')).toBe("unrecognized option '--zzz'");
    expect(read('--be')).toBe("option '--be' is ambiguous; possibilities: '--be-long' '--be-short'");
    expect(read('--all=1')).toBe("option '--all' doesn't allow an argument");
    expect(read('--be-long')).toBe("option '--be-long' requires an argument");
  });
});

describe('modprobe', () => {
  it('quotes a value with blanks and joins the words with blanks', async () => {
    const sys = new FakeSystem(tree(toy('m')));
    await run(sys, "modprobe m 'p=a b' 'q=\"c d\"' flag r=1");
    expect(sys.inserted).toEqual(['m \'p="a b" q="c d" flag r=1\' 0']);
  });

  it('passes force flags on', async () => {
    const sys = new FakeSystem(tree(toy('m')));
    await run(sys, 'modprobe -f m');
    await run(sys, 'rmmod m');
    await run(sys, 'modprobe --force-vermagic m');
    await run(sys, 'rmmod m; insmod -f /lib/modules/6.1.0-56-amd64/kernel/m.ko a b=1');
    expect(sys.inserted).toEqual(["m '' 3", "m '' 2", "m 'a b=1' 3"]);
  });

  it('takes EEXIST for a success, and other errors by their text', async () => {
    const sys = new FakeSystem(tree(toy('m')));
    sys.refuse.set('m', 'EEXIST');
    expect(await run(sys, 'modprobe m')).toBe('0');
    expect(await run(sys, 'modprobe --first-time m')).toBe("E modprobe: ERROR: could not insert 'm': Module already in kernel\n1");
    sys.refuse.set('m', 'EPERM');
    expect(await run(sys, 'modprobe m')).toBe("E modprobe: ERROR: could not insert 'm': Operation not permitted\n1");
    sys.refuse.set('m', 'ENOENT');
    expect(await run(sys, 'modprobe m')).toBe("E modprobe: ERROR: could not insert 'm': Unknown symbol in module, or unknown parameter (see dmesg)\n1");
    expect(await run(sys, 'modprobe -q m')).toBe('1');
  });

  it('ignores a softdep that fails', async () => {
    const sys = new FakeSystem(tree(toy('m'), toy('p')));
    sys.files.set('/etc/modprobe.d/t.conf', 'softdep m pre: p\n');
    sys.refuse.set('p', 'EINVAL');
    expect(await run(sys, 'modprobe m; lsmod')).toBe('Module                  Size  Used by\nm                      16384  0\n0');
  });

  it('stops at a FATAL, unless -a made it a warning', async () => {
    covers('2.14.22');
    const sys = new FakeSystem(tree(toy('a'), toy('b')));
    sys.setLoaded(['a', 'b']);
    expect(await run(sys, 'modprobe -r -v nowhere a')).toBe('E modprobe: FATAL: Module nowhere not found.\n1');
    expect(await run(sys, 'modprobe -r -a -v nowhere a')).toBe('rmmod a\nE modprobe: WARNING: Module nowhere not found.\n1');
  });

  it('says of a built-in module that it is one', async () => {
    const sys = new FakeSystem(tree(toy('a')));
    expect(await run(sys, 'modprobe -v sched')).toBe('0');
    expect(await run(sys, 'modprobe -D sched')).toBe('builtin sched\n0');
    expect(await run(sys, 'modprobe -r sched')).toBe('E modprobe: FATAL: Module sched is builtin.\n1');
    expect(await run(sys, 'rmmod sched')).toBe('E rmmod: ERROR: Module sched is builtin.\n1');
  });

  it('fails for an alias to a module without a file, unless it is a dry run', async () => {
    const sys = new FakeSystem(tree(toy('a')));
    sys.files.set('/etc/modprobe.d/t.conf', 'alias x off\n');
    expect(await run(sys, 'modprobe -n -v x')).toBe('0');
    expect(await run(sys, 'modprobe x')).toContain("could not find module by name='off'");
  });

  it('does not run install commands for ever', async () => {
    const sys = new FakeSystem(tree(toy('m')));
    sys.files.set('/etc/modprobe.d/t.conf', 'install m modprobe m\n');
    expect(await run(sys, 'modprobe m')).toContain('E modprobe: ERROR: install commands are nested more than 50 deep');
  });

  it('shows a remove command, runs it, and stops when it fails', async () => {
    const sys = new FakeSystem(tree(toy('m')));
    sys.setLoaded(['m']);
    sys.files.set('/etc/modprobe.d/t.conf', 'remove m false\n');
    expect(await run(sys, 'modprobe -r -v m')).toBe('remove false\nE modprobe: FATAL: Error running remove command for m\n1');
  });

  it('removes only direct holders with --remove-holders', async () => {
    covers('2.14.22');
    const sys = new FakeSystem(tree(toy('a'), toy('b', ['a']), toy('c', ['b'])));
    sys.setLoaded(['c', 'b', 'a']);
    expect(await run(sys, 'modprobe -r -v --remove-holders a')).toBe('E modprobe: FATAL: Module b is in use.\n1');
  });

  it('leaves the end of a chain when it removes the head', async () => {
    const sys = new FakeSystem(tree(toy('a'), toy('b', ['a']), toy('c', ['b'])));
    sys.setLoaded(['c', 'b', 'a']);
    expect(await run(sys, 'modprobe -r -v c; lsmod')).toBe('rmmod c\nrmmod b\nModule                  Size  Used by\na                      16384  0\n0');
  });

  it('waits with -w until a module is free, and gives up after that', async () => {
    covers('2.14.22');
    const sys = new FakeSystem(tree(toy('m')));
    let slept = 0;
    const waiting = Object.assign(sys, { sleep: async (ms: number) => { slept += ms; if (slept >= 7) sys.hold('m', -1); } });
    sys.setLoaded(['m']);
    sys.hold('m');
    expect(await run(waiting, 'modprobe -r -w 100 m')).toBe('0');
    expect(slept).toBe(7);
    sys.setLoaded(['m']);
    sys.hold('m', 1000);
    slept = 100;
    expect(await run(waiting, 'modprobe -r -w 100 m')).toBe("E modprobe: ERROR: could not remove 'm': Resource temporarily unavailable\n1");
    expect(slept).toBe(200);
  });

  it('shows its configuration with the indexes', async () => {
    const sys = new FakeSystem(tree(treeModule('kernel/m.ko', { aliases: ['a-b'], exports: ['f'] })));
    sys.files.set('/etc/modprobe.d/t.conf', 'options m x=1\n');
    expect(await run(sys, 'modprobe -c')).toBe(
      'options m x=1\n\n# End of configuration files. Dumping indexes now:\n\nalias a_b m\nalias symbol:f m\n0',
    );
  });

  it('prints exports and symbol versions of a file', async () => {
    const m = treeModule('kernel/m.ko', { exports: [{ name: 'f', crc: 0xab, gpl: true, namespace: '' }], needs: [{ name: 'g', weak: false, crc: 0x12345678 }] });
    const sys = new FakeSystem(tree(m, toy('bare')));
    expect(await run(sys, `modprobe --show-exports ${sys.dirname}/kernel/m.ko`)).toBe('0x000000ab\tf\n0');
    expect(await run(sys, `modprobe --dump-modversions ${sys.dirname}/kernel/m.ko`)).toBe('0xb1ad28e0\tmodule_layout\n0x12345678\tg\n0');
    expect(await run(sys, `modprobe --dump-modversions ${sys.dirname}/kernel/bare.ko`)).toContain('FATAL: could not get modversions of');
  });

  it('has help and a version', async () => {
    const sys = new FakeSystem(tree());
    expect(await run(sys, 'modprobe --help')).toContain('--show-depends');
    expect(await run(sys, 'modprobe -V')).toBe('kmod version 30\n+ZSTD +XZ -ZLIB +LIBCRYPTO -EXPERIMENTAL\n0');
    expect(await run(sys, 'modprobe -Z')).toBe("E modprobe: invalid option -- 'Z'\n1");
  });
});

describe('insmod', () => {
  it('finds no module behind a slash, and reads what it gives the kernel', async () => {
    const sys = new FakeSystem(tree(toy('a')));
    sys.files.set('/tmp/short.ko', 'hell\n');
    sys.files.set('/dev/null', '');
    expect(await run(sys, 'insmod /tmp/')).toBe('E insmod: ERROR: could not load module /tmp/: No such file or directory\n1');
    expect(await run(sys, 'insmod /none.ko')).toBe('E insmod: ERROR: could not load module /none.ko: No such file or directory\n1');
    expect(await run(sys, 'insmod /tmp/short.ko')).toBe('E insmod: ERROR: could not insert module /tmp/short.ko: Invalid parameters\n1');
    expect(await run(sys, 'insmod /dev/null')).toBe('E insmod: ERROR: could not insert module /dev/null: Invalid parameters\n1');
    expect(sys.inserted).toEqual([]);
    expect(await run(sys, `insmod ${sys.dirname}/kernel/a.ko x=1 y`)).toBe('0');
    expect(sys.inserted).toEqual(["a 'x=1 y' 0"]);
  });
});

describe('rmmod', () => {
  it('names holders in sysfs order, goes on with the next, and forces', async () => {
    const sys = new FakeSystem(tree(toy('a'), toy('b', ['a']), toy('c')));
    sys.setLoaded(['c', 'b', 'a']);
    sys.hold('c');
    expect(await run(sys, 'rmmod -s a')).toBe('E  b\n1'); // as the recording has it: the rest goes to the system's log
    expect(await run(sys, 'rmmod a c b')).toBe('E rmmod: ERROR: Module a is in use by: b\nE rmmod: ERROR: Module c is in use\n1');
    expect(await run(sys, 'rmmod -f c')).toBe('0');
    expect(await run(sys, 'rmmod -w x')).toBe("E rmmod: ERROR: unexpected getopt_long() value 'w'.\n1");
    expect(await run(sys, 'rmmod -a x')).toBe("E rmmod: invalid option -- 'a'\n1");
    sys.refuse.set('a', 'EBUSY');
    expect(await run(sys, 'rmmod a')).toBe([
      "E rmmod: ERROR: ../libkmod/libkmod-module.c:856 kmod_module_remove_module() could not remove 'a': Device or resource busy",
      'E rmmod: ERROR: could not remove module a: Device or resource busy', '1',
    ].join('\n'));
  });
});

const VDPA_SIM: ModInfo = {
  name: 'vdpa_sim', package: 'vdpa-sim', path: 'kernel/drivers/vdpa/vdpa_sim/vdpa_sim.ko', builtin: false, license: 'GPL v2',
  description: 'vDPA Device Simulator core', author: 'Jason Wang <jasowang@redhat.com>', version: '0.1', srcversion: 'D5D1CB4D79C29ED58982256',
  vermagic: '6.1.0-56-amd64 SMP preempt mod_unload modversions ', depends: ['vringh', 'vhost_iotlb', 'vdpa'], alias: [], softdep: [], importNs: [],
  params: [
    { name: 'batch_mapping', type: 'int', desc: 'Batched mapping 1 -Enable; 0 - Disable', perm: 0o444, default: '1' },
    { name: 'max_iotlb_entries', type: 'int', desc: null, perm: 0o444, default: '2048' },
    { name: 'lim', type: '', desc: '0..10, -ERANGE otherwise', perm: 0, default: '5' },
  ],
  exports: [], imports: [], size: 24576,
};

describe('modinfo', () => {
  const system = (): FakeSystem => {
    const sys = new FakeSystem({ ...treeOf([VDPA_SIM, { ...VDPA_SIM, name: 'vdpa', package: 'vdpa-core', path: 'kernel/vdpa.ko', alias: ['pci:x*', 'char-major-1-2'], softdep: ['pre: a'] }], '6.1.0-56-amd64'), builtin: tree().builtin });
    sys.files.set('/lib/modprobe.d/packages.conf', 'alias vdpa-core vdpa\n');
    return sys;
  };

  it('prints fields in the order of a .ko, parameters last with their types', async () => {
    const sys = system();
    expect(await run(sys, 'modinfo vdpa-sim')).toBe([
      'filename:       /lib/modules/6.1.0-56-amd64/kernel/drivers/vdpa/vdpa_sim/vdpa_sim.ko',
      'description:    vDPA Device Simulator core', 'author:         Jason Wang <jasowang@redhat.com>', 'license:        GPL v2', 'version:        0.1',
      'srcversion:     D5D1CB4D79C29ED58982256', 'depends:        vringh,vhost_iotlb,vdpa', 'retpoline:      Y', 'intree:         Y', 'name:           vdpa_sim',
      'vermagic:       6.1.0-56-amd64 SMP preempt mod_unload modversions ', 'parm:           batch_mapping:Batched mapping 1 -Enable; 0 - Disable (int)',
      'parm:           max_iotlb_entries:int', 'parm:           lim:0..10, -ERANGE otherwise', '0',
    ].join('\n'));
    expect(await run(sys, 'modinfo -p vdpa_sim')).toBe(
      'batch_mapping:Batched mapping 1 -Enable; 0 - Disable (int)\nmax_iotlb_entries: (int)\nlim:0..10, -ERANGE otherwise\n0',
    );
  });

  it('prints one field, NUL ends, built-in modules, files and package names', async () => {
    const sys = system();
    expect(await run(sys, 'modinfo -F depends vdpa_sim')).toBe('vringh,vhost_iotlb,vdpa\n0');
    expect(await run(sys, 'modinfo -0 -F depends vdpa_sim')).toBe('vringh,vhost_iotlb,vdpa\u00000');
    expect(await run(sys, 'modinfo -F nosuchfield vdpa_sim')).toBe('0');
    expect(await run(sys, 'modinfo -n vdpa-core')).toBe('/lib/modules/6.1.0-56-amd64/kernel/vdpa.ko\n0');
    expect(await run(sys, 'modinfo -F license /lib/modules/6.1.0-56-amd64/kernel/drivers/vdpa/vdpa_sim/vdpa_sim.ko')).toBe('GPL v2\n0');
    expect(await run(sys, 'modinfo sched')).toBe('name:           sched\nfilename:       (builtin)\nlicense:        GPL\ndescription:    the scheduler\nfile:           kernel/sched\n0');
  });

  it('says what it cannot find', async () => {
    const sys = system();
    expect(await run(sys, 'modinfo nowhere vdpa_sim -l')).toBe('GPL v2\nE modinfo: ERROR: Module nowhere not found.\n1');
    expect(await run(sys, 'modinfo -m nowhere')).toBe('E modinfo: ERROR: Module name nowhere not found.\n1');
    expect(await run(sys, 'modinfo -k 9.9.9 vdpa')).toBe('E modinfo: ERROR: Module vdpa not found.\n1');
    expect(await run(sys, 'modinfo')).toBe('E modinfo: ERROR: missing module or filename.\n1');
  });

  it('puts softdeps and plain aliases first, those of device tables after the version', () => {
    const [, vdpa] = treeOf([VDPA_SIM, { ...VDPA_SIM, name: 'vdpa', package: 'vdpa-core', alias: ['pci:x*', 'char-major-1-2'], softdep: ['pre: a'] }]).modules;
    expect(vdpa?.modinfo.map(([key, value]) => (key === 'alias' ? value : key)).slice(0, 8)).toEqual([
      'softdep', 'char-major-1-2', 'description', 'author', 'license', 'version', 'srcversion', 'pci:x*',
    ]);
    expect(vdpa?.aliases).toEqual(['char-major-1-2', 'pci:x*']);
  });
});

describe('depmod', () => {
  it('reads a directory and writes what it computes', async () => {
    covers('2.14.23');
    const all = tree(toy('a'), toy('b', ['a']));
    const sys = new FakeSystem(all);
    for (const name of ['modules.dep', 'modules.alias', 'modules.symbols', 'modules.softdep']) sys.files.delete(`${sys.dirname}/${name}`);
    sys.files.set(`${sys.dirname}/modules.order`, 'kernel/b.ko\n');
    sys.files.set(`${sys.dirname}/build/kernel/ignored.ko`, 'no module');
    expect(await run(sys, 'depmod')).toBe('0');
    expect(sys.files.get(`${sys.dirname}/modules.dep`)).toBe('kernel/b.ko: kernel/a.ko\nkernel/a.ko:\n');
    expect(sys.files.get(`${sys.dirname}/modules.softdep`)).toBe('# Soft dependencies extracted from modules themselves.\n');
    expect(await run(sys, 'depmod -n')).toBe(`${Object.values(depmod({ ...all, order: ['kernel/b.ko'] }).texts ?? {}).join('')}0`);
  });

  it('says what is wrong with a version, a directory, a file, an order and a tree', async () => {
    const sys = new FakeSystem(tree(treeModule('a.ko', { exports: ['a'], needs: ['b'] }), treeModule('b.ko', { exports: ['b'], needs: ['a'] })));
    expect(await run(sys, 'depmod nosuchversion')).toBe('E depmod: ERROR: Bad version passed nosuchversion\n1');
    expect(await run(sys, 'depmod 9.9.9')).toBe(
      'E depmod: ERROR: could not open directory /lib/modules/9.9.9: No such file or directory\nE depmod: FATAL: could not search modules: No such file or directory\n1',
    );
    sys.files.set(`${sys.dirname}/modules.order`, 'a.ko\nb.ko');
    sys.files.set(`${sys.dirname}/broken.ko`, 'hello');
    expect(await run(sys, 'depmod')).toBe([
      `E depmod: ERROR: ${sys.dirname}/modules.order:2 corrupted line misses '\\n'`,
      `E depmod: ERROR: failed to load symbols from ${sys.dirname}/broken.ko: Invalid argument`,
      'E depmod: ERROR: Cycle detected: b -> a -> b', 'E depmod: ERROR: Found 2 modules in dependency cycles!', '1',
    ].join('\n'));
  });

  it('checks symbols against Module.symvers or System.map', async () => {
    const sys = new FakeSystem({ modules: [treeModule('m.ko', { needs: [{ name: 'printk', weak: false, crc: 1 }, 'nowhere', { name: 'weak', weak: true, crc: null }] })], builtin: [], order: [] });
    sys.files.set(`${sys.dirname}/modules.order`, 'm.ko\n');
    sys.files.set('/symvers', '0x00000002\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x1\tother\tdrivers/x\tEXPORT_SYMBOL\n');
    sys.files.set('/map', 'ffffffff81000000 r __ksymtab_printk\n');
    expect(await run(sys, 'depmod -e -E /symvers')).toBe([
      `E depmod: WARNING: ${sys.dirname}/m.ko disagrees about version of symbol printk`, `E depmod: WARNING: ${sys.dirname}/m.ko needs unknown symbol nowhere`,
      `E depmod: WARNING: ${sys.dirname}/m.ko needs unknown symbol module_layout`, '0',
    ].join('\n'));
    expect(await run(sys, 'depmod -e -F /map')).toBe(`E depmod: WARNING: ${sys.dirname}/m.ko needs unknown symbol nowhere\nE depmod: WARNING: ${sys.dirname}/m.ko needs unknown symbol module_layout\n0`);
    expect(await run(sys, 'depmod -e')).toBe('E depmod: WARNING: -e needs -E or -F\n0');
  });
});
