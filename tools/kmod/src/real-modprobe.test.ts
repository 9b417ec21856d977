/** modprobe of kmod 30 beside ours, wherever it only looks: -n, -D, -R, -c and the dumps of a file. */
import { covers } from '@vdpalab/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { present, RealTree } from './real-kmod.ts';
import { treeModule } from './tree.ts';
import type { ModuleTree, TreeModule } from './tree.ts';

/** A module that needs others, named in the order of its needs. */
const toy = (name: string, needs: readonly string[] = [], aliases: readonly string[] = [], softdeps: readonly string[] = []): TreeModule => treeModule(`kernel/${name}.ko`, {
  exports: [{ name: `${name}_f`, crc: 0x1234, gpl: true, namespace: '' }],
  needs: needs.map((n) => ({ name: `${n}_f`, weak: false, crc: 0x1234 })),
  modinfo: [...softdeps.map((s) => ['softdep', s] as const), ...aliases.map((a) => ['alias', a] as const)],
});

const TREE: ModuleTree = {
  modules: [
    toy('zbase'), toy('zring', ['zbase']), toy('zvirt', ['zring', 'zbase']), toy('z-net', ['zvirt', 'zring'], ['pci:v1AF4d*', 'znetdev']), toy('z_any', ['zbase'], ['pci:v1AF4d1041*']),
    toy('zsoft', ['zbase'], [], ['pre: zvirt post: z_any nowhere']), toy('zloopa', [], [], ['pre: zloopb']), toy('zloopb', [], [], ['pre: zloopa']),
    treeModule('kernel/bare.ko', { modinfo: [] }),
  ],
  builtin: [
    { path: 'kernel/zb-in.ko', name: 'zb_in', modinfo: [['alias', 'zbuilt-*'], ['alias', 'zb?ilt-x'], ['alias', 'zbuilt-[xy]'], ['alias', 'zbuilt-x']], exports: [] },
    { path: 'kernel/zb2.ko', name: 'zb2', modinfo: [['alias', 'zbuilt-x*'], ['alias', 'zbu*']], exports: [] },
  ],
  order: ['kernel/zbase.ko', 'kernel/z_any.ko', 'kernel/zring.ko'],
};

