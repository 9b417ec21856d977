/** depmod of kmod 30 beside ours: over a tree of our modules, and over trees that fast-check makes. */
import { covers } from '@vdpalab/testing';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { present, RealTree, required } from './real-kmod.ts';
import { treeModule } from './tree.ts';
import type { ModuleTree, TreeModule } from './tree.ts';

test.runIf(present || required)('kmod 30 is there to compare with', () => {
  expect(present).toBe(true);
});

const WRITTEN = [
  'modules.dep', 'modules.dep.bin', 'modules.alias', 'modules.alias.bin', 'modules.softdep', 'modules.symbols', 'modules.symbols.bin',
  'modules.builtin.bin', 'modules.builtin.alias.bin', 'modules.devname',
];

let trees: RealTree[] = [];
afterEach(() => {
  for (const tree of trees) tree.close();
  trees = [];
});

function open(tree: ModuleTree, files: Readonly<Record<string, string | Uint8Array>> = {}): RealTree {
  const real = new RealTree(tree);
  trees.push(real);
  for (const [name, contents] of Object.entries(files)) real.sys.files.set(name.replaceAll('@', real.root).replace('MOD', real.sys.dirname), contents);
  return real;
}

/** Both run the same line over the same files: the same words, status and files. */
async function same(real: RealTree, line: string): Promise<void> {
  real.write();
  const theirs = real.real(line);
  expect({ line, ...await real.ours(line) }).toEqual({ line, ...theirs });
  if (theirs.status !== 0 || / -n/.test(line)) return;
  const ours = WRITTEN.map((name) => [name, Buffer.from(real.sys.files.get(`${real.sys.dirname}/${name}`) ?? 'missing').toString('latin1')]);
  expect(ours).toEqual(WRITTEN.map((name) => [name, real.onDisk(name).toString('latin1')]));
}

const crc = (name: string, value: number) => ({ name, crc: value, gpl: true, namespace: '' });
const need = (name: string, value: number | null = null, weak = false) => ({ name, weak, crc: value });
const tree = (...modules: TreeModule[]): ModuleTree => ({ modules, builtin: [], order: null });

const sample = (): ModuleTree => ({
  ...tree(
    treeModule('kernel/a.ko', { exports: [crc('fa', 1)], needs: [need('fb', 7), need('nope', 3), need('weakone', null, true), need('printk', 9)], aliases: ['x[a', 'y-z', 'devname:dd', 'dup', 'dup'], modinfo: [['alias', 'x[a'], ['alias', 'y-z'], ['alias', 'devname:dd'], ['alias', 'dup'], ['alias', 'dup']] }),
    treeModule('kernel/b.ko', { exports: [crc('fb', 7), crc('fb2', 8)], modinfo: [['alias', 'devname:bb'], ['alias', 'char-major-1-2'], ['alias', 'block-major-3-*'], ['softdep', 'pre: a']] }),
    treeModule('updates/c.ko', { needs: [need('fb2', 99), need('fb', 7), need('fa', 1)] }),
  ),
  builtin: [{ path: 'kernel/bar-baz.ko', name: 'bar_baz', modinfo: [['alias', 'abc-*'], ['alias', 'x]y'], ['alias', 'ab*']], exports: [] }],
});