describe.runIf(present)('like modprobe 30', () => {
  let real: RealTree;
  beforeAll(() => {
    real = new RealTree(TREE);
    real.sys.files.set(`${real.root}/none/.keep`, '');
    real.sys.files.set(`${real.root}/bad.ko`, 'hello world');
  });
  afterAll(() => real.close());

  async function same(line: string): Promise<void> {
    real.write();
    const theirs = real.real(line);
    expect({ line, ...await real.ours(line) }).toEqual({ line, ...theirs });
  }

  /** Options with which only the tree and `conf` count. */
  const at = '-C @/conf -d @ -S 6.1.0-t';
  const configure = (text: string, name = 'a.conf'): void => {
    for (const path of [...real.sys.files.keys()]) if (path.startsWith(`${real.root}/conf/`)) real.sys.files.delete(path);
    real.sys.files.set(`${real.root}/conf/.keep`, '');
    if (text !== '') real.sys.files.set(`${real.root}/conf/${name}`, text);
  };

  test.each([
    'z-net', 'z_net', 'zsoft', 'zloopa', 'zbase', 'pci:v1AF4d1041', 'pci:v1AF4d1042x', 'znetdev', 'zb-in', 'zb_in', 'zbuilt-x', 'zbuilt_x', 'zbuilt-y', 'zbuq', 'symbol:zbase_f', 'symbol:z*', 'nowhere',
    'kernel/zbase.ko', './zbase.ko', 'zbase.ko', ']', 'z[a', 'z[-]a', 'z-net a=1', 'z-net a=1 b', 'z-net a=b c', 'zb_in x=1',
  ])('%s', async (words) => {
    covers('2.14.19', '2.14.21', '2.14.22');
    configure('');
    for (const option of ['-n -v', '-D', '-R', '-n -v -b', '-q -n -v', '-n -r -v', '-n -r --first-time']) await same(`modprobe ${at} ${option} ${words}`);
  });

  test.each([
    'modprobe', 'modprobe -n', 'modprobe -R', 'modprobe -n -a', 'modprobe -n -z', 'modprobe -n --nothing', 'modprobe -n --show', 'modprobe -n --sho', 'modprobe -n --dump', 'modprobe -n --first', 'modprobe -n -C',
    'modprobe -n -V', 'modprobe -n -h', 'modprobe -n -V -z', 'modprobe -n -z -V', 'modprobe -n -w x zbase', 'modprobe -n -w',
    `modprobe ${at} -n -v -a z-net nowhere zsoft`, `modprobe ${at} -n -a -q nowhere zsoft -v`, `modprobe ${at} -D -a z-net zsoft`, `modprobe ${at} -R -a z-net nowhere zsoft`, `modprobe ${at} -n -v -a`,
    `modprobe ${at} -n -r -a z-net zsoft nowhere`, `modprobe ${at} -n -v -r nowhere z-net`, `modprobe ${at} -n -v -r zb-in`, `modprobe ${at} -n -v -r zb-in --first-time`, `modprobe ${at} -n --remove-holders -r z-net`, `modprobe ${at} -n --remove-dependencies -r z-net`,
    'modprobe -C @/conf -d @ -S 9.9.9 -n zbase', 'modprobe -C @/conf -d @/none -S 6.1.0-t -n -v zbase', 'modprobe -C @/conf -d . -S 6.1.0-t -n -v zbase', `modprobe ${at} -n -v zbase --`, `modprobe ${at} -n -v -- zbase -x`,
    ...['kernel/zbase.ko', 'kernel/bare.ko', 'kernel/z-net.ko', 'kernel/none.ko'].flatMap((f) => [`modprobe --show-exports @/lib/modules/6.1.0-t/${f}`, `modprobe --dump-modversions @/lib/modules/6.1.0-t/${f}`, `modprobe --show-modversions @/lib/modules/6.1.0-t/${f}`]),
    'modprobe --show-exports @/bad.ko', 'modprobe --dump-modversions @/bad.ko', 'modprobe --dump-modversions', 'modprobe --show-exports',
    `modprobe ${at} -c`, `modprobe ${at} --showconfig zbase`, `modprobe ${at} --show-config`,
  ].filter((line) => line !== 'modprobe'))('%s', async (line) => {
    configure('options zbase x=1\nblacklist z-any\n');
    await same(line);
  });

  test.each([
    'alias mine z-net', 'alias z?net z_any\nalias z_net zbase', 'alias mine zbase\nalias mine nowhere\nalias mine zbase', 'alias chain mine\nalias mine zbase', 'alias z-net off', 'alias m*e zbase\nalias m[hi-j]ne z_any', 'alias m*e zbase\noptions mine a=1\noptions m*e b=2\nblacklist m*e', 'alias [mz]* z-net\nsoftdep z-net pre: zb-in post: mine',
    'options z-net a=1\noptions z_net b="x y"\toc', 'options mine a=1\nalias mine z-net', 'options zbase c=3 \\\n d=4', 'blacklist z-net', 'blacklist z_any\nblacklist zbase', 'blacklist mine\nalias mine z-net',
    'install z-net echo hi $CMDLINE_OPTS', 'install zbase /bin/true', 'install z* first\ninstall z-net second', 'install nowhere echo', 'remove nowhere echo', 'remove z-net echo bye', 'install zsoft echo no',
    'softdep z-net pre: zsoft post: zloopa', 'softdep z-net z_any', 'softdep z-net pre: z_any\nsoftdep z-net pre: zsoft', 'softdep z* post: zbase', 'softdep zbase pre: z-net', 'softdep z-net pre: mine\nalias mine zbase\nalias mine z_any',
    'install z-net x\nsoftdep z-net pre: zbase', 'bogus x\noptions\noptions z\nblacklist\nalias a\nalias [ b\nalias a [\ninstall\ninstall x\nremove x\nsoftdep\nsoftdep x\nzz', 'include x\nconfig y',
    '# c\n  # d\n\noptions zbase a=\\"b\n options   zring\ta=1  b=2', 'options zbase trailing\\', 'install zbase echo a\\\\b \\\n c', 'weakdep z-net zsoft',
  ])('with modprobe.d: %s', async (config) => {
    covers('2.14.21');
    configure(`${config}\n`);
    for (const line of ['-D z-net', '-R mine', '-n -v mine o=1', '-n -v -i z-net p=2', '-n -v -b mine', '-D -i zsoft', '-R chain', '-n -v -r z-net', '-n -v -r -i z-net', '-c', '-D nowhere', '-n -v pci:v1AF4d1041', '-D zring']) {
      await same(`modprobe ${at} ${line}`);
    }
  });

  test('with several files and directories', async () => {
    configure('options zbase a=1\n', 'b.conf');
    const put = (path: string, text: string): unknown => real.sys.files.set(`${real.root}/${path}`, text);
    put('conf/a.conf', 'softdep zsoft pre: zbase\noptions zbase first=1\n');
    put('conf/n.txt', 'options zbase no=1\n');
    put('conf/n.alias', 'options zbase alias=1\n');
    put('conf/.h.conf', 'options zbase hidden=1\n');
    put('conf2/b.conf', 'options zbase other=1\n');
    put('conf2/z.conf', 'softdep zsoft pre: zring\noptions zbase last=1\n');
    for (const where of ['-C @/conf', '-C @/conf2', '-C @/conf -C @/conf2', '-C @/conf2 -C @/conf', '-C @/conf/b.conf -C @/conf2', '-C @/gone -C @/conf2/z.conf', '-C @/conf/n.txt']) {
      await same(`modprobe ${where} -d @ -S 6.1.0-t -D zsoft`);
      await same(`modprobe ${where} -d @ -S 6.1.0-t -c`);
    }
    put('conf/sub.conf/x', '');
    await same(`modprobe ${at} -D zsoft`);
    real.sys.files.delete(`${real.root}/conf/sub.conf/x`);
  });

  test('with files of the tree gone', async () => {
    covers('2.14.19');
    configure('');
    for (const name of ['modules.dep.bin', 'modules.alias.bin', 'modules.symbols.bin', 'modules.builtin.bin', 'modules.builtin.alias.bin', 'modules.softdep', 'modules.dep', 'kernel/zring.ko', 'kernel/z-net.ko']) {
      const path = `${real.sys.dirname}/${name}`;
      const contents = real.sys.files.get(path) as string | Uint8Array;
      real.sys.files.delete(path);
      for (const words of ['z-net', 'zsoft', 'pci:v1AF4d1041', 'zb_in', 'zbuilt-x', 'symbol:zbase_f']) await same(`modprobe ${at} -D ${words}`);
      real.sys.files.set(path, contents);
    }
  });

  test('over any configuration', { timeout: 120_000 }, async () => {
    covers('2.14.21');
    const name = fc.constantFrom('z-net', 'z_any', 'zsoft', 'zbase', 'zring', 'zvirt', 'mine', 'other', 'z*', 'm?ne', '[mz]*', 'nowhere');
    const target = fc.constantFrom('z-net', 'z_any', 'zsoft', 'zbase', 'mine', 'nowhere', 'zb-in');
    const lineOf = fc.oneof(
      fc.tuple(fc.constant('alias'), name, target), fc.tuple(fc.constant('options'), name, fc.constantFrom('a=1', 'b', 'c="d e"')), fc.tuple(fc.constant('blacklist'), target, fc.constant('')),
      fc.tuple(fc.constant('install'), name, fc.constantFrom('echo x', 'true $CMDLINE_OPTS')), fc.tuple(fc.constant('remove'), name, fc.constant('echo y')),
      fc.tuple(fc.constant('softdep'), name, fc.tuple(target, target, target).map(([a, b, c]) => `pre: ${a} ${b} post: ${c}`)),
    );
    const asked = fc.tuple(fc.constantFrom('-D', '-R', '-n -v', '-n -v -i', '-n -v -b', '-n -v -r', '-D -i'), fc.constantFrom('z-net', 'mine', 'other', 'zsoft', 'pci:v1AF4d1041', 'nowhere', 'zbuilt-x'), fc.constantFrom('', ' a=2', ' x=y z'));
    await fc.assert(fc.asyncProperty(fc.array(lineOf, { maxLength: 6 }), asked, async (lines, [option, what, args]) => {
      configure(lines.map((words) => `${words.join(' ')}\n`).join(''));
      await same(`modprobe ${at} ${option} ${what}${args}`);
    }), { numRuns: 60 });
  });
});