describe.runIf(present)('like depmod 30', () => {
  test.each([
    'depmod -b @ 6.1.0-t', 'depmod -n -b @ 6.1.0-t', 'depmod -v -b @ 6.1.0-t', 'depmod -w -b @ 6.1.0-t', 'depmod -n -w -b @ 6.1.0-t', 'depmod -e -b @ 6.1.0-t',
    'depmod -u -q -r -m -b @ 6.1.0-t', 'depmod -e -E @/symvers -b @ 6.1.0-t', 'depmod -E @/symvers -b @ 6.1.0-t', 'depmod -e -F @/map -b @ 6.1.0-t',
    'depmod -F @/map -E @/symvers -e -b @ 6.1.0-t', 'depmod -E @/none -b @ 6.1.0-t', 'depmod -F @/none -e -b @ 6.1.0-t', 'depmod -P xx -b @', 'depmod -P _ -b @ 6.1.0-t',
    'depmod -b @ nosuchversion', 'depmod -b @ 9.9.9', 'depmod -a -b @ 6.1.0-t', 'depmod --all --basedir=@ --show 6.1.0-t', 'depmod -b @ 6.1.0-t kernel/a.ko',
    'depmod -b @ 6.1.0-t @/none.ko', 'depmod -b @ 6.1.0-t @/lib/modules/6.1.0-t/kernel/b.ko', 'depmod -z', 'depmod --nothing', 'depmod --sym', 'depmod -C', 'depmod -V', 'depmod --help', 'depmod -u -z',
    'depmod -q -V', 'depmod --root -b @ 6.1.0-t', 'depmod --map --quiet --unresolved-error -b @ 6.1.0-t',
  ])('%s', async (line) => {
    covers('2.14.23');
    const real = open(sample(), {
      '@/symvers': '0x00000009\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x00000005\tother\tdrivers/x\tEXPORT_SYMBOL\n0x1 nope2 vmlinux EXPORT_SYMBOL\n',
      '@/map': 'ffffffff81000000 r __ksymtab_printk\nffffffff81000000 T nope\n',
    });
    await same(real, line);
  });

  test('over files that lie, an order with comments and strangers, and one without its last newline', async () => {
    const real = open(sample());
    const bytes = real.sys.files.get(`${real.sys.dirname}/kernel/a.ko`) as Uint8Array;
    const put = (name: string, contents: string | Uint8Array): unknown => real.sys.files.set(`${real.sys.dirname}/${name}`, contents);
    put('kernel/bad.ko', 'hello');
    put('kernel/empty.ko', '');
    for (const length of [10, 20, 60, 100, 1000]) put(`kernel/cut${length}.ko`, bytes.subarray(0, length));
    put('build/no.ko', 'not looked at');
    put('modules.order', '#x\nkernel/updates.ko\nkernel/b.ko\nkernel/zz.ko\nkernel/a.ko\nkernel/b.ko\n');
    await same(real, 'depmod -b @ 6.1.0-t');
    put('modules.order', 'kernel/b.ko\nkernel/a.ko');
    await same(real, 'depmod -b @ 6.1.0-t');
  });

  test('with a missing builtin list', async () => {
    const real = open(sample());
    real.sys.files.delete(`${real.sys.dirname}/modules.builtin`);
    real.sys.files.delete(`${real.sys.dirname}/modules.builtin.modinfo`);
    await same(real, 'depmod -b @ 6.1.0-t');
    real.sys.files.set(`${real.sys.dirname}/modules.builtin`, 'kernel/ok.ko\n/odd.ko\n#x\nkernel/x-y.ko\n');
    await same(real, 'depmod -b @ 6.1.0-t');
  });

  test('of simple cycles', async () => {
    await same(open(tree(treeModule('a.ko', { exports: ['a'], needs: ['b'] }), treeModule('b.ko', { exports: ['b'], needs: ['a'] }))), 'depmod -b @ 6.1.0-t');
    await same(open(tree(treeModule('s.ko', { exports: ['s'], needs: ['s'] }))), 'depmod -b @ 6.1.0-t');
  });

  test.each([
    'search updates extra built-in', 'search extra updates', 'search kernel extra', 'override c * extra', 'override c 6.1.* extra', 'override c 5.* extra',
    'override c * extra\noverride c * updates', 'override c.ko * extra', 'override c * extra/', 'exclude updates', 'exclude c.ko', 'exclude c', 'exclude extra b.ko',
    'external * @/ext\nsearch external', 'external * @/ext\nexternal * @/ext2\nsearch external updates', 'external * @/ext2\nexternal * @/ext\nsearch updates external',
    'external 6.1.0 @/ext', 'external 5 @/ext', 'external * @/gone', 'search updates built-in external\nexternal * @/ext',
    'bogus x\n# c\n  # d\nsearch\noverride x\nexternal *\nexclude\ninclude y\nmake_map_files no\n  search extra \\\n updates\nbogus2',
  ])('with depmod.d: %s', async (config) => {
    const same1 = (path: string): TreeModule => treeModule(path, { needs: ['fb2'] });
    const real = open(tree(...sample().modules, same1('extra/c.ko')));
    const ko = real.sys.files.get(`${real.sys.dirname}/extra/c.ko`) as Uint8Array;
    for (const path of ['ext/c.ko', 'ext/sub/d.ko', 'ext2/c.ko', 'ext2/e.ko']) real.sys.files.set(`${real.root}/${path}`, ko);
    real.sys.files.set(`${real.root}/conf/x.conf`, `${config.replaceAll('@', real.root)}\n`);
    real.sys.files.set(`${real.root}/conf/n.txt`, 'zoo\n');
    real.sys.files.set(`${real.root}/conf/n.alias`, 'zoo\n');
    real.sys.files.set(`${real.root}/conf/.n.conf`, 'zoo\n');
    await same(real, 'depmod -C @/conf -b @ 6.1.0-t');
    await same(real, 'depmod -C @/conf/x.conf -C @/none -n -b @ 6.1.0-t');
  });

  test('over any tree: order, owners, closures, aliases and indexes', { timeout: 120_000 }, async () => {
    covers('2.14.23');
    const name = fc.stringMatching(/^[a-z][a-z_-]{0,6}[a-z0-9]$/);
    const alias = fc.stringMatching(/^[a-z*?:-]{1,6}(\[[a-c]\])?[*a-z]{0,3}$/);
    const record = fc.record({
      name, dir: fc.constantFrom('kernel', 'kernel/drivers/x', 'updates', 'extra'), exports: fc.array(name, { maxLength: 3 }), needs: fc.array(fc.nat(), { maxLength: 4 }),
      weak: fc.boolean(), aliases: fc.array(alias, { maxLength: 4 }), softdep: fc.option(name),
    });
    const world = fc.record({
      modules: fc.uniqueArray(record, { minLength: 1, maxLength: 12, selector: (m) => m.name.replaceAll('-', '_') }),
      order: fc.array(fc.nat(), { maxLength: 12 }), builtin: fc.array(fc.tuple(name, fc.array(alias, { maxLength: 3 })), { maxLength: 3 }),
    });
    await fc.assert(fc.asyncProperty(world, async ({ modules, order, builtin }) => {
      // A module needs what earlier ones export: no cycles. Exports are their own, so that who owns what is not a matter of luck alone.
      const paths = modules.map((m) => `${m.dir}/${m.name}.ko`);
      const all = modules.map((m, i) => {
        const pool = modules.slice(0, i).flatMap((e) => e.exports.map((x) => `${e.name}_${x}`));
        return treeModule(paths[i] as string, {
          exports: m.exports.map((x) => `${m.name}_${x}`),
          needs: m.needs.flatMap((n) => (pool.length === 0 ? [] : [need(pool[n % pool.length] as string, null, m.weak)])),
          modinfo: [...m.aliases.map((a) => ['alias', a] as const), ...(m.softdep === null ? [] : [['softdep', `pre: ${m.softdep}`] as const])],
        });
      });
      const real = open({
        modules: all, order: null,
        builtin: builtin.map(([b, aliases]) => ({ path: `kernel/${b}.ko`, name: b.replaceAll('-', '_'), modinfo: aliases.map((a) => ['alias', a] as const), exports: [] })),
      });
      real.sys.files.set(`${real.sys.dirname}/modules.order`, order.map((n) => `${paths[n % paths.length]}\n`).join(''));
      await same(real, 'depmod -b @ 6.1.0-t');
      real.close();
    }), { numRuns: 40 });
  });
});
